"""The hot path of a session: few calls a frame, no wake for nothing, and nothing overtaken."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from streaming.protocol import frame
from tests.support.house import House, housed
from tests.support.live_speech import FRAME_BYTES, LiveSpeech

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    import pytest

    from tests.support.world import World


SPEECH_CALLS = 11  # 10 today; 24 when credit and encoding were looked at first, some sixty when each frame went through a reader, the queue and the writer
# 11.1 today, 4 of them for credit, which the scripted recogniser gives back for each frame; 39 when each frame looked for
# something to write.
WALK_CALLS = 12


def test_microphone_frames_do_not_wake_the_writer() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="stt", params={})
        await socket.until("channel.opened", channel=1)
        await asyncio.sleep(0.1)
        wakes: list[None] = []
        socket.wake = lambda: wakes.append(None)  # type: ignore[method-assign]
        for number in range(20):
            socket.sound(1, number, b"\0" * 640)
        await asyncio.sleep(0.1)
        assert wakes == []  # nothing is due: credit is given back in portions

    housed(test)


def test_the_walk_of_a_microphone_frame_is_short() -> None:
    """Python calls within `streaming/` for each frame, from the socket to the recogniser and its credit back."""

    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="stt", params={})
        await socket.until("channel.opened", channel=1)
        await asyncio.sleep(0.1)
        line = socket.line
        assert line is not None
        frames = [frame.encode(1, b"\0" * 640, seq=number) for number in range(20)]
        calls = calls_in_streaming(lambda each: line.feed([each]), frames)
        assert len(calls) / len(frames) <= WALK_CALLS, calls[: WALK_CALLS + 10]

    housed(test)


def calls_in_streaming(act: Callable[[bytes], None], frames: list[bytes]) -> list[str]:
    """The Python functions of `streaming/` that are called for these frames, in order."""
    calls: list[str] = []

    def on_call(caller: FrameType, event: str, _argument: object) -> None:
        path = caller.f_code.co_filename
        if event == "call" and "/streaming/" in path and "/tests/" not in path:
            calls.append(caller.f_code.co_qualname)

    sys.setprofile(on_call)
    try:
        for each in frames:
            act(each)
    finally:
        sys.setprofile(None)
    return calls


def test_the_walk_of_a_frame_of_speech_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python calls within `streaming/` for each frame, from its arrival to the socket."""

    async def test(house: House, world: World) -> None:
        speech = LiveSpeech()
        monkeypatch.setattr(world, "synthesize", lambda _config, _context: speech)
        socket = await house.enter()
        socket.say(type="channel.open", channel=3, kind="tts", params={"text": "one"})
        socket.say(type="credit", channel=3, bytes=100 * FRAME_BYTES)
        await socket.until("tts.started", channel=3)
        await asyncio.sleep(0.1)
        speech.arrive()
        calls = calls_in_streaming(speech.arrive, [bytes(FRAME_BYTES)] * 20)
        assert len(socket.frames) == 21  # sent in the same call
        assert [each.seq for each in socket.frames] == socket.order[-21:]
        assert speech.refused == []
        assert len(calls) / 20 <= SPEECH_CALLS, calls[2:35]
        assert socket.line is not None
        assert socket.line.traffic.frames_sent == 21
        speech.cancel()

    housed(test)


def test_speech_waits_behind_what_is_queued_and_for_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(house: House, world: World) -> None:
        speech = LiveSpeech()
        monkeypatch.setattr(world, "synthesize", lambda _config, _context: speech)
        socket = await house.enter()
        socket.say(type="channel.open", channel=3, kind="tts", params={"text": "one"})
        socket.say(type="credit", channel=3, bytes=100 * FRAME_BYTES)
        await socket.until("tts.started", channel=3)
        await asyncio.sleep(0.1)
        socket.say(type="call", id="a", op="echo")
        socket.say(type="ping", t=1)  # its answer waits to be sent
        speech.arrive()
        assert socket.frames == []
        await socket.until("result", id="a")
        socket.reading = False
        speech.arrive()
        assert len(socket.frames) == 1
        socket.reading = True
        socket.wake()
        await asyncio.sleep(0.1)
        assert [each.pts_ms for each in socket.frames] == [0, 40]
        assert socket.order == list(range(1, len(socket.order) + 1))
        speech.cancel()

    housed(test)
