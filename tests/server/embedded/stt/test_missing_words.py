"""A final whose words end while somebody still speaks is decoded again, and numbers are heard and promised whole."""

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
from server.embedded.stt.whisper import UNHEARD_MS, Whisper, _Decoded, _is_to_be_doubted
from tests.bench.speech import spoken
from tests.server.embedded.speech import silence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SENTENCE = "Remember that my code is four four one seven."
HEARD = "Remember that my code is 4417."
SURE = _Decoded([], ["so"], -0.4, 0.0, repeated=False, overrun=False)


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


def test_such_a_final_is_doubted_and_the_closer_look_is_whole() -> None:
    model, (pcm,) = Whisper(weights.bundled()), spoken((SENTENCE,))
    utterance = HeardUtterance(SpeechBegan(500, 244, pcm[244 * 32 :]), ())
    job = utterance.final_job(len(pcm) // 32 - 500)
    (seen,) = model.decode([job])
    assert seen.doubtful
    (closer,) = model.decode([Job(job.pcm, final=True, closer=True)])
    assert (closer.text, closer.doubtful) == (HEARD, False)
    assert closer.words[-1].text == "4417."


@pytest.mark.parametrize(("end_ms", "doubted"), [(2000, False), (2000 - UNHEARD_MS, False), (1999 - UNHEARD_MS, True)])
def test_words_that_end_long_before_the_audio_are_doubted(end_ms: int, doubted: bool) -> None:
    timed = Transcript("so", (HeardWord("so", 0, end_ms, 0.9),))
    assert _is_to_be_doubted(Job(silence(2000), final=True), SURE, timed) is doubted


def test_what_has_no_words_is_not_doubted_for_its_length() -> None:
    assert not _is_to_be_doubted(Job(silence(2000), final=True), SURE, Transcript())


def test_a_final_leaves_out_the_silence_behind_the_speech() -> None:
    utterance = HeardUtterance(SpeechBegan(500, 244, silence(300)), ())
    utterance.add(silence(2000))
    assert len(utterance.final_job(1500).pcm) == len(silence(1500 - 244 + KEPT_SILENCE_MS))
    assert len(utterance.final_job(9000).pcm) == len(silence(2300))
