"""Connections that keep us waiting are closed when their time is up, and no others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.net.http.patience import Patience
from tests.support.rest import Rest, running

if TYPE_CHECKING:
    from pathlib import Path

LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v1/agent/intent HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BIG = POST + b"Content-Length: 90000000\r\n\r\n"


class Connection:
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def overdue(self) -> None:
        self.closed.set()


async def test_only_the_overdue_are_closed_each_at_its_own_time() -> None:
    loop = asyncio.get_running_loop()
    patience = Patience(0.05)
    first, served, second = Connection(), Connection(), Connection()
    began = loop.time()
    patience.begin(first)
    patience.begin(served)
    await asyncio.sleep(0.03)
    patience.begin(second)
    patience.end(served)
    await first.closed.wait()
    assert loop.time() - began > 0.049  # uvloop counts milliseconds
    assert not second.closed.is_set()
    await second.closed.wait()
    assert loop.time() - began > 0.079
    assert not served.closed.is_set()
    assert len(patience) == 0


async def test_it_goes_on_after_everybody_left() -> None:
    patience, late = Patience(0.01), Connection()
    patience.begin(Connection())
    while len(patience):
        await asyncio.sleep(0.001)
    patience.begin(late)
    assert len(patience) == 1
    await late.closed.wait()
    assert len(patience) == 0


def waiting(gw: Rest) -> tuple[int, int]:
    return len(gw.server.connections.for_headers), len(gw.server.connections.for_body)


async def test_an_idle_connection_waits_for_headers_only(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        for _ in range(3):
            writer.write(POST + b"Content-Length: 2\r\n\r\n{}")
            assert b" 401 " in await reader.readuntil(b"}")
        writer.write(LIVE)
        await reader.readuntil(b"}")
        while waiting(gw) != (1, 0):
            await asyncio.sleep(0.001)
        assert gw.gateway.requests_running == 0
        writer.close()


@pytest.mark.parametrize("request_bytes", [b"", LIVE[:9], LIVE, b"nonsense\r\n\r\n"])
async def test_who_has_left_is_not_waited_for(tmp_path: Path, request_bytes: bytes) -> None:
    async with running(tmp_path) as gw:
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        while not waiting(gw)[0]:
            await asyncio.sleep(0.001)
        writer.write(request_bytes)
        writer.write_eof()
        await reader.read()
        writer.close()
        while gw.server.connections.open:
            await asyncio.sleep(0.001)
        assert waiting(gw) == (0, 0)


async def test_a_body_refused_by_its_size_is_not_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        assert b" 413 " in await gw.raw(BIG)
        assert waiting(gw)[1] == 0


async def test_a_client_that_leaves_in_its_body_is_not_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        _, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(POST + b"Content-Length: 100\r\n\r\n{")
        while waiting(gw)[1] == 0:
            await asyncio.sleep(0.001)
        writer.close()
        while waiting(gw)[1]:
            await asyncio.sleep(0.001)
        assert not gw.server.connections.open
