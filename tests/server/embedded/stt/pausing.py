"""What speech with pauses costs in decoding: `python -m tests.server.embedded.stt.pausing`. Needs the extras `voice` and `ears`.

One utterance of some 13 s, with a silence after every third word that is too short to end a turn. It is sent at once, as after a lost
connection, and in real time, by one microphone and by several. Counted is the audio that finals hand to the decoders.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from protos import stt_pb2
from server.embedded.stt.config import RecognizeSettings
from server.embedded.stt.engine import whisper
from server.embedded.stt.pool import DecoderPool
from server.embedded.stt.stream import Ears, Recognition
from server.embedded.stt.voice_detector import Silero
from server.embedded.tts.hibari import Hibari
from server.embedded.tts.speech import timed_words
from tests.bench.end_of_turn import at_16_khz
from tests.bench.machine import head, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.embedded.stt.pool import _Waiting

TEXT = (
    "My grandmother used to tell stories about the old house and the people who lived there when she was a little girl "
    "and how they painted the kitchen before the guests arrived and walked to the museum on the corner"
)
WORDS, PAUSE_MS, TAIL_MS, BYTES_PER_MS, FRAME_BYTES = 3, 200, 2_000, 32, 640


def recording(pause_ms: int = PAUSE_MS) -> bytes:
    """The text, with a pause behind every third word."""
    voice = Hibari()
    spoken = voice.say(TEXT, "heart", 1.0, lambda: True)
    words = timed_words(TEXT, spoken, len(spoken.pcm) / 2 / voice.sample_rate_hz * 1000)
    pcm, said, begin = at_16_khz(spoken.pcm, voice.sample_rate_hz), b"", 0
    for word, next_word in list(pairwise(words))[WORDS - 1 :: WORDS]:
        end = int((word.end_ms + next_word.start_ms) / 2) * BYTES_PER_MS
        said, begin = said + pcm[begin:end] + bytes(pause_ms * BYTES_PER_MS), end
    return said + pcm[begin:] + bytes(TAIL_MS * BYTES_PER_MS)


class MeasuredPool(DecoderPool):
    """Counts the audio of finals, in ms, that is handed to the decoders."""

    decoded_ms = 0

    def _next_batch(self, n_idle: int) -> list[_Waiting]:
        batch = super()._next_batch(n_idle)
        self.decoded_ms += sum(len(one.job.pcm) // BYTES_PER_MS for one in batch if one.job.final)
        return batch


async def heard(pool: MeasuredPool, pcm: bytes, *, paced: bool) -> list[stt_pb2.Final]:
    """The finals of one speaker."""
    began_s, answers = time.monotonic(), []

    async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
        for number, start in enumerate(range(0, len(pcm), FRAME_BYTES)):
            if paced:
                await asyncio.sleep(max(0.0, began_s + 0.02 * number - time.monotonic()))
            yield stt_pb2.RecognizeRequest(audio=pcm[start : start + FRAME_BYTES])

    async def take(answer: stt_pb2.RecognizeResponse) -> None:
        answers.append(answer)

    settings = RecognizeSettings(16_000, interim_results=True, endpointing=True, vocabulary=(), progress=True)
    await Recognition(settings, Ears(pool, Silero()), take).run(requests())
    return [answer.final for answer in answers if answer.HasField("final")]


async def main(pause_ms: int, people: int) -> None:
    """Measure."""
    head("speech with pauses")
    pool, pcm = MeasuredPool(whisper()), recording(pause_ms)
    await pool.start()
    for how, paced, n in (("at once", False, 1), ("in real time", True, 1), (f"{people} in real time", True, people)):
        pool.decoded_ms = 0
        speakers = await asyncio.gather(*(heard(pool, pcm, paced=paced) for _ in range(n)))
        spoken_s = sum(final.end_ms - final.start_ms for finals in speakers for final in finals) / 1000
        say(f"{how:16} {spoken_s:5.1f} s of speech, {pool.decoded_ms / 1000:6.1f} s decoded")
    await pool.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pause-ms", type=int, default=PAUSE_MS)
    parser.add_argument("--people", type=int, default=8)
    given = parser.parse_args()
    asyncio.run(main(given.pause_ms, given.people))
