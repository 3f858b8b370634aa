"""Twilio's signature: addresses as it may have signed them."""

from __future__ import annotations

import pytest

from server.identity.twilio import is_signed

AUTH_TOKEN = "12345"
# HMAC-SHA1 by `printf URL | openssl dgst -sha1 -hmac 12345 -binary | base64`
PLAIN = "ccJICYO7KLiZoW8QqJxo8M1ytBM="
WITH_PORT = "MRaD3SeUIBBrGF1rHcU72sLF3pc="


@pytest.mark.parametrize("signature", [PLAIN, WITH_PORT])
@pytest.mark.parametrize("url", ["wss://example.com/v1/twilio", "wss://example.com:443/v1/twilio"])
def test_the_default_port_may_be_left_out(url: str, signature: str) -> None:
    assert is_signed(url, signature, AUTH_TOKEN)


@pytest.mark.parametrize(
    ("url", "signature", "auth_token"),
    [
        ("wss://example.com/v1/twilio", "", AUTH_TOKEN),
        ("wss://example.com/v1/twilio", "é", AUTH_TOKEN),
        ("wss://example.com/v1/twilio", PLAIN, "12346"),
        ("wss://example.com/v1/twilio?x=1", PLAIN, AUTH_TOKEN),
        ("wss://example.com:8443/v1/twilio", PLAIN, AUTH_TOKEN),
        ("https://example.com/v1/twilio", PLAIN, AUTH_TOKEN),
        ("wss://example.com:x/v1/twilio", PLAIN, AUTH_TOKEN),
        ("wss://[example.com/v1/twilio", PLAIN, AUTH_TOKEN),
    ],
)
def test_anything_else_is_refused(url: str, signature: str, auth_token: str) -> None:
    assert not is_signed(url, signature, auth_token)
