"""What a socket does while its client says nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.net.websocket.limits import SocketLimits
from tests.server.net.websocket.client import MESSAGE_BYTES, connected
from tests.server.net.websocket.client_frames import CONTINUATION, PING, PONG, TEXT, frame
from tests.server.net.websocket.echo import Echo
from tests.server.net.websocket.test_fall_back import connected as connected_to_tornados


async def test_a_client_that_is_gone_without_a_word() -> None:
    async with connected(limits=SocketLimits(MESSAGE_BYTES, 1024, ping_interval_s=0.05)) as client:
        assert (await client.frame())[0] == PING
        assert (await client.handler.closed).code == 1006


async def test_a_session_that_asks_a_silent_client_itself_needs_no_ping() -> None:
    async with connected(limits=SocketLimits(MESSAGE_BYTES, 1024, ping_interval_s=0.05, pings_silent=False)) as client:
        await asyncio.sleep(0.25)
        client.send(frame(TEXT, b"a"))
        assert await client.frame() == (TEXT, b"a")


async def test_a_client_that_answers_pings_stays() -> None:
    async with connected(limits=SocketLimits(MESSAGE_BYTES, 1024, ping_interval_s=1)) as client:
        for _ in range(2):
            assert (await client.frame())[0] == PING
            client.send(frame(PONG))
        client.send(frame(TEXT, b"a"))
        while (got := await client.frame())[0] == PING:
            client.send(frame(PONG))
        assert got == (TEXT, b"a")


SIGNS = {
    "ping": frame(PING),
    "pong": frame(PONG),
    "part of a frame": frame(TEXT, bytes(40_000))[:100],
    "part of a head": frame(TEXT, bytes(40_000))[:3],
    "part of a message": frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", fin=False),
}


@pytest.mark.parametrize("connect", [connected, connected_to_tornados])
@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
async def test_the_handler_is_told_of_what_is_no_message(connect: Any, sign: bytes) -> None:
    told = asyncio.Event()

    class Told(Echo):
        def on_part(self) -> None:
            told.set()

        def on_ping(self, _data: bytes) -> None:
            told.set()

        def on_pong(self, _data: bytes) -> None:
            told.set()

    async with connect(handler=Told) as client:
        client.send(sign)
        assert await told.wait()
