"""Words in scripts that the natural voice does not know: said by eSpeak NG, named where it is missing, and never left out."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from protos import tts_pb2
from server.embedded.service import EmbeddedConfig
from server.embedded.tts import engines
from server.embedded.tts.hibari import Hibari
from server.embedded.tts.scripts import in_place_of
from server.embedded.tts.service import TextToSpeechService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RATE_HZ = 24_000


@pytest.fixture(scope="module")
def voice() -> Hibari:
    return Hibari()


async def said_alone(text: str, voice: Hibari, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tts_pb2.Word], float]:
    """Words, and milliseconds of audio, by the natural voice without another engine."""
    monkeypatch.setattr(engines, "Hibari", lambda: voice)
    monkeypatch.setattr(engines, "_other_languages", list)
    service = TextToSpeechService(EmbeddedConfig())
    await service.start()

    async def requests() -> AsyncIterator[tts_pb2.SynthesizeRequest]:
        yield tts_pb2.SynthesizeRequest(config=tts_pb2.SynthesizeConfig())
        yield tts_pb2.SynthesizeRequest(text=text)

    words: list[tts_pb2.Word] = []
    n_bytes = 0
    async for response in service._speak(requests()):  # Synthesize without a gRPC context
        words += response.words.words
        n_bytes += len(response.audio)
    await service.stop()
    return words, n_bytes * 500 / RATE_HZ


@pytest.mark.parametrize("word", ["水", "Привет мир"])
async def test_a_word_that_nobody_can_say_is_named(word: str, voice: Hibari, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"The file {word} is here."
    words, audio_ms = await said_alone(text, voice, monkeypatch)
    _, named_ms = await said_alone(in_place_of(word), voice, monkeypatch)
    _, rest_ms = await said_alone("The file is here.", voice, monkeypatch)
    assert [one.text for one in words] == text.split()
    assert audio_ms > rest_ms + 0.7 * named_ms
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(words))


async def test_hundreds_of_single_letters_are_not_named_one_by_one(
    voice: Hibari, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "水a" * 60
    words, audio_ms = await said_alone(f"It says {text} here.", voice, monkeypatch)
    assert [one.text for one in words] == ["It", "says", text, "here."]
    assert audio_ms < 10_000


@pytest.mark.parametrize("text", ["x²³¹", "½½ or so", "x²³¹" * 4, "b $9.፯ or so"])
async def test_digits_in_forms_that_nobody_knows_are_said(
    text: str, voice: Hibari, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, _ = await said_alone(text, voice, monkeypatch)
    assert [one.text for one in words] == text.split()


def test_scripts_have_names() -> None:
    assert in_place_of("Привет") == "a word in Cyrillic"
    assert in_place_of("你好 世界") == "words in Chinese"
    assert in_place_of("हिन्दी") == "a word in Devanagari"


@pytest.mark.parametrize("word", ["हिन्दी", "水", "שָׁלוֹם", "и\u0306од", "می\u200cخواهم"])
def test_a_word_is_left_out_as_a_whole(word: str, voice: Hibari) -> None:
    spoken = voice.say(f"Say {word} now.", "heart", 1.0, lambda: True)
    assert spoken.unsaid == ((4, 4 + len(word)),)
    assert [mark.position for mark in spoken.marks] == [0, len(word) + 5]


@pytest.mark.parametrize("text", ["Is π large?", "A café.", "Cafe\u0301.", "naïve", "½"])
def test_known_signs_are_said(text: str, voice: Hibari) -> None:
    assert voice.say(text, "heart", 1.0, lambda: True).unsaid == ()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("①②③", "123"),
        ("Take ⅷ.", "Take viii."),
        ("𝓗𝓮𝓵𝓵𝓸 there", "Hello there"),
        ("ＡＢＣ １２", "ABC 12"),
        ("It is −5 ℃.", "It is -5 °C."),
        ("5 − 3 ≈ 2", "5 minus 3 about 2"),
        ("well‑known", "well-known"),
        ("5€", "€5"),
        (f"{10**40}", " ".join(str(10**40))),
        (f"Pay {10**39:,}.", f"Pay {' '.join(str(10**39))}."),
        ("①>", "1>"),
    ],
)
def test_letters_digits_and_signs_of_another_form_are_said(text: str, same: str, voice: Hibari) -> None:
    spoken = voice.say(text, "heart", 1.0, lambda: True)
    assert spoken.unsaid == ()
    assert spoken.pcm == voice.say(same, "heart", 1.0, lambda: True).pcm


@pytest.mark.parametrize(("text", "plain"), [("x²", "x2"), ("½", "1 2")])
def test_signs_with_a_reading_of_their_own_keep_it(text: str, plain: str, voice: Hibari) -> None:
    pcm = voice.say(text, "heart", 1.0, lambda: True).pcm
    assert pcm not in {b"", voice.say(plain, "heart", 1.0, lambda: True).pcm}
