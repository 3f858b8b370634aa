"""A recognition with a scripted decoder."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from protos import stt_pb2
from server.embedded.stt.config import RecognizeSettings
from server.embedded.stt.endpoint import SpeechBegan
from server.embedded.stt.stream import PARTIAL_WAIT_S, Ears, Recognition
from server.embedded.stt.transcript import HeardWord, Job, Transcript
from server.embedded.stt.utterance import HeardUtterance
from server.embedded.stt.voice_detector import Silero
from tests.server.embedded.speech import pause_at_bytes, recording, silence
from tests.support import virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SILENT_BYTES = 32 * 180


class LatePool:
    """Its first decode is late, and sees a beginning without words."""

    def __init__(self) -> None:
        self.decoded = 0

    async def glance(self, _job: Job, _stale: Callable[[], bool] = bool, _newest: object = None) -> Transcript:
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
    async with asyncio.TaskGroup() as group:
        running = group.create_task(recognition.run(requests()), name="recognition")
        while not (event := await heard.get()).HasField("partial"):
            pass
        assert event.partial.text == "list files"
        running.cancel()


class CountingPool:
    """Counts the partials of audio that ends in silence."""

    def __init__(self) -> None:
        self.into_silence = 0

    async def glance(self, job: Job, _stale: Callable[[], bool] = bool, _newest: object = None) -> Transcript:
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

    def __init__(self) -> None:
        self.stale_at_pause: list[bool] = []
        self._stale: Callable[[], bool] = bool

    async def glance(self, job: Job, stale: Callable[[], bool] = bool, _newest: object = None) -> Transcript:
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


class CountingFinals:
    """Counts the finals, and notes how much audio had come by then."""

    def __init__(self) -> None:
        self.finals: list[Job] = []
        self.fed_bytes = 0
        self.begun_at_bytes: list[int] = []

    async def glance(self, job: Job, _stale: Callable[[], bool] = bool, _newest: object = None) -> Transcript:
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
VOICE = SAID[32 * 530 : -32 * 850]  # without the quiet around it


async def test_the_decode_of_a_pause_is_asked_for_before_the_pause_is_certain() -> None:
    """It takes its place in the queue early, however busy the processes are."""
    pool, pcm = CountingFinals(), SAID + silence(1500)
    await recognised(pool, pcm)
    assert len(pool.finals) == 1
    assert pause_at_bytes(pcm) - pool.begun_at_bytes[0] >= 64 * 32


async def test_a_decode_ahead_is_not_used_if_speech_went_on() -> None:
    pool = CountingFinals()
    await recognised(pool, VOICE + silence(100) + VOICE + silence(1500))
    assert len(pool.finals) == 2
    assert len(pool.finals[-1].pcm) > 2 * len(VOICE)


async def test_a_decode_ahead_that_breaks_a_promise_is_made_again() -> None:
    """A partial that ended meanwhile promised more than was promised when the decode ahead began."""
    pool: Any = CountingFinals()
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


GOES_ON = VOICE + silence(160) + VOICE


class BusyWithOthers:
    """Decodes no final until it is `free`."""

    def __init__(self) -> None:
        self.finals: list[Job] = []
        self.dropped = 0
        self.free = asyncio.Event()

    async def glance(self, job: Job, _stale: Callable[[], bool] = bool, _newest: object = None) -> Transcript:
        if job.final:
            self.finals.append(job)
            try:
                await self.free.wait()
            except asyncio.CancelledError:
                self.dropped += 1
                raise
        return Transcript("list files in the current directory.", (HeardWord("list", 0, 100, 1.0),))


async def finals_of(pool: Any, requests: AsyncIterator[stt_pb2.RecognizeRequest]) -> list[stt_pb2.Final]:
    answers: list[stt_pb2.RecognizeResponse] = []

    async def take(answer: stt_pb2.RecognizeResponse) -> None:
        answers.append(answer)

    settings = RecognizeSettings(16_000, interim_results=True, endpointing=True, vocabulary=())
    async with asyncio.timeout(200):
        await Recognition(settings, Ears(pool, Silero()), take).run(requests)
    return [answer.final for answer in answers if answer.HasField("final")]


async def test_what_was_said_before_a_short_pause_is_not_decoded_if_more_has_come_already() -> None:
    pool = CountingFinals()

    async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
        yield stt_pb2.RecognizeRequest(audio=GOES_ON + silence(1500))

    assert len(await finals_of(pool, requests())) == 1
    assert [len(job.pcm) > 2 * len(VOICE) for job in pool.finals] == [True]


async def test_a_decode_that_waits_is_dropped_when_speech_goes_on() -> None:
    pool = BusyWithOthers()

    async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
        for start in range(0, len(GOES_ON), 640):
            yield stt_pb2.RecognizeRequest(audio=GOES_ON[start : start + 640])
            await asyncio.sleep(0)
        while not pool.dropped:
            await asyncio.sleep(0)  # the recognition would wait for it for ever
        pool.free.set()
        yield stt_pb2.RecognizeRequest(audio=silence(1500))

    assert len(await finals_of(pool, requests())) == 1
    assert len(pool.finals[-1].pcm) > 2 * len(VOICE)


async def test_a_commit_during_the_decode_of_a_pause_ends_the_utterance_there() -> None:
    pool = BusyWithOthers()

    async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
        yield stt_pb2.RecognizeRequest(audio=VOICE + silence(180))
        while not pool.finals:
            await asyncio.sleep(0)
        yield stt_pb2.RecognizeRequest(commit=stt_pb2.Commit())
        yield stt_pb2.RecognizeRequest(audio=VOICE)
        for _ in range(10):
            await asyncio.sleep(0)
        pool.free.set()
        yield stt_pb2.RecognizeRequest(audio=silence(1500))

    first, second = await finals_of(pool, requests())
    assert first.end_ms <= len(VOICE) / 32 <= second.start_ms


class SlowPool:
    """Its partials take nearly as long as listening would wait for them, its finals no time."""

    def __init__(self) -> None:
        self.final_asked_ms: list[float] = []

    async def glance(self, job: Job, _stale: Callable[[], bool] = bool, _newest: object = None) -> Transcript:
        if job.final:
            self.final_asked_ms.append(asyncio.get_running_loop().time() * 1000)
        else:
            await asyncio.sleep(0.9 * PARTIAL_WAIT_S)
        return Transcript("list files in the current directory.")


def test_a_microphone_is_heard_while_a_partial_is_decoded() -> None:
    """The end of the speech is noticed when it comes, whenever a partial was begun before it."""
    settings = RecognizeSettings(16_000, interim_results=True, endpointing=True, vocabulary=())

    async def early_ms(pcm: bytes) -> float:
        """How long before the pause is certain its decode was asked for."""
        pool: Any = SlowPool()

        async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
            for start in range(0, len(pcm), 640):
                yield stt_pb2.RecognizeRequest(audio=pcm[start : start + 640])
                await asyncio.sleep(0.02)

        async def take(_answer: stt_pb2.RecognizeResponse) -> None:
            pass

        await Recognition(settings, Ears(pool, Silero()), take).run(requests())
        return pause_at_bytes(pcm) / 32 - float(pool.final_asked_ms[-1])

    early = [virtual_time.run(early_ms(SAID[: 32 * ends_ms] + silence(1500))) for ends_ms in range(1000, 1320, 20)]
    assert min(early) >= 64
