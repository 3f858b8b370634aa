"""Turns the address given by a user into that of the WebSocket."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from streaming.client.arguments import shown
from streaming.client.errors import GatewayError

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_SECRET = re.compile(r"(?<=//)[^/?#]*@|[?#].+", re.DOTALL)  # a password or a token, which no message repeats


def socket_url(url: str) -> str:
    """`ws://` or `wss://`, host, port and the path where the gateway is mounted. No scheme means http.

    Raises GatewayError INVALID_URL, which names the mistake.
    """
    if not isinstance(url, str):  # such as None from an environment variable that is not set
        raise GatewayError("INVALID_URL", f"the gateway's URL must be a string, not {shown(url)}")
    given = url.strip()
    if not given:
        raise GatewayError("INVALID_URL", "the gateway's URL is empty")
    whole = given if "://" in given else f"http://{given}"
    bare = _SECRET.sub("", whole)
    try:
        parts = urlsplit(bare)
        scheme, host, port = _SCHEMES.get(parts.scheme.lower()), parts.hostname, parts.port
        host = host.encode("idna").decode() if host and not host.isascii() else host
    except ValueError as wrong:  # an invalid port, unbalanced brackets, a host that DNS cannot represent
        raise GatewayError("INVALID_URL", f"{bare!r} is no URL ({wrong})") from None
    if scheme is None:
        raise GatewayError("INVALID_URL", f"{bare!r} begins with {parts.scheme}://, not with http, https, ws or wss")
    if not host or any(sign.isspace() for sign in bare):
        raise GatewayError("INVALID_URL", f"{bare!r} names no host")
    if bare != whole:
        raise GatewayError(
            "INVALID_URL", f"the URL of {bare!r} has more than an address: token and user_id are arguments"
        )
    where = f"[{host}]" if ":" in host else host
    return f"{scheme}://{where}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def http_url(url: str) -> str:
    """The http or https form of what `socket_url` returned."""
    return "http" + url.removeprefix("ws")
