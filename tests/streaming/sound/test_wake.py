"""The wake word with its real model, on audio time, and the gate that it opens."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import ServiceError
from streaming.sound.wake import AWAKE_MS, BYTES_PER_MS, HELD_MS, Attention, WakeGate, WakeWord
from tests.server.embedded.speech import recording, silence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FRAME_BYTES = 640


class Word:
    """Stands for the model: is said where the audio begins with "wake"."""

    def __init__(self) -> None:
        self.given = bytearray()
        self.forgotten = 0

    def heard(self, pcm: bytes) -> bool:
        self.given += pcm
        return pcm.startswith(b"wake")

    def forget(self) -> None:
        self.forgotten += 1


@dataclass
class World:
    """What the gate asks about."""

    busy: bool = False
    deaf: bool = False


class Gate(WakeGate):
    """Says when it has listened to what it was fed."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.listened = asyncio.Event()

    async def _pass_on(self, pcm: bytes) -> None:
        await super()._pass_on(pcm)
        self.listened.set()


class Microphone:
    """A gate that runs, and what came through it."""

    def __init__(self, word: object, world: World) -> None:
        self.through = bytearray()
        attention = Attention(lambda: world.busy, lambda: world.deaf)
        self.gate = Gate(attention, self.through.extend, word)

    def awake(self) -> bool:
        return self.gate.awake

    async def hear(self, pcm: bytes) -> bytes:
        """What comes through of this audio, and of what was held before."""
        before = len(self.through)
        for start in range(0, len(pcm), FRAME_BYTES):
            self.gate.listened.clear()
            self.gate.feed(pcm[start : start + FRAME_BYTES])
            await self.gate.listened.wait()
        return bytes(self.through[before:])

    async def then(self, act: Callable[[], None]) -> None:
        done = asyncio.Event()
        self.gate.then(act)
        self.gate.then(done.set)
        await done.wait()


async def running(word: object, world: World, group: asyncio.TaskGroup) -> tuple[Microphone, asyncio.Task[None]]:
    microphone = Microphone(word, world)
    return microphone, group.create_task(microphone.gate.run(), name="gate")


def frame(begin: bytes) -> bytes:
    return begin.ljust(FRAME_BYTES, b"\1")


async def test_silence_comes_through_until_the_word_and_then_what_follows_it() -> None:
    async with asyncio.TaskGroup() as group:
        microphone, task = await running(Word(), World(), group)
        before = await microphone.hear(frame(b"chat") * 50)
        assert not any(before)
        assert len(before) == 50 * FRAME_BYTES - HELD_MS * BYTES_PER_MS
        woken = await microphone.hear(frame(b"wake"))
        assert woken == (frame(b"chat") * 50 + frame(b"wake"))[-HELD_MS * BYTES_PER_MS :].rjust(len(woken), b"\0")
        assert await microphone.hear(frame(b"what time is it")) == frame(b"what time is it")
        assert len(microphone.through) == 52 * FRAME_BYTES, "no sample is lost or added"
        task.cancel()


async def test_what_follows_the_word_in_the_same_audio_comes_through() -> None:
    before, after = frame(b"chat") * 50 + frame(b"wake"), frame(b"what time is it") * 50
    async with asyncio.TaskGroup() as group:
        microphone, task = await running(Word(), World(), group)
        microphone.gate.feed(before + after)
        lengths: list[int] = []
        await microphone.then(lambda: lengths.append(len(microphone.through)))
        assert lengths == [len(before + after)], "no sample is lost or added"
        heard = (before + after)[len(before) - HELD_MS * BYTES_PER_MS :]
        assert microphone.through == heard.rjust(len(before + after), b"\0")
        task.cancel()


async def test_it_falls_asleep_some_seconds_after_the_conversation() -> None:
    world = World()
    async with asyncio.TaskGroup() as group:
        microphone, task = await running(Word(), world, group)
        world.busy = True
        await microphone.hear(frame(b"wake") + frame(b"talk") * (AWAKE_MS // 20 + 100))
        assert microphone.awake()
        world.busy = False
        await microphone.hear(frame(b"still") * (AWAKE_MS // 20 - 2))
        assert microphone.awake()
        await microphone.hear(frame(b"late"))
        assert not microphone.awake()
        assert not any(await microphone.hear(frame(b"chat") * 20))
        await microphone.hear(frame(b"wake"))
        assert microphone.awake()
        task.cancel()


async def test_it_is_deaf_while_the_gateway_speaks() -> None:
    word, world = Word(), World(deaf=True)
    async with asyncio.TaskGroup() as group:
        microphone, task = await running(word, world, group)
        await microphone.hear(frame(b"wake") * 3)
        assert not microphone.awake()
        assert not word.given
        world.deaf = False
        await microphone.hear(frame(b"wa") + frame(b"wake"))
        assert microphone.awake()
        task.cancel()


async def test_what_is_held_is_silence_at_a_commit() -> None:
    async with asyncio.TaskGroup() as group:
        microphone, task = await running(Word(), World(), group)
        await microphone.hear(frame(b"chat") * 3)
        lengths: list[int] = []
        await microphone.then(lambda: lengths.append(len(microphone.through)))
        assert lengths == [3 * FRAME_BYTES]
        assert not any(microphone.through)
        task.cancel()


def test_the_model_hears_its_word_and_no_other() -> None:
    word = WakeWord()
    for name in ("flite-slt-what-time-is-it", "human-card-001", "flite-slt-list-files"):
        assert not word.heard(recording(name) + silence(500)), name
    word.forget()
    assert word.heard(recording("hibari-hey-jarvis") + silence(500))


def test_without_the_extra_it_is_refused_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymicro_wakeword", None)
    with pytest.raises(ServiceError, match="the extra `wake`"):
        WakeWord()


def test_one_that_does_not_load_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pymicro_wakeword.py").write_text(
        "raise OSError('libtensorflowlite_c.so: cannot open shared object file')\n"
    )
    monkeypatch.delitem(sys.modules, "pymicro_wakeword", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ServiceError, match="does not load here: OSError"):
        WakeWord()
