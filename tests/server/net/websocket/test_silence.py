"""What a socket does while its client says nothing."""

from __future__ import annotations

import asyncio

from server.net.websocket.limits import SocketLimits
from tests.server.net.websocket.client import MESSAGE_BYTES, connected
from tests.server.net.websocket.client_frames import PING, PONG, TEXT, frame


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
