"""A gateway that drains, or is full, refuses new sockets with 503: nginx and HAProxy ask another one, in every dialect.

Health checks have not noticed yet. The gateways here are a few lines of sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.deploy.test_killed_gateways import READY, UPGRADED
from tests.deploy.test_rolling import haproxy
from tests.e2e.test_behind_nginx import nginx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager
    from pathlib import Path


TIMES = 6  # each gateway would be asked first some of these times
MANY = (
    200  # sessions; which of two gateways has one depends on their ports, and a hash may well give six to one of them
)
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
HANDSHAKE = (
    "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

proxies = pytest.mark.parametrize("proxy", [nginx, haproxy], ids=["nginx", "haproxy"])


@asynccontextmanager
async def gateway(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers all requests but health checks so. Gives its port, and the heads of these requests."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            head = await reader.readuntil(b"\r\n\r\n")
            if b" /ready " in head:
                writer.write(READY)
            else:
                heads.append(head)
                writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()


async def status(address: str, request: str) -> str:
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(request.encode())
    line = await reader.readline()
    writer.close()
    return line.decode().split(" ")[1]


@proxies
@pytest.mark.parametrize("path", ["/ws/ada", "/v1/realtime?model=any", "/v1/live/sessions", "/v1/twilio"])
async def test_a_socket_that_one_refuses_is_opened_at_another(
    proxy: Callable[[Path, list[int]], AbstractContextManager[str]], path: str, tmp_path: Path
) -> None:
    async with gateway(REFUSED) as (leaving, refused), gateway(UPGRADED) as (staying, _):
        with proxy(tmp_path, [leaving, staying]) as address:
            for number in range(MANY):
                if refused and number >= TIMES:
                    break
                way = path.replace("ada", f"ada-{number}")
                assert await status(address, f"GET {way} HTTP/1.1\r\n{HANDSHAKE}") == "101"
    assert refused, "one that refuses was asked"


@proxies
async def test_what_is_posted_is_done_once(
    proxy: Callable[[Path, list[int]], AbstractContextManager[str]], tmp_path: Path
) -> None:
    async with gateway(REFUSED) as (one, at_one), gateway(REFUSED) as (other, at_other):
        with proxy(tmp_path, [one, other]) as address:
            request = "POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}"
            assert [await status(address, request) for _ in range(TIMES)] == ["503"] * TIMES
    assert len(at_one) + len(at_other) == TIMES
