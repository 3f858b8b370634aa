"""All sockets of one user share what each of them may have of the loop."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any, Self

from server.net.loop_turns import AT_ONCE_S, COST_S, SHARE_S, USERS_SHARE, LoopTurns
from server.net.websocket.socket import FrameSocket
from tests.server.net.websocket.client import Client, connected
from tests.server.net.websocket.client_frames import BINARY, TEXT, frame
from tests.server.net.websocket.echo import Echo

SOCKETS = 20
DEAR_S = 0.0005


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class Crowded:
    """Sockets of some users that share the loop, and what they were heard to say in each iteration of it."""

    def __init__(self) -> None:
        self.turns = LoopTurns()
        self.heard: list[str | bytes] = []
        crowded, self._stack = self, AsyncExitStack()

        class Handler(Echo):
            def get_websocket_protocol(self) -> Any:
                return FrameSocket(self, self.limits, crowded.turns)

            def on_message(self, message: str | bytes) -> None:
                crowded.heard.append(message)
                if type(message) is str:
                    asyncio.get_running_loop().call_soon(busy, DEAR_S)  # what it costs is in the task that it starts

        self._handler = Handler

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def socket(self, user_id: str) -> FrameSocket:
        client: Client = await self._stack.enter_async_context(connected(handler=self._handler))
        socket = client.handler.ws_connection
        assert isinstance(socket, FrameSocket)
        socket.belongs_to(user_id)
        return socket


async def test_what_comes_at_once_at_all_sockets_of_a_user_is_taken_in_turns() -> None:
    async with Crowded() as crowded:
        sockets = [await crowded.socket("eve") for _ in range(SOCKETS)]
        for socket in sockets:
            socket.data_received(frame(TEXT, b"x" * 200) * 3)
        assert len(crowded.heard) <= AT_ONCE_S / COST_S + 3
        most = 0
        while len(crowded.heard) < 3 * SOCKETS:
            before = len(crowded.heard)
            await asyncio.sleep(0)
            most = max(most, len(crowded.heard) - before)
        assert most <= 3


async def test_another_user_is_taken_at_once() -> None:
    async with Crowded() as crowded:
        sockets = [await crowded.socket("eve") for _ in range(SOCKETS)]
        honest = await crowded.socket("ada")
        for socket in sockets:
            socket.data_received(frame(TEXT, b"x" * 200) * 3)
        before = len(crowded.heard)
        honest.data_received(frame(TEXT, b"y" * 200))
        assert crowded.heard[before:] == ["y" * 200]


async def test_audio_of_the_same_user_never_waits() -> None:
    """A hundred microphones of a service account, one of whose sockets sends what is dear."""
    async with Crowded() as crowded:
        dear, microphone = await crowded.socket("eve"), await crowded.socket("eve")
        dear._share.take(2 * USERS_SHARE * SHARE_S)
        assert microphone._crowd.full
        for number in range(100):
            microphone.data_received(frame(BINARY, b"%03d" % number + bytes(637)))
        assert len(crowded.heard) == 100
        microphone.data_received(frame(TEXT, b"x" * 200))
        assert len(crowded.heard) == 100
        while len(crowded.heard) == 100:
            await asyncio.sleep(0)


async def test_cheap_messages_of_many_sockets_need_no_turns() -> None:
    async with Crowded() as crowded:
        sockets = [await crowded.socket("ada") for _ in range(SOCKETS)]
        for _ in range(40):  # until it is known what they cost
            sockets[0]._crowd.run(sockets[0]._share, 1, lambda _: None, None)
            for _ in range(3):
                await asyncio.sleep(0)
        for socket in sockets:
            socket.data_received(frame(TEXT, b"x" * 200))
        assert len(crowded.heard) == SOCKETS


async def test_a_user_without_sockets_is_forgotten() -> None:
    async with Crowded() as crowded:
        sockets = [await crowded.socket(user) for user in ("ada", "ada", "eve")]
        assert set(crowded.turns._crowds) == {"ada", "eve"}
        assert sockets[0]._crowd is sockets[1]._crowd
    while crowded.turns._crowds:
        await asyncio.sleep(0)
