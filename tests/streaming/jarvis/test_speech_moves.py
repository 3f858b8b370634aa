"""Speech that its client did not get is spoken again by the next replica, however long the first one took it for played."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streaming.protocol.limits import Limits
from streaming.protocol.messages import TtsParams, TurnParams
from tests.support import virtual_time
from tests.support.house import FakeStore, House
from tests.support.roamer import Roamer
from tests.support.world import RATE_HZ, WORD_MS, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TEXT = "one two three four five six"
REPLY_WORDS = 11  # of the scripted planner's answer to it
WORD_BYTES = 2 * RATE_HZ * WORD_MS // 1000
TTS = TtsParams(text=TEXT)


class Acknowledging(Roamer):
    """Acknowledges as seldom as the protocol allows, and answers pings. `goes_deaf_at`: nothing arrives after that many messages."""

    def __init__(self, *, goes_deaf_at: int = 1_000_000) -> None:
        super().__init__()
        self.goes_deaf_at = goes_deaf_at

    def deliver(self, item: str | bytes) -> None:
        if self.delivered < self.goes_deaf_at:
            super().deliver(item)

    def heard_bytes(self) -> int:
        return sum(len(payload) for frames in self.audio.values() for _, _, payload in frames)


def two(test: Callable[[House, House, FakeStore], Awaitable[None]]) -> None:
    async def body() -> None:
        world, store = World(), FakeStore()
        async with asyncio.TaskGroup() as group:
            first, second = (House(world, group, Limits(), store) for _ in range(2))
            await test(first, second, store)
            for house in (first, second):
                await house.sessions.close()

    virtual_time.run(body())


@pytest.mark.parametrize("goes_deaf_at", range(3, 40, 5))
@pytest.mark.parametrize(("params", "words"), [(TTS, 6), (TurnParams(text=TEXT), REPLY_WORDS)], ids=["tts", "turn"])
def test_what_was_lost_on_the_way_is_spoken_elsewhere(params: Any, words: int, goes_deaf_at: int) -> None:
    async def test(first: House, second: House, _store: FakeStore) -> None:
        roamer = Acknowledging(goes_deaf_at=goes_deaf_at)
        await roamer.connect(first)
        roamer.open(params)
        await asyncio.sleep(18)  # the network is dead, but nobody has noticed yet; the speech lasts 1.2 s
        roamer.cut()
        await roamer.crash()
        roamer.goes_deaf_at = 1_000_000
        await roamer.connect(second)
        closed = await roamer.until("channel.closed")
        assert closed["status"] == "'ok'"
        assert roamer.heard_bytes() == words * WORD_BYTES

    two(test)


def test_what_waited_for_its_record_is_spoken_elsewhere() -> None:
    """The second replica takes speech for played while its client still waits for `session.resumed`."""

    async def test(first: House, second: House, store: FakeStore) -> None:
        roamer = Acknowledging()
        await roamer.connect(first)
        roamer.open(TTS)
        await roamer.until("tts.started")
        await asyncio.sleep(0.3)
        await roamer.crash()
        await roamer.connect(second)
        store.slow_s = 4.0  # a write now takes longer than the rest of the sentence
        await asyncio.sleep(3.9)
        roamer.cut()
        store.slow_s = 0.001
        await asyncio.sleep(5)
        await roamer.crash()
        await roamer.connect(first)
        await roamer.until("channel.closed")
        assert roamer.heard_bytes() == len(TEXT.split()) * WORD_BYTES

    two(test)


def test_many_moves_in_a_row_leave_no_gap() -> None:
    async def test(first: House, second: House, _store: FakeStore) -> None:
        roamer = Acknowledging()
        await roamer.connect(first)
        channel = roamer.open(TTS)
        await roamer.until("tts.started")
        await asyncio.sleep(0.2)
        for house in (second, first, second, first, second):
            roamer.goes_deaf_at = 0
            roamer.client.report_playback(channel, 400)
            roamer.flush()
            await asyncio.sleep(0.6)
            await roamer.crash()
            roamer.goes_deaf_at = 1_000_000
            await roamer.connect(house)
            await asyncio.sleep(0.01)
        await roamer.until("channel.closed")
        assert roamer.heard_bytes() == len(TEXT.split()) * WORD_BYTES

    two(test)


def test_a_client_that_confirms_nothing_is_not_waited_for_without_end() -> None:
    class Mute(Roamer):
        def flush(self) -> None:
            socket = self.socket
            while (
                socket is not None and socket.open and socket.line is not None and (batch := self.client.data_to_send())
            ):
                socket.line.feed([item for item in batch if '"pong"' not in str(item) and '"ack"' not in str(item)])

    async def test(first: House, _second: House, _store: FakeStore) -> None:
        roamer = Mute()
        await roamer.connect(first)
        roamer.open(TTS)
        began = asyncio.get_running_loop().time()
        await roamer.until("channel.closed")
        assert asyncio.get_running_loop().time() - began < 60

    two(test)
