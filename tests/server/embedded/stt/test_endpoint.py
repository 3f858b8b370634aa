from __future__ import annotations

import pytest

from server.embedded.stt.endpoint import (
    FRAME_BYTES,
    EndpointEvent,
    SpeechBegan,
    SpeechEnded,
    SpeechEndpointer,
    SpeechWent,
    SpeechWentOn,
)
from tests.server.embedded.speech import recording, silence

BYTES_PER_MS = 32


def pcm_of(events: list[EndpointEvent]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, SpeechBegan | SpeechWent))


def turns(events: list[EndpointEvent]) -> list[EndpointEvent]:
    return [event for event in events if not isinstance(event, SpeechWent)]


def speech(ms: int) -> bytes:
    """Somebody who does not pause for breath."""
    words = recording("flite-slt-list-files")[1000 * BYTES_PER_MS : 2400 * BYTES_PER_MS]
    return (words * (ms // 1400 + 1))[: ms * BYTES_PER_MS]


def test_an_utterance_is_cut_out_of_silence() -> None:
    pcm = recording("flite-slt-list-files") + silence(600)
    events = SpeechEndpointer().feed(pcm)
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
    endpointer, frames = SpeechEndpointer(), recording("flite-slt-list-files")
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
    whole = SpeechEndpointer().feed(pcm)
    endpointer = SpeechEndpointer()
    pieces = [event for start in range(0, len(pcm), size) for event in endpointer.feed(pcm[start : start + size])]
    assert pieces == whole


def test_audio_that_is_an_exact_multiple_of_a_frame_keeps_its_last_utterance() -> None:
    pcm = recording("flite-slt-what-time-is-it")[: 40 * FRAME_BYTES]
    endpointer = SpeechEndpointer()
    events = endpointer.feed(pcm) + endpointer.flush()
    assert [type(event) for event in turns(events)] == [SpeechBegan, SpeechEnded]
    assert pcm.endswith(pcm_of(events))


def test_the_rest_of_a_frame_belongs_to_the_utterance() -> None:
    pcm = recording("flite-slt-what-time-is-it")[: 40 * FRAME_BYTES + 100]
    endpointer = SpeechEndpointer()
    assert pcm.endswith(pcm_of(endpointer.feed(pcm) + endpointer.flush()))


def test_a_word_that_had_only_begun_counts_at_the_end() -> None:
    pcm = recording("flite-slt-what-time-is-it")[: 620 * BYTES_PER_MS]
    endpointer = SpeechEndpointer()
    assert endpointer.feed(pcm) == []
    assert [type(event) for event in turns(endpointer.flush())] == [SpeechBegan, SpeechEnded]


def test_silence_leaves_nothing_to_flush() -> None:
    endpointer = SpeechEndpointer()
    assert endpointer.feed(silence(5000)) == []
    assert endpointer.flush() == []


def test_a_short_pause_is_a_pause_and_then_speech_goes_on() -> None:
    endpointer = SpeechEndpointer()
    first = endpointer.feed(speech(700) + silence(300))
    assert isinstance(first[-1], SpeechWent)
    assert first[-1].paused
    assert first[-1].spoken_until_ms <= 800
    events = endpointer.feed(speech(500))
    assert [type(event) for event in turns(events)] == [SpeechWentOn]
    last = events[-1]
    assert isinstance(last, SpeechWent)
    assert not last.paused


def test_nobody_speaks_for_longer_than_half_a_minute() -> None:
    events = SpeechEndpointer().feed(speech(62_000))
    lengths = [len(pcm_of([event])) for event in events]
    assert [type(event) for event in turns(events)] == [SpeechBegan, SpeechEnded] * 2 + [SpeechBegan]
    first_end = next(index for index, event in enumerate(events) if isinstance(event, SpeechEnded))
    assert sum(lengths[:first_end]) == 30_000 * BYTES_PER_MS


def test_utterances_do_not_overlap() -> None:
    pcm = (recording("flite-kal-stop") + silence(300)) * 3
    events = turns(SpeechEndpointer().feed(pcm))
    edges = [event.at_ms for event in events if isinstance(event, SpeechBegan | SpeechEnded)]
    assert len(edges) == 6
    assert edges == sorted(edges)
