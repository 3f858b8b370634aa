"""The order of waiting utterances, with an engine that waits for the test."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from server.embedded.callers import bind_caller
from server.embedded.tts.booth import Booth
from server.embedded.tts.engine import Spoken

if TYPE_CHECKING:
    from collections.abc import Callable


class Waiting:
    """An engine whose sentences last until `go` is set."""

    name = "waiting"
    sample_rate_hz = 8_000
    voices = ()
    variants = ()

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.go = threading.Event()
        self.order: list[str] = []
        self.stopped: list[str] = []

    def speaking_rate(self, speed: float) -> float:
        return speed

    def say(self, text: str, voice_id: str, speed: float, wanted: Callable[[], bool]) -> Spoken:
        self.order.append(text)
        self.go.wait(5)
        if not wanted():
            self.stopped.append(text)
        return Spoken(text.encode())


def say(booth: Booth, group: asyncio.TaskGroup, text: str, *, first: bool) -> asyncio.Task[Spoken]:
    return group.create_task(booth.say(text, "v", 1.0, first=first), name=text)


@pytest.mark.parametrize("at_once", [1, 2])
async def test_first_pieces_go_before_later_ones(at_once: int) -> None:
    engine = Waiting(at_once)
    booth = Booth(engine)
    async with asyncio.TaskGroup() as group:
        for text in ("a", "b", "c", "d"):
            say(booth, group, text, first=False)
        say(booth, group, "new", first=True)
        while len(engine.order) < at_once:
            await asyncio.sleep(0)
        engine.go.set()
    assert engine.order.index("new") <= at_once + 1
    assert sorted(engine.order) == ["a", "b", "c", "d", "new"]
    booth.close()


async def test_one_user_s_utterances_are_not_in_the_way_of_another() -> None:
    engine = Waiting(1)
    booth = Booth(engine)

    async def say_for(user: str, text: str) -> None:
        bind_caller("tts", [("x-user-id", user)])
        await booth.say(text, "v", 1.0, first=True)

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(say_for("many", f"many {number}"), name=f"many {number}")
        group.create_task(say_for("one", "one"), name="one")
        while not engine.order:
            await asyncio.sleep(0)
        engine.go.set()
    assert engine.order.index("one") <= 1
    booth.close()


async def test_who_has_gone_gives_his_place_and_his_thread_back() -> None:
    engine = Waiting(1)
    booth = Booth(engine)
    async with asyncio.TaskGroup() as group:
        speaking, waiting = say(booth, group, "a", first=True), say(booth, group, "b", first=True)
        while not engine.order:
            await asyncio.sleep(0)
        speaking.cancel()
        waiting.cancel()
        await asyncio.sleep(0)
        after = say(booth, group, "c", first=True)
        engine.go.set()
        assert (await after).pcm == b"c"
    assert engine.order == ["a", "c"]
    assert engine.stopped == ["a"]
    booth.close()
