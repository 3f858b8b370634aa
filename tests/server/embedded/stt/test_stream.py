"""A recognition with a scripted decoder."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from protos import stt_pb2
from server.embedded.stt.config import RecognizeSettings
from server.embedded.stt.endpoint import SpeechBegan
from server.embedded.stt.stream import PARTIAL_WAIT_S, Ears, Recognition
from server.embedded.stt.transcript import Job, Transcript
from server.embedded.stt.utterance import HeardUtterance
from server.embedded.stt.voice_detector import Silero
from tests.server.embedded.speech import recording, silence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SILENT_BYTES = 32 * 180


class LatePool:
    """Its first decode is late, and sees a beginning without words."""

    at_leisure = False

    def __init__(self) -> None:
        self.decoded = 0

    async def glance(self, _job: Job, _stale: Callable[[], bool] = bool) -> Transcript:
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


class CountingPool:
    """Counts the partials of audio that ends in silence."""

    at_leisure = False

    def __init__(self) -> None:
        self.into_silence = 0

    async def glance(self, job: Job, _stale: Callable[[], bool] = bool) -> Transcript:
        if job.final:
            return Transcript("list files in the current directory.")
        self.into_silence += not any(job.pcm[-SILENT_BYTES:])
        return Transcript("list files")


async def test_no_partial_is_decoded_where_the_voice_has_just_ended() -> None:
    """What was said is decoded at the pause, a moment later."""
    pool: Any = CountingPool()
    partials = 0
    settings = RecognizeSettings(16_000, interim_results=True, endpointing=True, vocabulary=())
    for ends_ms in range(1000, 1320, 40):  # a partial is decoded every 300 ms

        async def requests(said: bytes) -> AsyncIterator[stt_pb2.RecognizeRequest]:
            for start in range(0, len(said), 640):
                yield stt_pb2.RecognizeRequest(audio=said[start : start + 640])
                await asyncio.sleep(0)

        async def take(answer: stt_pb2.RecognizeResponse) -> None:
            nonlocal partials
            partials += answer.HasField("partial")

        pcm = recording("flite-slt-list-files")[: 32 * ends_ms] + silence(1500)
        await Recognition(settings, Ears(pool, Silero()), take).run(requests(pcm))
    assert partials
    assert pool.into_silence == 0


class BusyPool:
    """Its processes are busy: a partial waits until the voice has ended."""

    at_leisure = False

    def __init__(self) -> None:
        self.stale_at_pause: list[bool] = []
        self._stale: Callable[[], bool] = bool

    async def glance(self, job: Job, stale: Callable[[], bool] = bool) -> Transcript:
        if job.final:
            self.stale_at_pause.append(self._stale())
            return Transcript("list files in the current directory.")
        self._stale = stale
        assert not stale()
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_partial_that_waits_is_stale_once_the_voice_has_ended() -> None:
    pool: Any = BusyPool()
    settings = RecognizeSettings(16_000, interim_results=True, endpointing=True, vocabulary=())

    async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
        yield stt_pb2.RecognizeRequest(audio=recording("flite-slt-list-files") + silence(1500))

    async def take(_answer: stt_pb2.RecognizeResponse) -> None:
        pass

    await Recognition(settings, Ears(pool, Silero()), take).run(requests())
    assert pool.stale_at_pause == [True]


class LeisurePool:
    """Its processes are idle."""

    at_leisure = True

    def __init__(self) -> None:
        self.finals: list[Job] = []
        self.fed_bytes = 0
        self.begun_at_bytes: list[int] = []

    async def glance(self, job: Job, _stale: Callable[[], bool] = bool) -> Transcript:
        if job.final:
            self.finals.append(job)
            self.begun_at_bytes.append(self.fed_bytes)
        return Transcript("list files in the current directory")


async def recognised(pool: Any, pcm: bytes) -> list[stt_pb2.RecognizeResponse]:
    """In frames of 20 ms, with time for the partials."""
    answers: list[stt_pb2.RecognizeResponse] = []

    async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
        for start in range(0, len(pcm), 640):
            pool.fed_bytes = start
            yield stt_pb2.RecognizeRequest(audio=pcm[start : start + 640])
            await asyncio.sleep(0)

    async def take(answer: stt_pb2.RecognizeResponse) -> None:
        answers.append(answer)

    settings = RecognizeSettings(16_000, interim_results=True, endpointing=True, vocabulary=())
    await Recognition(settings, Ears(pool, Silero()), take).run(requests())
    return answers


SAID = recording("flite-slt-list-files")


async def test_the_decode_of_a_pause_begins_before_the_pause_is_certain() -> None:
    leisure, busy = LeisurePool(), LeisurePool()
    busy.at_leisure = False
    await recognised(leisure, SAID + silence(1500))
    await recognised(busy, SAID + silence(1500))
    assert [len(leisure.finals), len(busy.finals)] == [1, 1]
    assert busy.begun_at_bytes[0] - leisure.begun_at_bytes[0] >= 64 * 32
    assert busy.finals[0].pcm == leisure.finals[0].pcm, "the same words, however busy the processes are"


async def test_a_decode_ahead_is_not_used_if_speech_went_on() -> None:
    pool = LeisurePool()
    voice = SAID[32 * 530 : -32 * 850]  # without the quiet around it
    await recognised(pool, voice + silence(100) + voice + silence(1500))
    assert len(pool.finals) == 2
    assert len(pool.finals[-1].pcm) > 2 * len(voice)


async def test_a_decode_ahead_that_breaks_a_promise_is_made_again() -> None:
    """A partial that ended meanwhile promised more than was promised when the decode ahead began."""
    pool: Any = LeisurePool()
    settings = RecognizeSettings(16_000, interim_results=True, endpointing=True, vocabulary=())
    answers: asyncio.Queue[stt_pb2.RecognizeResponse] = asyncio.Queue()
    recognition = Recognition(settings, Ears(pool, Silero()), answers.put)

    async def ahead(text: str) -> Transcript:
        return Transcript(text)

    for early, seen in (("list files here", "list files here"), ("lift", "list files in the current directory")):
        utterance = HeardUtterance(SpeechBegan(0, 0, b""), ())
        async with asyncio.TaskGroup() as group:
            utterance.ahead = group.create_task(ahead(early), name="ahead")
        assert (await recognition._seen(utterance, Job(b"", True, promised="list files"))).text == seen
