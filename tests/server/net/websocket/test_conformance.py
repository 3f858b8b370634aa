"""RFC 6455 case by case, with Autobahn's numbers, against a FrameSocket. `make conformance` adds the long cases."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.server.net.websocket.cases import CASES, LONG, Case
from tests.server.net.websocket.client import Client, connected
from tests.server.net.websocket.client_frames import CLOSE
from tests.server.net.websocket.echo import Echo

RUN = CASES | LONG if os.environ.get("CONFORMANCE") else CASES


async def answers(client: Client) -> tuple[list[tuple[int, bytes]], int]:
    """All frames up to the close, and its code; 1005 when it has none. Behind it the server ends the connection."""
    found = []
    while (got := await client.frame())[0] != CLOSE:
        found.append(got)
    assert await client.reader.read() == b""
    return found, int.from_bytes(got[1][:2], "big") or 1005


async def send(client: Client, pieces: tuple[bytes, ...]) -> None:
    for piece in pieces:
        client.send(piece)
        await asyncio.sleep(0)
        await client.writer.drain()


@pytest.mark.parametrize("case", RUN.values(), ids=RUN)
async def test_case(case: Case) -> None:
    async with connected(limits=Echo.limits) as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(send(client, case.pieces), name="client")
        found, code = await answers(client)
        assert len(found) == len(case.answers)
        assert tuple(found) == case.answers
        assert code in case.codes


def test_there_are_as_many_as_autobahn_has() -> None:
    assert len(CASES) + len(LONG) == 301
