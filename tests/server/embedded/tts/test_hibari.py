"""The natural voice alone, with its real network."""

from __future__ import annotations

import hashlib
import importlib
import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.embedded.service import MissingPartError
from server.embedded.tts import hibari
from server.embedded.tts.engine import Spoken
from server.embedded.tts.hibari import MAX_PHONEMES, Hibari, Reading
from server.embedded.tts.level import MAX_PEAK, samples_of
from server.embedded.tts.speech import TimedWord, timed_words
from server.embedded.tts.word_edges import Edges, heard, longest_gap
from tests.server.embedded.speech import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence


SENTENCE = "Your favourite colour is blue."
PER_MS = 24
FAST_SENTENCES = (
    "The quick brown fox jumps over the lazy dog near the old barn.",
    "It was the best concert that I have ever been to.",
    "A a a a a a a a.",
    "Oh, I see.",
    "Yes.",
    "Today is Monday, November 30th.",
    "Could you tell me how to get to the nearest post office?",
)


@pytest.fixture(scope="module")
def voice() -> Hibari:
    return Hibari()


def say(voice: Hibari, text: str, speed: float = 1.0) -> Spoken:
    return voice.say(text, "heart", speed, lambda: True)


def words_of(voice: Hibari, text: str, speed: float = 1.0) -> list[TimedWord]:
    spoken = say(voice, text, speed)
    return timed_words(text, spoken, len(spoken.pcm) / 2 / PER_MS)


def bursts(pcm: bytes) -> list[tuple[float, float]]:
    """Where there is sound, found without the engine's code: 10 ms windows above a fiftieth of the loudest, joined over 80 ms."""
    samples, width = samples_of(pcm), 10 * PER_MS
    level = [
        math.sqrt(sum(sample * sample for sample in samples[at : at + width]) / width)
        for at in range(0, len(samples) - width, PER_MS)
    ]
    loud = [at for at, rms in enumerate(level) if rms > max(level) / 50]
    found: list[tuple[float, float]] = []
    for at in loud:
        if found and at - found[-1][1] < 80:
            found[-1] = (found[-1][0], at + 5)
        else:
            found.append((at + 5, at + 5))
    return found


def test_the_same_text_is_the_same_samples_in_another_process(voice: Hibari) -> None:
    code = (
        "import hashlib; from server.embedded.tts.hibari import Hibari;"
        f"print(hashlib.sha256(Hibari().say({SENTENCE!r}, 'heart', 1.0, lambda: True).pcm).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    say(voice, "Something else in between.")
    assert other.stdout.strip() == hashlib.sha256(say(voice, SENTENCE).pcm).hexdigest()


@pytest.mark.parametrize("text", ["Monday. ", "Anna! ", "Memory. ", "Yellow. ", "Remember. ", "Eleven. ", "Birthday. "])
@pytest.mark.parametrize("speed", [0.7, 1.0, 1.5])
def test_a_words_times_are_those_of_its_sound(voice: Hibari, text: str, speed: float) -> None:
    (word,) = words_of(voice, text, speed)
    heard_at = bursts(say(voice, text, speed).pcm)
    assert abs(word.start_ms - heard_at[0][0]) <= 25
    assert abs(word.end_ms - heard_at[-1][1]) <= 25


@pytest.mark.parametrize(  # slow: at speed 1 the words run into each other
    ("text", "speed"),
    [("Anna. Memory. Yellow. Eleven. Anna.", 0.6), ("First: apples. Third: plums.", 0.5)],
)
def test_words_between_pauses_begin_and_end_with_the_sound(voice: Hibari, text: str, speed: float) -> None:
    heard_at = [edge for burst in bursts(say(voice, text, speed).pcm) for edge in burst]
    told = [edge for word in words_of(voice, text, speed) for edge in (word.start_ms, word.end_ms)]
    assert len(heard_at) >= 8, "pauses are heard"
    assert all(min(abs(edge - at) for at in told) <= 25 for edge in heard_at)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("It costs $5.00 at 10:30 p.m. today", ["It", "costs", "$5.00", "at", "10:30", "p.m.", "today"]),
        ("On Jan. 5, 2027 – yes", ["On", "Jan.", "5,", "2027", "yes"]),
        ("100% of 5 km", ["100%", "of", "5", "km"]),
        ('He said "<b>no</b>" 日本 😀 twice', ["He", "said", '"<b>no</b>"', "twice"]),
        ("open https://example.com/?q=1 now", ["open", "https://example.com/?q=1", "now"]),
        ("see [this](/ðˈɪs/) page", ["see", "[this](/ðˈɪs/)", "page"]),
        ("5 µm of π è là", ["5", "µm", "of", "π", "è", "là"]),
        ("  two   words ", ["two", "words"]),
    ],
)
def test_words_are_as_written_in_order(voice: Hibari, text: str, spoken: list[str]) -> None:
    words = words_of(voice, text)
    assert [word.text for word in words] == spoken
    edges = [edge for word in words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert all(word.end_ms - word.start_ms >= 30 for word in words)


@pytest.mark.parametrize("text", ["日本", "😀", "привет", "γεια", "안녕", "", "?!", "…"])
def test_what_it_cannot_say_is_no_sound(voice: Hibari, text: str) -> None:
    said = say(voice, text)
    assert (said.pcm, said.marks) == (b"", ())


@pytest.mark.parametrize("text", ["9" * 60, "$" + "123," * 15 + "000", "٣" * 40, "①€", "⑴", "²:30", "x³ is 8"])
def test_numbers_that_the_package_fails_at_are_said(voice: Hibari, text: str) -> None:
    assert words_of(voice, text)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Your code is 0020.", "Your code is 0 0 2 0."),
        ("Your code is 4-4-1-7.", "Your code is 4 4 1 7."),
        ("Call 020 7946 0123 now.", "Call 0 2 0 7946 0 1 2 3 now."),
    ],
)
def test_codes_are_said_digit_by_digit(voice: Hibari, written: str, read: str) -> None:
    assert voice._read(written).phonemes == voice._read(read).phonemes
    assert [word.text for word in words_of(voice, written)] == written.split()


@pytest.mark.parametrize("text", ["at 05:30", "0.005", "2024-01-05", "01/002/2024", "192.168.001.1", "4-4", "100"])
def test_other_numbers_are_not(text: str) -> None:
    assert hibari._legible(text) == text


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.25, 1.5, 1.75, 2.0])  # beyond these, the tempo filter scales the times
def test_words_are_in_order_within_the_sound_at_every_speed(voice: Hibari, speed: float) -> None:
    """Fast, the network's durations end some first words before any sound: `It` of a time of day, `The` of the fox."""
    times_of_day = [f"It is {hour}:{hour * 4:02d} {half}." for hour in range(1, 13) for half in ("AM", "PM")]
    for text in (*times_of_day, *FAST_SENTENCES):
        said = say(voice, text, speed)
        edges = [edge for mark in said.marks for edge in (mark.at_ms, mark.end_ms or 0.0)]
        assert len(said.marks) == len(text.split()), text
        assert edges == sorted(edges), text
        assert edges[0] >= hibari.LEAD_MS, text
        assert edges[-1] <= len(said.pcm) / 2 / PER_MS - hibari.TAIL_MS, text


def test_loudness_is_that_of_the_other_voices(voice: Hibari) -> None:
    for text in ("1 2 3 4 5 6 7", SENTENCE, "Shall I create the folder demo?"):
        samples = samples_of(say(voice, text).pcm)
        rms = math.sqrt(sum(sample * sample for sample in samples) / len(samples))
        assert 2_000 < rms < 4_000, text
        assert max(abs(sample) for sample in samples) < MAX_PEAK, text


def test_a_caller_who_has_gone_is_not_spoken_for(voice: Hibari) -> None:
    assert voice.say(SENTENCE, "heart", 1.0, lambda: False).pcm == b""


def test_long_readings_are_cut_between_words() -> None:
    reading = Reading("ab " * 300, tuple(index if part < 2 else None for index in range(300) for part in range(3)))
    parts = list(hibari._short(reading))
    assert all(len(part.phonemes) == len(part.words) <= MAX_PHONEMES for part in parts)
    assert [word for part in parts for word in part.words if word is not None] == [
        index for index in range(300) for _ in range(2)
    ]
    assert list(hibari._short(Reading("a" * 900, (0,) * 900)))[2].phonemes == "a" * 100


@pytest.mark.parametrize("name", ["oov.onnx", "vocab.json", "lexicon_us_gold.json.gz"])
def test_another_model_is_not_loaded(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(hibari.SHA256, name, "0" * 64)
    with pytest.raises(MissingPartError, match="not the one of hibari-tts"):
        Hibari()


def test_every_file_of_the_american_voice_is_verified() -> None:
    """The package's other files are of the British voice, or describe the voices."""
    assets = Path(importlib.import_module("hibari").__file__ or "").parent / "assets"
    others = {path.name for path in assets.iterdir()} - hibari.SHA256.keys()
    assert {name for name in others if "gb" not in name} == {"voices.json"}


def test_an_edge_beside_a_silence_is_moved_to_it() -> None:
    def frames(*spans: tuple[bool, int]) -> Sequence[bool]:
        return [loud for loud, ms in spans for _ in range(ms // 5)]

    loud = frames((False, 100), (True, 200), (False, 100), (True, 200), (False, 300))
    moved = heard([Edges(0, 80, 200, 350), Edges(1, 360, 500, 800)], loud)
    assert [(each.start_ms, each.end_ms) for each in moved] == [(100, 300), (400, 600)]
    assert longest_gap(frames((True, 50), (False, 35), (True, 50)), 0, 135) is None


def test_nothing_of_it_is_in_the_gateways_process() -> None:
    code = (
        "import sys, server.__main__, server.lifecycle, server.app, server.upstream;"
        "print([name for name in ('hibari', 'onnxruntime', 'ctranslate2', 'server.embedded.tts') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
    assert (Path(ROOT) / "server" / "embedded" / "tts" / "hibari.py").is_file()


def test_letters_that_are_two_in_lower_case_are_read_as_one() -> None:
    """The package calls ord() for a letter's lower case, where it takes the letter for a sign: ¥°İ⅓."""
    two = [char for char in map(chr, range(sys.maxunicode + 1)) if len(char.lower()) > 1]
    assert [char for char in two if len(hibari._legible(f"¥{char}").lower()) > 2] == []


@pytest.mark.parametrize("text", ["¥°İ⅓፯&c", "1/20\u00ad9¥°İа⅓፯&c", "xİa"])
def test_odd_letters_among_signs_are_said(voice: Hibari, text: str) -> None:
    assert say(voice, text).pcm


def test_a_text_that_the_package_fails_at_has_no_sound(voice: Hibari, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another engine says it. It is no fault of ours, so there is no traceback."""

    def fail(_text: str) -> str:
        raise TypeError

    monkeypatch.setattr(voice, "_normalize", fail)
    assert say(voice, "hello") == Spoken(b"", (), ())
