"""Gateways that die and come back, behind each proxy with an example in deploy/: all sessions are let in again at once.

A proxy may count a WebSocket as a success only when it ends. nginx with `max_fails=1` let one socket through in two seconds to a gateway
that had failed once, and answered the others 502 as soon as each gateway had failed. The gateways here are a few lines of sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.deploy.test_rolling import caddy, haproxy
from tests.e2e.test_behind_nginx import nginx
from tests.support.gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path


SESSIONS = 20
NOTICED_S = 30.0  # health checks see it in two; a proxy that lets one socket through each two seconds takes 40
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
READY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ASK = (
    "GET /ws/s{} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class FakeGateway:
    """Accepts every WebSocket and keeps it open."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/ready" in head:
                writer.write(READY)
                writer.close()
            else:
                writer.write(UPGRADED)
                await reader.read()

    def kill(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def _stay(address: str, number: int, connected: set[int]) -> None:
    """One session's client: it connects again whenever it lost its socket. Runs until cancelled."""
    host, port = address.split(":")
    while True:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(ASK.format(number).encode())
            if b" 101 " in await reader.readline():
                connected.add(number)
                while await reader.read(100):
                    pass
        except OSError:
            pass  # the gateway died
        finally:
            connected.discard(number)
            writer.transport.abort()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("proxy", "notices_s"), [(nginx, 0.0), (haproxy, 1.5), (caddy, 1.0)], ids=["nginx", "haproxy", "caddy"]
)
async def test_gateways_that_were_each_killed_once_take_all_sessions_again(
    proxy: Callable[[Path, list[int]], AbstractContextManager[str]], notices_s: float, tmp_path: Path
) -> None:
    gateways = [FakeGateway(), FakeGateway()]
    for gateway in gateways:
        await gateway.start()
    connected: set[int] = set()

    async def all_are_in() -> None:
        async with asyncio.timeout(NOTICED_S):
            while len(connected) < SESSIONS:
                await asyncio.sleep(0.02)

    with proxy(tmp_path, [gateway.port for gateway in gateways]) as address:
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(_stay(address, number, connected)) for number in range(SESSIONS)]
            for gateway in gateways:
                await all_are_in()
                gateway.kill()
                await asyncio.sleep(0.1)
                await all_are_in()
                await gateway.start()
                await asyncio.sleep(notices_s)  # by its health checks
            gateways[0].kill()
            await asyncio.sleep(0.1)
            await all_are_in()
            assert len(connected) == SESSIONS
            for client in clients:
                client.cancel()
    for gateway in gateways:
        gateway.kill()
