"""A recognition with a scripted decoder."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from protos import stt_pb2
from server.embedded.stt.config import RecognizeSettings
from server.embedded.stt.stream import PARTIAL_WAIT_S, Ears, Recognition
from server.embedded.stt.transcript import Transcript
from server.embedded.stt.voice_detector import Silero
from tests.server.embedded.speech import recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.embedded.stt.transcript import Job


class LatePool:
    """Its first decode is late, and sees a beginning without words."""

    def __init__(self) -> None:
        self.decoded = 0

    async def decode(self, _job: Job) -> Transcript:
        self.decoded += 1
        if self.decoded > 1:
            return Transcript("list files")
        await asyncio.sleep(4 * PARTIAL_WAIT_S)
        return Transcript()


async def test_a_late_partial_does_not_keep_the_next_from_being_decoded() -> None:
    """All audio has come by then: no more of it would start another decode."""
    pool: Any = LatePool()
    heard: asyncio.Queue[stt_pb2.RecognizeResponse] = asyncio.Queue()

    async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
        yield stt_pb2.RecognizeRequest(audio=recording("flite-slt-list-files")[: 32 * 1800])
        await asyncio.Event().wait()

    settings = RecognizeSettings(16_000, interim_results=True, endpointing=True, vocabulary=())
    recognition = Recognition(settings, Ears(pool, Silero()), heard.put)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(recognition.run(requests()), name="recognition")
        while not (event := await heard.get()).HasField("partial"):
            pass
        assert event.partial.text == "list files"
        running.cancel()
