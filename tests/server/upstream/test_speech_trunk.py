"""Many utterances in one call: credit, ends, a trunk that breaks, and services without trunks."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from protos import tts_pb2
from server.embedded.tts.trunk import FIRST_CREDIT_BYTES, SynthesizeManyCall
from server.upstream.speech_trunk import CREDIT_STEP_BYTES, SpeechStream
from server.upstream.status import service_error
from server.upstream.trunk import LATER_S, Trunk
from server.upstream.tts_stream import TextSource
from streaming.ports import ServiceError, SynthesisAudio, SynthesisDone, SynthesisStarted, SynthesisWords, Word
from tests.server.upstream.observing import CALLER
from tests.server.upstream.test_tts import CHUNK, CONFIG, echo, read_all
from tests.support import virtual_time
from tests.support.services import FakeServices

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from server.upstream import Upstream
    from streaming.ports import SynthesisEvent, SynthesisStream
    from tests.support.services import Call

    Requests = AsyncIterator[tts_pb2.SynthesizeRequest]
    Synthesize = Callable[[Requests, Any], AsyncGenerator[tts_pb2.SynthesizeResponse, None]]


async def letters(requests: Requests, context: Any) -> AsyncGenerator[tts_pb2.SynthesizeResponse, None]:
    """Speaks each letter as a chunk of it, and tells the words at the end."""
    first = await anext(requests)
    if first.config.language == "bad":
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such language")
    yield tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=16_000, voice="v"))
    spoken = ""
    async for request in requests:
        for letter in request.text:
            yield tts_pb2.SynthesizeResponse(audio=letter.encode() * len(CHUNK))
        spoken += request.text
        words = [tts_pb2.Word(text=word) for word in request.text.split()]
        yield tts_pb2.SynthesizeResponse(words=tts_pb2.Words(words=words))
    yield tts_pb2.SynthesizeResponse(done=tts_pb2.Done(duration_ms=len(spoken)))


def carrying(
    synthesize: Synthesize, look: Callable[[tts_pb2.TrunkRequest], None] = lambda _: None
) -> Callable[[Call], Awaitable[None]]:
    async def handle(call: Call) -> None:
        async def requests() -> AsyncIterator[tts_pb2.TrunkRequest]:
            while (request := await call.read()) is not None:
                look(request)
                yield request

        await SynthesizeManyCall(synthesize).serve(requests(), call)

    return handle


async def trunk_of(upstream: Upstream) -> Trunk:
    client: Any = upstream.services.tts
    while (trunk := client._trunks.pick()) is None:
        client._trunks._try_at = 0.0  # no pause between attempts
        await asyncio.sleep(0.005)
    assert isinstance(trunk, Trunk)
    return trunk


@asynccontextmanager
async def trunked(
    synthesize: Synthesize = letters, look: Callable[[tts_pb2.TrunkRequest], None] = lambda _: None
) -> AsyncIterator[tuple[FakeServices, Upstream, Trunk]]:
    """`look` sees each message that the service gets."""
    fakes = FakeServices("tts")
    fakes.tts.on("SynthesizeMany", carrying(synthesize, look))
    async with fakes, fakes.upstream() as upstream:
        yield fakes, upstream, await trunk_of(upstream)


def heard(events: list[SynthesisEvent]) -> str:
    """One letter for each chunk of it."""
    pcm = b"".join(event.pcm for event in events if isinstance(event, SynthesisAudio))
    return pcm[:: len(CHUNK)].decode()


async def test_many_utterances_share_one_call() -> None:
    async with trunked() as (fakes, upstream, trunk):
        streams = [upstream.services.tts.synthesize(CONFIG, CALLER) for _ in range(20)]
        for number, stream in enumerate(streams):
            stream.send_text("one ")
            stream.send_text("two" * number)
            stream.end()
        all_events = await asyncio.gather(*map(read_all, streams))
        for number, events in enumerate(all_events):
            text = "one " + "two" * number
            assert events[0] == SynthesisStarted(16_000, "v")
            assert heard(events) == text
            assert events[-2:] == [
                SynthesisWords(tuple(Word(word, 0, 0) for word in text.split())),
                SynthesisDone(len(text)),
            ]
        assert [call.method for call in fakes.tts.calls] == ["SynthesizeMany"]
        assert len(trunk) == 0


async def test_a_reader_that_stops_holds_back_its_own_stream_alone() -> None:
    made: list[int] = []

    async def for_ever(requests: Requests, _context: Any) -> AsyncGenerator[tts_pb2.SynthesizeResponse, None]:
        first = await anext(requests)
        slow = first.config.language == "slow"
        for _ in range(10_000):
            if slow:
                made.append(len(CHUNK))
            yield tts_pb2.SynthesizeResponse(audio=CHUNK)

    async with trunked(for_ever) as (_, upstream, _trunk):
        slow = upstream.services.tts.synthesize(replace(CONFIG, language="slow"), CALLER)
        quick = upstream.services.tts.synthesize(CONFIG, CALLER)
        await read_chunks(quick, 500)
        assert sum(made) <= FIRST_CREDIT_BYTES + 2 * len(CHUNK)
        read = await read_chunks(slow, 500)
        assert sum(made) <= read * len(CHUNK) + FIRST_CREDIT_BYTES + 2 * len(CHUNK)


async def read_chunks(speech: SynthesisStream, least: int) -> int:
    """How many were read."""
    read = 0
    async with aclosing(speech.__aiter__()) as events:  # type: ignore[type-var] # it is a generator
        while read < least:
            event = await anext(events)
            assert isinstance(event, SynthesisAudio)
            chunks, rest = divmod(len(event.pcm), len(CHUNK))
            assert event.pcm == CHUNK * chunks
            assert not rest
            read += chunks
    return read


async def test_audio_that_waits_is_read_together() -> None:
    made = asyncio.Event()

    async def at_once(requests: Requests, _context: Any) -> AsyncGenerator[tts_pb2.SynthesizeResponse, None]:
        await anext(requests)
        for letter in "abc":
            yield tts_pb2.SynthesizeResponse(audio=letter.encode() * 3_000)
        for letter in "de":
            yield tts_pb2.SynthesizeResponse(audio=letter.encode())
        yield tts_pb2.SynthesizeResponse(words=tts_pb2.Words(words=[tts_pb2.Word(text="hi")]))
        yield tts_pb2.SynthesizeResponse(audio=b"f")
        made.set()

    async with trunked(at_once) as (_, upstream, trunk):
        speech = upstream.services.tts.synthesize(CONFIG, CALLER)
        await made.wait()
        while len(trunk):
            await asyncio.sleep(0.005)
        together = b"a" * 3_000 + b"b" * 3_000 + b"c" * 3_000
        words = SynthesisWords((Word("hi", 0, 0),))
        assert await read_all(speech) == [SynthesisAudio(together), SynthesisAudio(b"de"), words, SynthesisAudio(b"f")]


async def test_credit_of_many_utterances_leaves_together() -> None:
    """A message costs more than the credit in it, and half of each stream's credit is left."""
    granted: list[int] = []  # streams that got credit, for each message with some

    async def for_ever(requests: Requests, _context: Any) -> AsyncGenerator[tts_pb2.SynthesizeResponse, None]:
        await anext(requests)
        while True:
            yield tts_pb2.SynthesizeResponse(audio=CHUNK)

    def look(request: tts_pb2.TrunkRequest) -> None:
        if grants := sum(item.credit_bytes > 0 for item in request.items):
            granted.append(grants)

    async with trunked(for_ever, look) as (_, upstream, _trunk), AsyncExitStack() as stack:
        clock = asyncio.get_running_loop().time
        began = clock()
        for speech in [upstream.services.tts.synthesize(CONFIG, CALLER) for _ in range(20)]:
            events = speech.__aiter__()
            await stack.enter_async_context(aclosing(events))  # type: ignore[type-var] # it is a generator
            for _ in range(CREDIT_STEP_BYTES // len(CHUNK)):
                await anext(events)
            await asyncio.sleep(0.005)
        while sum(granted) < 20:
            await asyncio.sleep(0.005)
        assert len(granted) <= 2 + (clock() - began) / LATER_S


async def test_a_status_ends_its_stream_alone() -> None:
    async with trunked() as (_, upstream, trunk):
        good = upstream.services.tts.synthesize(CONFIG, CALLER)
        bad = upstream.services.tts.synthesize(replace(CONFIG, language="bad"), CALLER)
        with pytest.raises(ServiceError, match="INVALID_ARGUMENT: no such language"):
            await read_all(bad)
        good.send_text("yes")
        good.end()
        assert heard(await read_all(good)) == "yes"
        assert not trunk.over


async def test_cancel_reaches_the_service() -> None:
    stopped = asyncio.Event()

    async def wait(requests: Requests, _context: Any) -> AsyncGenerator[tts_pb2.SynthesizeResponse, None]:
        try:
            async for _ in requests:
                yield tts_pb2.SynthesizeResponse(audio=CHUNK)
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with trunked(wait) as (_, upstream, trunk):
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        stream.send_text("a")
        async with aclosing(stream.__aiter__()) as events:  # type: ignore[type-var] # it is a generator
            await anext(events)
        await stopped.wait()
        assert len(trunk) == 0


async def test_speech_goes_on_without_a_gap_when_the_trunk_breaks() -> None:
    async with trunked() as (fakes, upstream, trunk):
        fakes.tts.on("Synthesize", one_call)
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        stream.send_text("abc def ")
        events: list[SynthesisEvent] = []
        reader = stream.__aiter__()
        while len(heard(events)) < len("abc"):
            events.append(await anext(reader))
        trunk._call.cancel()  # type: ignore[union-attr] # it is open: as a connection that breaks
        while not trunk.over:
            await asyncio.sleep(0.005)
        stream.send_text("ghi")
        stream.end()
        events += [event async for event in reader]
        assert heard(events) == "abc def ghi"
        assert [type(event) for event in events].count(SynthesisStarted) == 1
        words = [word.text for event in events if isinstance(event, SynthesisWords) for word in event.words]
        assert words == ["abc", "def", "ghi"]
        assert events[-1] == SynthesisDone(11)


async def test_audio_is_handed_over_while_its_reader_waits_and_nothing_is_lost_with_the_trunk() -> None:
    async with trunked() as (fakes, upstream, trunk):
        fakes.tts.on("Synthesize", one_call)
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        handed: list[bytes] = []
        events: list[SynthesisEvent] = []

        def ear(pcm: bytes) -> bool:
            if pcm[:1] == b"c":
                return False
            handed.append(pcm[:1])
            events.append(SynthesisAudio(pcm))
            return True

        async def read_in_order() -> None:
            stream.hand_audio_to(ear)
            async for event in stream:
                events.append(event)  # noqa: PERF401 - `ear` adds to them too

        async with asyncio.TaskGroup() as group:
            group.create_task(read_in_order())
            for number, letter in enumerate("abcd", 1):
                stream.send_text(letter)
                while sum(isinstance(event, SynthesisWords) for event in events) < number:
                    await asyncio.sleep(0.005)  # its words come last, and must not come together with the next audio
            trunk._call.cancel()  # type: ignore[union-attr] # it is open: as a connection that breaks
            stream.send_text("ef")
            stream.end()
        assert heard(events) == "abcdef"
        assert {b"b", b"d"} <= set(handed)  # what comes together with another event is read behind it
        assert b"c" not in handed


async def test_speech_goes_on_though_its_service_takes_a_while_to_come_back() -> None:
    async with trunked() as (fakes, upstream, trunk):
        asked = 0

        async def back_later(call: Call) -> None:
            nonlocal asked
            asked += 1
            if asked < 3:
                await call.abort(grpc.StatusCode.UNAVAILABLE)
            await one_call(call)

        fakes.tts.on("Synthesize", back_later)
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        stream.send_text("abc def")
        events: list[SynthesisEvent] = []
        reader = stream.__aiter__()
        while len(heard(events)) < len("abc"):
            events.append(await anext(reader))
        fakes.tts.on("SynthesizeMany", refused)
        trunk._call.cancel()  # type: ignore[union-attr] # it is open: as a connection that breaks
        stream.end()
        events += [event async for event in reader]
        assert heard(events) == "abc def"
        assert events[-1] == SynthesisDone(7)


class Idle:
    """A trunk without a call, and the attempt of its stream."""

    service, heard_at = "tts", 0.0

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_: None

    def failed(self, broken: BaseException) -> BaseException:
        return service_error("tts", broken)


def test_a_service_that_falls_silent_while_it_is_handed_over_is_noticed() -> None:
    async def test() -> None:
        loop, idle = asyncio.get_running_loop(), Idle()
        trunk: Any = idle
        stream = SpeechStream(TextSource(), trunk, 1, b"", trunk, limit_s=1.0)
        handed: list[bytes] = []
        stream.ear = lambda audio: not handed.append(audio)  # type: ignore[func-returns-value]

        async def read() -> None:
            with pytest.raises(ServiceError, match="DEADLINE_EXCEEDED"):
                await stream.read()

        async with asyncio.TaskGroup() as group:
            group.create_task(read(), name="reader")
            stream.end()
            for _ in range(5):
                await asyncio.sleep(0.9)
                idle.heard_at = loop.time()
                audio = tts_pb2.SynthesizeResponse(audio=CHUNK)
                stream.take(tts_pb2.StreamResponse(stream=1, response=audio))
        assert len(handed) == 5
        assert loop.time() == pytest.approx(idle.heard_at + 1.0)

    virtual_time.run(test())


async def refused(call: Call) -> None:
    await call.abort(grpc.StatusCode.UNIMPLEMENTED)


async def one_call(call: Call) -> None:
    async def requests() -> Requests:
        while (request := await call.read()) is not None:
            yield request

    async for response in letters(requests(), call):
        await call.write(response)


async def test_a_service_without_trunks_is_asked_once() -> None:
    asked = 0

    async def refuse(call: Call) -> None:
        nonlocal asked
        asked += 1
        await call.abort(grpc.StatusCode.UNIMPLEMENTED)

    fakes = FakeServices("tts")
    fakes.tts.on("SynthesizeMany", refuse)
    fakes.tts.on("Synthesize", echo)
    async with fakes, fakes.upstream() as upstream:
        for _ in range(5):
            stream = upstream.services.tts.synthesize(CONFIG, CALLER)
            stream.send_text("hi")
            stream.end()
            assert SynthesisAudio(b"hi") in await read_all(stream)
        assert asked == 1
