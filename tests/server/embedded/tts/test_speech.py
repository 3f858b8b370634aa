from __future__ import annotations

import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.embedded.tts.engine import Spoken, WordMark
from server.embedded.tts.level import volume_percent, with_soft_edges
from server.embedded.tts.manner import Manner
from server.embedded.tts.pieces import Boundary, Piece
from server.embedded.tts.speech import Speech, timed_words
from server.embedded.tts.voices import spelled


def test_a_word_with_several_marks_is_one_word_and_one_without_is_none() -> None:
    spoken = Spoken(b"", (WordMark(0, 0), WordMark(5, 300), WordMark(6, 400), WordMark(6, 500), WordMark(13, 900)))
    words = timed_words("Pay, $5.00 – now", spoken, 1200)
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [
        ("Pay,", 0, 300),
        ("$5.00", 300, 900),
        ("now", 900, 1200),
    ]


def test_an_engine_without_marks_has_its_time_shared_out_by_letters() -> None:
    words = timed_words("a bbb", Spoken(b"", ()), 400)
    assert [(word.text, word.start_ms, word.end_ms) for word in words] == [("a", 0, 100), ("bbb", 100, 400)]


def test_edges_are_faded_and_the_middle_is_left_alone() -> None:
    loud = array.array("h", [10_000] * 1000)
    soft = array.array("h", with_soft_edges(loud.tobytes(), 22_050))
    assert soft[0] == soft[-1] == 0
    assert max(abs(after - sample) for sample, after in pairwise(soft)) < 200
    assert set(soft[100:-100]) == {10_000}
    assert with_soft_edges(b"", 22_050) == b""


def test_volume_brings_loud_and_quiet_voices_together_but_never_to_the_limit() -> None:
    def wave(level: int) -> bytes:
        return array.array("h", [level, -level] * 500).tobytes()

    assert volume_percent(wave(6_000)) == 50
    assert volume_percent(wave(2_000)) == 150
    assert volume_percent(wave(0)) == 100
    spiky = array.array("h", [32_000] + [100] * 999).tobytes()
    assert volume_percent(spiky) <= 88


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("en-us", "en-US"), ("cmn-latn-pinyin", "cmn-Latn-pinyin"), ("en-gb-x-rp", "en-GB-x-rp"), ("es-419", "es-419")],
)
def test_language_tags_are_spelled_as_usual(tag: str, expected: str) -> None:
    assert spelled(tag) == expected


@pytest.mark.parametrize("tempo", [1.0, 0.55, 1.7])
def test_length_and_words_follow_the_tempo(tempo: float) -> None:
    speech = Speech(Manner("v", 1.0, tempo), 22_050)
    piece = Piece("one two", Boundary.SENTENCE)
    spoken = Spoken(bytes(2 * 22_050), (WordMark(0, 0), WordMark(4, 500)))
    responses = [*speech.responses(piece, spoken), *speech.finish()]
    words = [word for response in responses for word in response.words.words]
    assert [(word.start_ms, word.end_ms) for word in words] == [
        (0, round(500 / tempo)),
        (round(500 / tempo), round(1000 / tempo)),
    ]
    assert responses[-1].done.duration_ms == pytest.approx(1000 / tempo, abs=2)
    assert sum(len(response.audio) for response in responses) == pytest.approx(2 * 22_050 / tempo, abs=100)


@given(
    marks=st.lists(
        st.tuples(st.integers(0, 12), st.floats(-500, 3_000), st.none() | st.floats(-500, 3_000)), max_size=6
    ),
    n_ms=st.integers(1, 1_500),
    speed=st.floats(0.25, 4.0),
)
def test_whatever_an_engine_tells_words_are_in_order_within_the_audio(
    marks: list[tuple[int, float, float | None]], n_ms: int, speed: float
) -> None:
    """A negative time is refused by the message itself, and ended the whole utterance."""
    speech = Speech(Manner("v", 1.0, speed), 24_000)
    spoken = Spoken(bytes(48 * n_ms), tuple(WordMark(*mark) for mark in sorted(marks, key=lambda mark: mark[0])))
    responses = [*speech.responses(Piece("one, two 3 é", Boundary.SENTENCE), spoken), *speech.finish()]
    words = [word for response in responses for word in response.words.words]
    edges = [edge for word in words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert max(edges, default=0) <= responses[-1].done.duration_ms
    assert len(words) == (len({"one, two 3 é"[: at + 1].count(" ") for at, _, _ in marks if at < 12}) or 4)


async def test_words_end_where_the_engine_says() -> None:
    words = timed_words("one, two", Spoken(b"", (WordMark(0, 20, 300), WordMark(5, 500, 900))), 950)
    assert [(word.start_ms, word.end_ms) for word in words] == [(20, 300), (500, 900)]
