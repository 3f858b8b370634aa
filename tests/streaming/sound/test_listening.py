"""A recogniser that breaks on an open microphone: its audio goes to a new stream, and nothing is reported twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from streaming.domain import Trouble
from streaming.lanes.stt import SttLane
from streaming.ports import (
    EagerEnd,
    FinalTranscript,
    RecognitionProgress,
    ServiceError,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
)
from streaming.sound.kept import BYTES_PER_MS, MAX_KEPT_BYTES, TRIM_BYTES
from streaming.sound.listening import PAUSES_S
from streaming.sound.microphone_format import MicrophoneFormat
from streaming.sound.trail import PREROLL_MS, SILENCE_KEPT_MS, UNCERTAIN_KEPT_MS
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.world import World, broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.world import ScriptedRecognition

FRAME_MS = 20


class Room:
    """A microphone whose frames can be told apart, and its recognisers."""

    def __init__(self, *, endpointing: bool = True) -> None:
        self.world, self.outlet = World(), RecordingOutlet()
        self.lane = SttLane(frame_for(self.world, self.outlet), MicrophoneFormat(endpointing=endpointing))
        self.said = 0

    def say(self, ms: int) -> None:
        for _ in range(ms // FRAME_MS):
            self.lane.audio(self.said.to_bytes(2, "little") * (FRAME_MS * BYTES_PER_MS // 2), self.said)
            self.said += 1

    @property
    def newest(self) -> ScriptedRecognition:
        return self.world.recognitions[-1]

    def frames(self) -> list[int]:
        """Those that the newest stream got."""
        heard, step = self.newest.heard, FRAME_MS * BYTES_PER_MS
        return [int.from_bytes(heard[start : start + 2], "little") for start in range(0, len(heard), step)]

    async def breaks(self, code: str = "UNAVAILABLE") -> None:
        before = len(self.world.recognitions)
        self.newest.push(broken("stt", code))
        while len(self.world.recognitions) == before:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)

    async def hears(self, *events: object) -> None:
        self.newest.push(*events)
        await asyncio.sleep(0.01)


def in_a_room(body: Callable[[Room], Awaitable[None]], *, endpointing: bool = True) -> RecordingOutlet:
    async def run() -> RecordingOutlet:
        room = Room(endpointing=endpointing)
        lane = asyncio.get_running_loop().create_task(room.lane.run(), name="lane")
        try:
            await body(room)
            room.lane.end()
            room.newest.push(None)
            await lane
        finally:
            lane.cancel()
        return room.outlet

    return virtual_time.run(run())


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL"])
def test_a_fresh_stream_hears_the_utterance_from_its_beginning_and_only_what_is_new_is_told(code: str) -> None:
    async def body(room: Room) -> None:
        room.say(2_000)
        await room.hears(RecognitionProgress(1_000), SpeechStarted(1_200), EagerEnd(1_700, "what"))
        await room.breaks(code)
        first = room.frames()[0]
        assert first == (1_200 - PREROLL_MS) // FRAME_MS
        room.say(500)
        assert room.frames() == list(range(first, room.said))
        at = first * FRAME_MS
        await room.hears(SpeechStarted(1_180 - at), SpeechStopped(2_000 - at))
        await room.hears(FinalTranscript("what time is it", 0.9, 1_180 - at, 2_000 - at))

    outlet = in_a_room(body)
    assert outlet.names() == [
        "SpeechStarted",
        "EagerEnd",
        "Trouble",
        "SpeechResumed",
        "SpeechStopped",
        "FinalTranscript",
    ]
    assert outlet.of(Trouble)[0].code == code
    assert outlet.of(Trouble)[0].retryable
    assert outlet.of(SpeechResumed)[0].at_ms == 2_000
    assert outlet.of(FinalTranscript) == [FinalTranscript("what time is it", 0.9, 1_180, 2_000)]


def test_what_is_final_is_not_heard_again_and_credit_is_given_back_once() -> None:
    async def body(room: Room) -> None:
        room.say(1_000)
        await room.hears(SpeechStarted(100), SpeechStopped(600), FinalTranscript("one", 0.9, 100, 600))
        await room.breaks()
        assert room.frames() == list(range(30, 50))
        room.say(400)
        await room.hears(SpeechStarted(400), SpeechStopped(700), FinalTranscript("two", 0.9, 400, 700))

    outlet = in_a_room(body)
    assert [final.text for final in outlet.of(FinalTranscript)] == ["one", "two"]
    assert outlet.of(FinalTranscript)[1].start_ms == 1_000
    assert outlet.given_back == 1_400 * BYTES_PER_MS


def test_a_final_that_was_under_way_comes_from_the_fresh_stream() -> None:
    async def body(room: Room) -> None:
        room.say(1_000)
        await room.hears(SpeechStarted(600), SpeechStopped(900))
        await room.breaks()
        await room.hears(SpeechStarted(600), EagerEnd(800, "one"), SpeechResumed(850), SpeechStopped(900))
        await room.hears(FinalTranscript("one", 0.9, 600, 900))

    assert in_a_room(body).names() == ["SpeechStarted", "SpeechStopped", "Trouble", "FinalTranscript"]


@pytest.mark.parametrize("stopped", [False, True])
def test_speech_that_a_fresh_stream_takes_for_noise_ends_without_words(stopped: bool) -> None:
    async def body(room: Room) -> None:
        room.say(1_000)
        await room.hears(SpeechStarted(100), *([SpeechStopped(800)] if stopped else []))
        await room.breaks()
        await room.hears(RecognitionProgress(980))
        assert not room.outlet.of(FinalTranscript)
        await room.hears(RecognitionProgress(1_000), RecognitionProgress(1_400))

    outlet = in_a_room(body)
    assert outlet.names().count("SpeechStopped") == 1
    assert outlet.of(FinalTranscript) == [FinalTranscript("", 0.0, 100, 1_000)]


def test_silence_before_the_break_ends_no_utterance() -> None:
    async def body(room: Room) -> None:
        room.say(1_000)
        await room.hears(RecognitionProgress(900))
        await room.breaks()
        await room.hears(RecognitionProgress(1_000))

    assert in_a_room(body).names() == ["Trouble"]


def test_with_push_to_talk_each_commit_is_answered_once() -> None:
    async def body(room: Room) -> None:
        room.say(1_000)
        room.lane.commit()
        room.say(1_000)
        room.lane.commit()
        await room.hears(SpeechStarted(100), SpeechStopped(800), FinalTranscript("one", 0.9, 100, 800))
        await room.breaks()
        assert room.frames() == list(range(50, 100))
        assert room.newest.commits == 1
        await room.hears(SpeechStarted(0), FinalTranscript("two", 0.9, 0, 900))

    outlet = in_a_room(body, endpointing=False)
    assert [final.text for final in outlet.of(FinalTranscript)] == ["one", "two"]


def test_the_end_of_the_input_is_told_to_the_fresh_stream_too() -> None:
    async def body(room: Room) -> None:
        room.say(400)
        room.world.recognitions[0].end = lambda: None  # type: ignore[method-assign] # it hangs
        room.lane.end()
        await room.breaks()  # the scripted stream ends when it is told so
        assert room.frames() == list(range(20))

    in_a_room(body)


def test_attempts_are_bounded_and_the_first_cause_is_told() -> None:
    async def run() -> None:
        room = Room()
        lane = asyncio.get_running_loop().create_task(room.lane.run(), name="lane")
        room.say(400)
        await room.hears(SpeechStarted(100))
        room.world.failing["stt"] = broken("stt", "CIRCUIT_OPEN")
        room.newest.push(broken("stt", "DEADLINE_EXCEEDED"))
        began = asyncio.get_running_loop().time()
        with pytest.raises(ServiceError, match="DEADLINE_EXCEEDED"):
            await lane
        assert asyncio.get_running_loop().time() - began == pytest.approx(sum(PAUSES_S), abs=0.1)
        assert len(room.world.recognitions) == 1 + len(PAUSES_S)
        assert len(room.outlet.of(Trouble)) == 1

    virtual_time.run(run())


def test_a_recogniser_that_starts_late_is_waited_for_and_one_that_refuses_or_is_known_to_be_down_is_not() -> None:
    async def run(code: str, streams: int) -> None:
        room = Room()
        room.world.failing["stt"] = broken("stt", code)
        room.newest.push(broken("stt", code))
        with pytest.raises(ServiceError, match=code):
            await room.lane.run()
        assert len(room.world.recognitions) == streams

    virtual_time.run(run("UNAVAILABLE", 1 + len(PAUSES_S)))
    virtual_time.run(run("INVALID_ARGUMENT", 1))
    virtual_time.run(run("CIRCUIT_OPEN", 1))


def test_a_recogniser_that_works_again_may_break_again() -> None:
    async def body(room: Room) -> None:
        for _ in range(2 * len(PAUSES_S)):
            room.say(1_000)
            await room.hears(RecognitionProgress(room.said * FRAME_MS))
            await room.breaks()
            await room.hears(RecognitionProgress(100_000))

    assert len(in_a_room(body).of(Trouble)) == 2 * len(PAUSES_S)


@pytest.mark.parametrize(("progress", "kept_ms"), [(True, SILENCE_KEPT_MS), (False, UNCERTAIN_KEPT_MS)])
def test_silence_is_not_kept_for_ever(progress: bool, kept_ms: int) -> None:
    async def body(room: Room) -> None:
        for _ in range(40):
            room.say(1_000)
            if progress:
                await room.hears(RecognitionProgress(room.said * FRAME_MS))
        await room.breaks()
        assert kept_ms <= len(room.frames()) * FRAME_MS <= kept_ms + TRIM_BYTES // BYTES_PER_MS + FRAME_MS

    in_a_room(body)


def test_an_utterance_without_end_is_kept_up_to_a_limit() -> None:
    async def body(room: Room) -> None:
        await room.hears(SpeechStarted(0))
        room.say(120_000)
        await room.breaks()
        assert MAX_KEPT_BYTES - 64_000 <= len(room.newest.heard) <= MAX_KEPT_BYTES + TRIM_BYTES

    in_a_room(body)


def test_empty_frames_are_not_kept() -> None:
    """They cost neither credit nor audio, so nothing else would limit them."""

    async def body(room: Room) -> None:
        room.say(FRAME_MS)
        for _ in range(1_000):
            room.lane.audio(b"")
        room.say(FRAME_MS)
        assert len(room.lane._microphone._kept) == 2
        assert room.frames() == [0, 1]

    in_a_room(body)
