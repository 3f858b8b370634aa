"""Clients that leave before, during or after the 101: nothing of them stays, whichever dialect they came for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.gateway import GatewayProcess

AUTH_TOKEN = "12345678901234567890123456789012"
URL = "wss://phone.example/v1/twilio"
PATHS = ("/ws/left-%d", "/ws/unknown-%d", "/v1/realtime?n=%d", "/v1/live/sessions?n=%d", "/v1/twilio?n=%d")
LISTENS, CLOSED = "0A", "0"  # a state, and the inode of a socket that only the kernel has
EACH = 20  # of those who close at once, a few are still being admitted


@pytest.fixture(scope="module", params=["fast", "tornado"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(
        tmp_path_factory.mktemp("left"),
        WS_READER=request.param,
        REDIS_URL="",
        EMBEDDED="false",
        WS_MAX_SOCKETS_PER_USER="1000",
        TWILIO_AUTH_TOKEN=AUTH_TOKEN,
        TWILIO_URL=URL,
    ) as gateway:
        yield gateway


def handshake(gateway: GatewayProcess, path: str) -> bytes:
    signature = base64.b64encode(hmac.new(AUTH_TOKEN.encode(), URL.encode(), hashlib.sha1).digest()).decode()
    known = "" if "unknown" in path else f"Authorization: Bearer {gateway.token}\r\n"
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"{known}X-Twilio-Signature: {signature}\r\n\r\n"
    ).encode()


def connections(gateway: GatewayProcess) -> int:
    """How many of the clients' connections the gateway has a descriptor of."""
    ours = f":{gateway.port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(ours) and line[3] != LISTENS and line[9] != CLOSED for line in lines)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("way", ["closes", "half-closes", "half-closes after the 101"])
def test_a_client_that_leaves_its_handshake_leaves_no_descriptor(either: GatewayProcess, path: str, way: str) -> None:
    for number in range(EACH):
        with socket.create_connection(("127.0.0.1", either.port)) as client:
            client.sendall(handshake(either, path % number))
            if way == "half-closes after the 101":
                assert client.recv(12) == b"HTTP/1.1 101"
            if way != "closes":
                client.shutdown(socket.SHUT_WR)
                with suppress(ConnectionResetError):
                    while client.recv(65536):
                        pass
    while connections(either):
        time.sleep(0.01)
