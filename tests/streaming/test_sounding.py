"""What the gateway said lately, and what of it a microphone may still hear."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from streaming.sounding import ECHO_S, KEPT_CHARS, KEPT_S, SaidWords, Sounding


@dataclass(eq=False)
class Speech:
    so_far: str
    played_ms: int = 2000
    stopped: bool = False
    playing: bool = True
    by_clock: str = ""


def texts(sounding: Sounding, at: float) -> list[str]:
    return [said.text for said in sounding.said_since(at)]


def test_what_sounds_is_known_up_to_now_and_what_ended_as_it_ended() -> None:
    sounding, first, second = Sounding(), Speech("one two"), Speech("three")
    sounding.begins(first)
    sounding.begins(second)
    first.so_far = "one two three"
    assert sounding.said_since(0.0) == [SaidWords("one two three", 2000, inf), SaidWords("three", 2000, inf)]
    sounding.ends(first, 1.0)
    first.so_far = "something else"
    first.stopped = True
    assert sounding.said_since(1.0) == [SaidWords("one two three", 2000, 1.0), SaidWords("three", 2000, inf)]
    assert (sounding.silent_s(1.5), sounding.sounded_at(1.5)) == (0.0, True)
    sounding.ends(second, 2.0)
    sounding.ends(second, 3.0)
    assert (sounding.silent_s(2.5), sounding.sounded_at(2.5)) == (0.5, False)


def test_an_utterance_is_heard_until_its_echo_must_have_begun() -> None:
    sounding, speech = Sounding(), Speech("hello")
    assert texts(sounding, 0.0) == []
    assert sounding.silent_s(5.0) == inf
    sounding.begins(speech)
    sounding.ends(speech, 10.0)
    assert texts(sounding, 5.0) == texts(sounding, 10.0 + ECHO_S) == ["hello"]
    assert texts(sounding, 10.1 + ECHO_S) == []


def test_speech_that_waits_for_its_next_words_is_silent() -> None:
    sounding, speech = Sounding(), Speech("hello")
    assert not sounding.played_since(0.0)
    sounding.begins(speech)
    assert sounding.played_since(5.0)
    speech.playing = False
    assert (sounding.played_since(5.0), sounding.sounded_at(5.0)) == (False, True)
    sounding.ends(speech, 6.0)
    assert (sounding.played_since(6.0), sounding.played_since(6.1 + ECHO_S)) == (True, False)


def test_the_memory_is_bounded_by_time_and_by_text() -> None:
    sounding = Sounding()
    for number in range(100):
        speech = Speech(f"word {number} ")
        sounding.begins(speech)
        sounding.ends(speech, float(number))
    assert len(texts(sounding, 0.0)) == KEPT_S + 1
    for now in (100.0, 101.0):
        speech = Speech("long words " * KEPT_CHARS + "the end")
        sounding.begins(speech)
        sounding.ends(speech, now)
    (kept,) = texts(sounding, 0.0)
    assert (len(kept), kept[-7:]) == (KEPT_CHARS, "the end")
