"""A final whose words end while somebody still speaks is written again, without time stamps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protos import stt_pb2
from server.embedded.stt import weights
from server.embedded.stt.config import RecognizeSettings
from server.embedded.stt.endpoint import KEPT_SILENCE_MS, SpeechBegan
from server.embedded.stt.engine import whisper
from server.embedded.stt.pool import DecoderPool
from server.embedded.stt.stream import Ears, Recognition
from server.embedded.stt.transcript import HeardWord, Job, Transcript
from server.embedded.stt.utterance import HeardUtterance
from server.embedded.stt.voice_detector import Silero
from server.embedded.stt.whisper import (
    DIGIT_MS,
    FINAL_PADDING_S,
    UNHEARD_MS,
    WORD_MS,
    Whisper,
    _Decoded,
    _fuller,
    _misses_words,
)
from tests.bench.speech import spoken
from tests.server.embedded.speech import silence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SENTENCE = "Remember that my code is four four one seven."
HEARD = "Remember that my code is 4417."


async def finals(pcm: bytes, *, interim: bool) -> list[str]:
    """The finals of audio sent at once."""
    pool, heard = DecoderPool(whisper(), 1), []

    async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
        for start in range(0, len(pcm), 640):
            yield stt_pb2.RecognizeRequest(audio=pcm[start : start + 640])

    async def take(answer: stt_pb2.RecognizeResponse) -> None:
        heard.append(answer)

    await pool.start()
    settings = RecognizeSettings(16_000, interim_results=interim, endpointing=True, vocabulary=(), progress=interim)
    await Recognition(settings, Ears(pool, Silero()), take).run(requests())
    await pool.stop()
    return [answer.final.text for answer in heard if answer.HasField("final")]


@pytest.mark.parametrize("interim", [True, False])
async def test_digits_after_which_the_decoder_stopped_early_are_heard(*, interim: bool) -> None:
    """In the short window the text ends with "4", and 1.2 s of speech follow."""
    assert await finals(spoken((SENTENCE,))[0] + silence(1500), interim=interim) == [HEARD]


@pytest.fixture(scope="module")
def model() -> Whisper:
    return Whisper(weights.bundled())


def job_of(pcm: bytes) -> Job:
    """As if the speech ended where the silence at the end begins."""
    utterance = HeardUtterance(SpeechBegan(500, 244, pcm[244 * 32 :]), ())
    return utterance.final_job(len(pcm) // 32 - 500)


def test_a_look_without_time_stamps_hears_the_words_that_are_missing(model: Whisper) -> None:
    job = job_of(spoken((SENTENCE,))[0])
    encoded = model._encoded([job], FINAL_PADDING_S)
    stamped = model._written(encoded, [job], FINAL_PADDING_S)
    (timed,) = model._timed(encoded, [job], stamped)
    assert _misses_words(job, timed)
    (seen,) = model.decode([job])
    assert (seen.text, seen.doubtful) == (HEARD, False)
    assert seen.words[-1].text == "4417."


def test_what_is_heard_beside_it_in_one_call_is_left_alone(model: Whisper) -> None:
    digits, other = (job_of(pcm) for pcm in spoken((SENTENCE, "Please remind me to water the plants.")))
    assert [one.text for one in model.decode([digits, other])] == [HEARD, "Please remind me to water the plants."]


@pytest.mark.parametrize(
    ("word", "start_ms", "end_ms", "missing"),
    [
        ("so", 1000, 2000, False),
        ("so", 1000, 2001 - UNHEARD_MS, False),
        ("so", 1000, 1999 - UNHEARD_MS, True),
        ("so", 0, 1900, True),
        ("4.", 2000 - WORD_MS - DIGIT_MS, 2000, False),
        ("4.", 1999 - WORD_MS - DIGIT_MS, 2000, True),
        ("$4.99.", 0, 2000, False),
    ],
)
def test_a_word_far_from_the_end_or_far_too_long_misses_others(
    word: str, start_ms: int, end_ms: int, missing: bool
) -> None:
    timed = Transcript(word, (HeardWord(word, start_ms, end_ms, 0.9),))
    assert _misses_words(Job(silence(2000), final=True), timed) is missing


@pytest.mark.parametrize(
    ("near", "full", "missed_only", "taken"),
    [
        ("4225", "425.", True, "4225"),
        ("room 884.", "room 884-0009.", True, "room 884-0009."),
        ("Stop, stop", "Stop.", False, "Stop."),
    ],
)
def test_of_two_looks_for_missing_words_the_longer_is_taken(
    near: str, full: str, missed_only: bool, taken: str
) -> None:
    job = Job(b"", final=True, closer=True)
    rows = [(job, _Decoded([], text.split(), -0.4, 0.0, not missed_only), Transcript(text)) for text in (near, full)]
    assert _fuller(rows[0], rows[1])[2].text == taken


def test_where_there_are_no_words_none_is_missing() -> None:
    assert not _misses_words(Job(silence(2000), final=True), Transcript())


def test_a_final_leaves_out_the_silence_behind_the_speech() -> None:
    utterance = HeardUtterance(SpeechBegan(500, 244, silence(300)), ())
    utterance.add(silence(2000))
    assert len(utterance.final_job(1500).pcm) == len(silence(1500 - 244 + KEPT_SILENCE_MS))
    assert len(utterance.final_job(9000).pcm) == len(silence(2300))
