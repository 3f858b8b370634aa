"""Timeouts: connections that keep the server waiting are closed, and no others."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from server.net.http import connection as connection_module
from server.net.http.patience import Patience
from tests.support import virtual_time
from tests.support.rest import Rest, running

if TYPE_CHECKING:
    from pathlib import Path

LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v1/agent/intent HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BIG = POST + b"Content-Length: 90000000\r\n\r\n"


class Connection:
    closed_at: float | None = None

    def overdue(self) -> None:
        self.closed_at = asyncio.get_running_loop().time()


def test_only_the_overdue_are_closed_each_at_its_own_time() -> None:
    first, served, second = Connection(), Connection(), Connection()

    async def run() -> int:
        patience = Patience(5)
        patience.begin(first)
        patience.begin(served)
        await asyncio.sleep(3)
        patience.begin(second)
        patience.end(served)
        await asyncio.sleep(60)
        return len(patience)

    assert virtual_time.run(run()) == 0
    assert (first.closed_at, served.closed_at, second.closed_at) == (5, None, 8)


async def test_it_goes_on_after_everybody_left() -> None:
    patience, late = Patience(0.01), Connection()
    patience.begin(Connection())
    while len(patience):
        await asyncio.sleep(0.001)
    patience.begin(late)
    assert len(patience) == 1
    while len(patience):
        await asyncio.sleep(0.001)
    assert late.closed_at


def waiting(gw: Rest) -> tuple[int, int]:
    connections = gw.server.connections
    return len(connections.for_headers) + len(connections.for_head), len(connections.for_body)


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


@pytest.mark.parametrize(
    "begun",
    [LIVE[:9], LIVE + LIVE[:9], LIVE * 20 + LIVE[:9]],
    ids=["first", "second, with the one before", "after many"],
)
async def test_a_head_that_comes_line_by_line_ends_the_connection_soon(
    tmp_path: Path, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "LINGER_S", 60.0)  # on a busy machine, the client reads its answer later
    async with running(tmp_path) as gw:
        gw.server.connections.for_head.limit_s = 0.1
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(begun)
        answers, number = b"", 0
        while b" 408 " not in answers:
            writer.write(b"X-%d: y\r\n" % number if number else b" HTTP/1.1\r\n")
            number += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    answers += await reader.read(65536)
        writer.close()
    assert answers.count(b" 200 ") == begun.count(b"Host")


async def test_a_connection_may_be_idle_for_longer_than_a_head_may_take(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.server.connections.for_head.limit_s = 0.05
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(LIVE)
        await reader.readuntil(b"}")
        assert len(gw.server.connections.for_head) == 0
        await asyncio.sleep(0.1)
        writer.write(LIVE)
        assert b" 200 " in await reader.readuntil(b"}")
        writer.close()
