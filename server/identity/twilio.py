"""Twilio's request signature: https://www.twilio.com/docs/usage/security#validating-requests. Pure.

HMAC-SHA1 of the address that Twilio was told, with the account's auth token, in base64. A WebSocket has no form fields to add.
"""

from __future__ import annotations

import base64
import hmac
from urllib.parse import urlsplit

PORT = 443  # of wss, the only scheme that Twilio opens streams to


def is_signed(url: str, signature: str, auth_token: str) -> bool:
    """True if Twilio signed a request to this address. It may have signed the address with or without the default port."""
    return any(hmac.compare_digest(_signature(spelt, auth_token), signature.encode()) for spelt in _spellings(url))


def _signature(url: str, auth_token: str) -> bytes:
    return base64.b64encode(hmac.digest(auth_token.encode(), url.encode(), "sha1"))


def _spellings(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ()  # no address of ours: whoever calls wrote it into the Host header
    host = parts.netloc.removesuffix(f":{PORT}")
    with_port = host if port not in (None, PORT) else f"{host}:{PORT}"
    return parts._replace(netloc=host).geturl(), parts._replace(netloc=with_port).geturl()
