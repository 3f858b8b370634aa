"""Gateway addresses in the forms that people write."""

from __future__ import annotations

import pytest

from streaming.client.address import http_url, socket_url
from streaming.client.errors import GatewayError


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000"),
        ("https://jarvis.example.org/", "wss://jarvis.example.org"),
        ("HTTP://LocalHost:8000", "ws://localhost:8000"),
        ("ws://127.0.0.1:8000/", "ws://127.0.0.1:8000"),
        ("wss://example.org/jarvis/", "wss://example.org/jarvis"),
        ("127.0.0.1:8000", "ws://127.0.0.1:8000"),
        ("localhost", "ws://localhost"),
        ("[::1]:8000", "ws://[::1]:8000"),
        (" http://127.0.0.1:8000\n", "ws://127.0.0.1:8000"),
        ("http://bücher.example", "ws://xn--bcher-kva.example"),
    ],
)
def test_http_is_taken_as_a_websocket(given: str, url: str) -> None:
    assert socket_url(given) == url


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("ftp://example.org", "begins with ftp://"),
        ("http://", "names no host"),
        ("http://:8000", "names no host"),
        ("http://exa mple.org", "names no host"),
        ("http://localhost:eighty", "is no URL"),
        ("http://localhost:99999", "is no URL"),
        ("http://[::1", "is no URL"),
        (f"http://{'ü' * 70}.example", "is no URL"),
        ("http://user:password@localhost", "more than an address"),
        ("http://localhost/console#token=abc", "more than an address"),
        ("http://localhost?user_id=ada", "more than an address"),
    ],
)
def test_a_mistake_is_named(given: str, mistake: str) -> None:
    with pytest.raises(GatewayError, match=mistake) as raised:
        socket_url(given)
    assert raised.value.code == "INVALID_URL"
    assert "http://HOST:PORT" in str(raised.value)


def test_requests_go_to_the_same_place() -> None:
    assert http_url("ws://localhost:8000") == "http://localhost:8000"
    assert http_url("wss://example.org/jarvis") == "https://example.org/jarvis"


@pytest.mark.parametrize(
    "given",
    [
        "http://ada:hush@host",
        "http://ada:hush@host:x",
        "host?token=hush",
        "host:x/#hush",
        "ftp://u:hush@h",
        "u:hush@h",
        "u:hush@h℀",
    ],
)
def test_no_secret_is_repeated(given: str) -> None:
    with pytest.raises(GatewayError, match="INVALID_URL") as wrong:
        socket_url(given)
    assert "hush" not in str(wrong.value)
