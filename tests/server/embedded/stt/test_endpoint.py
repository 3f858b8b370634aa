from __future__ import annotations

import numpy as np
import pytest

from server.embedded.stt.endpoint import (
    PAUSE_FRAMES,
    EndpointEvent,
    SpeechBegan,
    SpeechEnded,
    SpeechEndpointer,
    SpeechPaused,
    SpeechWent,
    SpeechWentOn,
)
from server.embedded.stt.voice_detector import FRAME_BYTES, Silero
from tests.server.embedded.speech import recording, silence

BYTES_PER_MS = 32
SILERO = Silero()


class Ear(SpeechEndpointer):
    """With its events at once, as tests want them."""

    def __init__(self) -> None:
        super().__init__(SILERO.stream())

    def feed(self, pcm: bytes) -> list[EndpointEvent]:
        self.push(pcm)
        return list(iter(self.next, None))


def sound(samples: np.ndarray) -> bytes:
    pcm: bytes = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    return pcm


TIME_S = np.arange(160_000) / 16_000  # ten seconds
NOISE = np.random.default_rng(1).normal(0, 1, len(TIME_S))
SOUNDS = {
    "noise": lambda: sound(0.1 * NOISE),
    "hum": lambda: sound(0.3 * np.sin(2 * np.pi * 50 * TIME_S) + 0.1 * np.sin(2 * np.pi * 150 * TIME_S)),
    "tones": lambda: sound(0.3 * np.sin(2 * np.pi * 220 * (1 + np.floor(TIME_S * 2) % 4 / 4) * TIME_S)),
    "knocks": lambda: sound(np.exp(-30 * (TIME_S % 0.7)) * (0.6 * np.sin(2 * np.pi * 180 * TIME_S) + 0.2 * NOISE)),
}


def pcm_of(events: list[EndpointEvent]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, SpeechBegan | SpeechWent))


def turns(events: list[EndpointEvent]) -> list[EndpointEvent]:
    return [event for event in events if not isinstance(event, SpeechWent | SpeechPaused)]


def speech(ms: int) -> bytes:
    """Somebody who does not pause for breath."""
    words = recording("flite-slt-list-files")[1000 * BYTES_PER_MS : 2400 * BYTES_PER_MS]
    return (words * (ms // 1400 + 1))[: ms * BYTES_PER_MS]


def test_an_utterance_is_cut_out_of_silence() -> None:
    pcm = recording("flite-slt-list-files") + silence(600)
    events = Ear().feed(pcm)
    began, *_, ended = events
    assert isinstance(began, SpeechBegan)
    assert isinstance(ended, SpeechEnded)
    assert len(turns(events)) == 2
    cut = pcm_of(events)
    start = began.pcm_from_ms * BYTES_PER_MS
    assert pcm[start : start + len(cut)] == cut
    assert began.pcm_from_ms < began.at_ms < ended.at_ms
    assert len(pcm) // BYTES_PER_MS > began.pcm_from_ms + len(cut) // BYTES_PER_MS >= ended.at_ms + 400


def test_the_start_is_told_within_a_fifth_of_a_second_of_it() -> None:
    endpointer, frames = Ear(), recording("flite-slt-list-files")
    for start in range(0, len(frames), FRAME_BYTES):
        events = endpointer.feed(frames[start : start + FRAME_BYTES])
        if events:
            assert isinstance(events[0], SpeechBegan)
            assert endpointer.now_ms - events[0].at_ms <= 180
            return
    pytest.fail("no speech was found")


@pytest.mark.parametrize("size", [2, 958, 960, 962, 5000])
def test_the_size_of_the_pieces_changes_nothing(size: int) -> None:
    pcm = recording("flite-kal-yes-please") + silence(600)
    whole = Ear().feed(pcm)
    endpointer = Ear()
    pieces = [event for start in range(0, len(pcm), size) for event in endpointer.feed(pcm[start : start + size])]
    assert pieces == whole


def test_audio_that_is_an_exact_multiple_of_a_frame_keeps_its_last_utterance() -> None:
    pcm = recording("flite-slt-what-time-is-it")[: 40 * FRAME_BYTES]
    endpointer = Ear()
    events = endpointer.feed(pcm) + endpointer.flush()
    assert [type(event) for event in turns(events)] == [SpeechBegan, SpeechEnded]
    assert pcm.endswith(pcm_of(events))


def test_the_rest_of_a_frame_belongs_to_the_utterance() -> None:
    pcm = recording("flite-slt-what-time-is-it")[: 40 * FRAME_BYTES + 100]
    endpointer = Ear()
    assert pcm.endswith(pcm_of(endpointer.feed(pcm) + endpointer.flush()))


def test_a_word_that_had_only_begun_counts_at_the_end() -> None:
    pcm = recording("flite-slt-what-time-is-it")[: 620 * BYTES_PER_MS]
    endpointer = Ear()
    assert endpointer.feed(pcm) == []
    assert [type(event) for event in turns(endpointer.flush())] == [
        SpeechBegan,
        SpeechEnded,
    ]


def test_silence_leaves_nothing_to_flush() -> None:
    endpointer = Ear()
    assert endpointer.feed(silence(5000)) == []
    assert endpointer.flush() == []


def test_a_short_pause_is_a_pause_and_then_speech_goes_on() -> None:
    endpointer = Ear()
    first = endpointer.feed(speech(700) + silence(320))
    assert [event.at_ms <= 900 for event in first if isinstance(event, SpeechPaused)] == [True]
    assert [type(event) for event in turns(endpointer.feed(speech(500)))] == [SpeechWentOn]


class Told:
    """Is told in which frames somebody speaks: "x", else "."."""

    def __init__(self, frames: str) -> None:
        self._frames = iter(frames)

    def probabilities(self, pcm: bytes) -> list[float]:
        return [float(next(self._frames) == "x") for _ in range(len(pcm) // FRAME_BYTES)]


@pytest.mark.parametrize(
    ("after_the_pause", "goes_on"),
    [
        ("", None),
        ("...", None),
        ("....", False),
        ("....xx", False),
        ("xx", True),
        ("x.x", True),
        ("..xx", True),
        ("...xx", False),
    ],
)
def test_audio_that_came_already_tells_whether_speech_goes_on(after_the_pause: str, *, goes_on: bool | None) -> None:
    """Of 288 ms, nine frames, five are the pause."""
    frames = "." * 4 + "x" * 10 + "." * PAUSE_FRAMES + after_the_pause
    endpointer = SpeechEndpointer(Told(frames), silence_ms=288)
    endpointer.push(bytes(len(frames) * FRAME_BYTES))
    events = iter(endpointer.next, None)
    assert any(isinstance(event, SpeechPaused) for event in events)
    assert endpointer.goes_on_within(288) is goes_on
    ends = [isinstance(event, SpeechWentOn) for event in events if isinstance(event, SpeechWentOn | SpeechEnded)]
    assert ends[:1] == ([] if goes_on is None else [goes_on]), "as it then happens"


@pytest.mark.parametrize("needed_ms", [288, 960])
def test_as_much_silence_ends_an_utterance_as_was_asked_for_at_its_pause(
    needed_ms: int,
) -> None:
    endpointer = Ear()
    endpointer.push(recording("flite-kal-stop") + silence(2000))
    spoken_until_ms = 0
    while (event := endpointer.next()) is not None:
        if isinstance(event, SpeechPaused):
            spoken_until_ms = event.at_ms
            endpointer.silence_needed_ms = needed_ms
        if isinstance(event, SpeechEnded):
            assert needed_ms <= endpointer.now_ms - spoken_until_ms <= needed_ms + 32
            return
    pytest.fail("the utterance did not end")


@pytest.mark.parametrize("kind", ["noise", "hum", "tones", "knocks"])
def test_sounds_that_are_no_voice_begin_nothing(kind: str) -> None:
    assert Ear().feed(SOUNDS[kind]()) == []


def test_nobody_speaks_for_longer_than_half_a_minute() -> None:
    events = Ear().feed(speech(62_000))
    lengths = [len(pcm_of([event])) for event in events]
    assert [type(event) for event in turns(events)] == [
        SpeechBegan,
        SpeechEnded,
    ] * 2 + [SpeechBegan]
    first_end = next(index for index, event in enumerate(events) if isinstance(event, SpeechEnded))
    assert sum(lengths[:first_end]) == 28_000 // 32 * FRAME_BYTES


def test_utterances_do_not_overlap() -> None:
    pcm = (recording("flite-kal-stop") + silence(300)) * 3
    events = turns(Ear().feed(pcm))
    edges = [event.at_ms for event in events if isinstance(event, SpeechBegan | SpeechEnded)]
    assert len(edges) == 6
    assert edges == sorted(edges)


class Sure:
    """A voice detector that is as sure as the first byte of a frame says, in percent."""

    def probabilities(self, pcm: bytes) -> list[float]:
        return [pcm[start] / 100 for start in range(0, len(pcm), FRAME_BYTES)]


def heard_at(percent: int, threshold: float) -> bool:
    ear = SpeechEndpointer(Sure(), threshold)
    ear.push(bytes([percent]) * FRAME_BYTES * 10)
    return any(isinstance(event, SpeechBegan) for event in iter(ear.next, None))


def test_the_threshold_is_where_speech_begins() -> None:
    assert [heard_at(60, threshold) for threshold in (0.3, 0.5, 0.8)] == [True, True, False]
    assert [heard_at(40, threshold) for threshold in (0.3, 0.5, 0.8)] == [True, False, False]


def test_an_utterance_that_nobody_looks_at_ends_after_the_silence_asked_for() -> None:
    for silence_ms in (320, 960):
        ear = SpeechEndpointer(Sure(), silence_ms=silence_ms)
        ear.push(bytes([90]) * FRAME_BYTES * 20 + bytes(FRAME_BYTES * 100))
        ended = [ear.now_ms - event.at_ms for event in iter(ear.next, None) if isinstance(event, SpeechEnded)]
        assert ended == [silence_ms]
