"""Many microphones in one call: credit, ends, failures of one stream and of all, and services without trunks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from server.embedded.stt.trunk import RecognizeManyCall
from server.upstream.microphone_trunk import WINDOW_BYTES, MicrophoneStream
from server.upstream.trunk import RATE_S, FramePace, Trunk
from streaming.ports import ServiceError
from tests.server.upstream.observing import CALLER
from tests.server.upstream.test_stt import CONFIG, FRAME, Taken, count_audio, final, read_all, texts
from tests.support.services import FakeServices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from protos import stt_pb2
    from server.upstream import Upstream
    from streaming.ports import RecognitionStream
    from tests.support.services import Call

    Recognize = Callable[[AsyncIterator[stt_pb2.RecognizeRequest], Any], Awaitable[None]]


async def count(requests: AsyncIterator[stt_pb2.RecognizeRequest], context: Any) -> None:
    n_bytes = 0
    async for request in requests:
        n_bytes += len(request.audio)
        if request.HasField("commit"):
            await context.write(final(str(n_bytes)))
            n_bytes = 0
    await context.write(final(str(n_bytes)))


def carrying(recognize: Recognize) -> Callable[[Call], Awaitable[None]]:
    async def handle(call: Call) -> None:
        async def requests() -> AsyncIterator[stt_pb2.TrunkRequest]:
            while (request := await call.read()) is not None:
                yield request

        await RecognizeManyCall(recognize).serve(requests(), call)

    return handle


def fakes_with_trunks(recognize: Recognize = count) -> FakeServices:
    fakes = FakeServices("stt")
    fakes.stt.on("RecognizeMany", carrying(recognize))
    fakes.stt.on("Recognize", count_audio)
    return fakes


async def trunk_of(upstream: Upstream) -> Trunk:
    client: Any = upstream.services.stt
    while (trunk := client._trunks.pick()) is None:
        client._trunks._try_at = 0.0  # no pause between attempts
        await asyncio.sleep(0.005)
    assert isinstance(trunk, Trunk)
    return trunk


@asynccontextmanager
async def trunked(recognize: Recognize = count, **settings: Any) -> AsyncIterator[tuple[FakeServices, Upstream, Trunk]]:
    async with fakes_with_trunks(recognize) as fakes, fakes.upstream(**settings) as upstream:
        yield fakes, upstream, await trunk_of(upstream)


def open_stream(upstream: Upstream, taken: Taken | None = None) -> RecognitionStream:
    return upstream.services.stt.recognize(CONFIG, CALLER, taken or Taken())


async def test_streams_of_many_microphones_share_one_call() -> None:
    async with trunked() as (fakes, upstream, _):
        takens = [Taken() for _ in range(20)]
        streams = [open_stream(upstream, taken) for taken in takens]
        for number, stream in enumerate(streams):
            for _ in range(number + 1):
                stream.send_audio(FRAME)
            stream.commit()
            stream.send_audio(FRAME)
            stream.end()
        heard = await asyncio.gather(*(read_all(stream) for stream in streams))
        assert [texts(events) for events in heard] == [[str(640 * (n + 1)), "640"] for n in range(20)]
        assert [taken.n_bytes for taken in takens] == [640 * (n + 2) for n in range(20)]
        assert [call.method for call in fakes.stt.calls] == ["RecognizeMany"]


async def until_arrived(requests: list[stt_pb2.TrunkRequest], items: int) -> None:
    while sum(len(request.items) for request in requests) < items:
        await asyncio.sleep(0.005)


async def test_what_a_tick_brings_leaves_in_one_message() -> None:
    async with trunked() as (fakes, upstream, _):
        streams = [open_stream(upstream) for _ in range(50)]
        requests = fakes.stt.calls[0].requests
        await until_arrived(requests, 50)
        before = len(requests)
        for stream in streams:
            stream.send_audio(FRAME)
        await until_arrived(requests, 100)
        messages = requests[before:]
        assert len(messages) == 1
        assert len(messages[0].items) == 50
        for stream in streams:
            stream.cancel()


@pytest.mark.parametrize(
    ("microphones", "tick_s"),
    [(0, 0.0), (1, 0.0), (16, 0.0), (17, 0.002), (50, 0.002), (51, 0.004), (201, 0.005), (10_000, 0.005)],
)
def test_a_few_microphones_never_wait(microphones: int, tick_s: float) -> None:
    pace = FramePace()
    assert pace.tick_s(100.0) == 0.0
    pace.frames = 10 * microphones
    assert pace.tick_s(100.0 + RATE_S / 2) == 0.0
    assert pace.tick_s(100.0 + 0.2) == tick_s
    assert pace.tick_s(100.0 + 0.4) == 0.0


async def test_streams_that_send_nothing_make_nobody_wait() -> None:
    async with trunked() as (fakes, upstream, trunk):
        streams = [open_stream(upstream) for _ in range(300)]
        await until_arrived(fakes.stt.calls[0].requests, 300)
        await asyncio.sleep(RATE_S)
        streams[0].send_audio(FRAME)
        await until_arrived(fakes.stt.calls[0].requests, 301)
        assert trunk._pace.tick_s(asyncio.get_running_loop().time()) == 0.0
        for stream in streams:
            stream.cancel()


async def test_a_slow_stream_holds_up_no_other_and_keeps_its_own_credit() -> None:
    listen = asyncio.Event()

    async def one_is_deaf(requests: AsyncIterator[stt_pb2.RecognizeRequest], context: Any) -> None:
        first = await anext(requests)
        if first.config.language == "deaf":
            await listen.wait()
        await count(requests, context)

    async with trunked(one_is_deaf) as (_, upstream, _trunk):
        taken = Taken()
        from dataclasses import replace

        slow = upstream.services.stt.recognize(replace(CONFIG, language="deaf"), CALLER, taken)
        total = 0
        while total < 1_000_000:
            slow.send_audio(FRAME)
            total += len(FRAME)
        quick = open_stream(upstream)
        quick.send_audio(FRAME)
        quick.end()
        assert texts(await read_all(quick)) == ["640"]
        assert taken.n_bytes <= WINDOW_BYTES + len(FRAME) * 200
        listen.set()
        slow.end()
        assert texts(await read_all(slow)) == [str(total)]
        assert taken.n_bytes == total


async def test_a_status_ends_its_stream_alone() -> None:
    async def some_fail(requests: AsyncIterator[stt_pb2.RecognizeRequest], context: Any) -> None:
        first = await anext(requests)
        if first.config.language == "bad":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such language")
        if first.config.language == "broken":
            raise RuntimeError("a fault of the service")
        if first.config.language == "ending":
            raise asyncio.CancelledError
        await count(requests, context)

    async with trunked(some_fail) as (_, upstream, trunk):
        from dataclasses import replace

        good = open_stream(upstream)
        refusals = {"bad": "INVALID_ARGUMENT: no such language", "broken": "INTERNAL", "ending": "UNAVAILABLE"}
        for language, told in refusals.items():
            stream = upstream.services.stt.recognize(replace(CONFIG, language=language), CALLER, Taken())
            with pytest.raises(ServiceError, match=told):
                await read_all(stream)
        good.send_audio(FRAME)
        good.end()
        assert texts(await read_all(good)) == ["640"]
        assert not trunk.over
        assert len(trunk) == 0


async def test_a_cancelled_stream_is_told_and_ends_without_an_error() -> None:
    stopped = asyncio.Event()

    async def wait(requests: AsyncIterator[stt_pb2.RecognizeRequest], _context: Any) -> None:
        try:
            async for _ in requests:
                pass
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with trunked(wait) as (fakes, upstream, trunk):
        stream = open_stream(upstream)
        stream.send_audio(FRAME)
        await until_arrived(fakes.stt.calls[0].requests, 2)
        stream.cancel()
        assert await read_all(stream) == []
        await stopped.wait()
        assert len(trunk) == 0


async def test_a_broken_trunk_fails_its_streams_and_another_takes_its_place() -> None:
    async with trunked() as (fakes, upstream, trunk):
        stream = open_stream(upstream)
        stream.send_audio(FRAME)
        await until_arrived(fakes.stt.calls[0].requests, 2)
        await fakes.stt.stop()
        with pytest.raises(ServiceError, match="UNAVAILABLE"):
            await read_all(stream)
        assert trunk.over
        await fakes.stt.start()
        assert await trunk_of(upstream) is not trunk
        again = open_stream(upstream)
        again.end()
        assert texts(await read_all(again)) == ["0"]
        assert fakes.stt.calls[-1].method == "RecognizeMany"


async def test_a_service_that_takes_nothing_any_more_is_noticed() -> None:
    async def hang(requests: AsyncIterator[stt_pb2.RecognizeRequest], _context: Any) -> None:
        await anext(requests)
        await asyncio.Event().wait()

    async with trunked(hang, deadline_ms=300) as (_, upstream, _trunk):
        stream = open_stream(upstream)
        for _ in range(100):
            stream.send_audio(FRAME)
        with pytest.raises(ServiceError, match="DEADLINE_EXCEEDED"):
            await read_all(stream)


async def test_a_service_without_trunks_is_asked_once() -> None:
    asked = 0

    async def refuse(call: Call) -> None:
        nonlocal asked
        asked += 1
        await call.abort(grpc.StatusCode.UNIMPLEMENTED)

    fakes = FakeServices("stt")
    fakes.stt.on("RecognizeMany", refuse)
    fakes.stt.on("Recognize", count_audio)
    async with fakes, fakes.upstream() as upstream:
        for _ in range(5):
            stream = open_stream(upstream)
            stream.send_audio(FRAME)
            stream.end()
            assert texts(await read_all(stream)) == ["640"]
        assert asked == 1


@pytest.mark.parametrize("way", ["cancelled", "ended", "broken"])
async def test_a_stream_that_is_over_waits_for_no_collector(way: str) -> None:
    async with trunked() as (fakes, upstream, _):
        gc.collect()
        gc.disable()
        try:
            before = set(map(id, streams_alive()))
            stream = open_stream(upstream)
            stream.send_audio(FRAME)
            if way == "cancelled":
                stream.cancel()
            elif way == "ended":
                stream.end()
            else:
                await fakes.stt.stop()
            with contextlib.suppress(ServiceError):
                await read_all(stream)
            del stream
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(200):
                    while any(id(stream) not in before for stream in streams_alive()):
                        await asyncio.sleep(0.1)  # each look takes a second in a large process
            assert [stream for stream in streams_alive() if id(stream) not in before] == []
        finally:
            gc.enable()


def streams_alive() -> list[MicrophoneStream]:
    return [thing for thing in gc.get_objects() if type(thing) is MicrophoneStream]


@pytest.mark.plain_python("a weak reference to a compiled class with a generic base crashes: mypyc 2.4.1, Python 3.11")
async def test_a_trunk_that_finds_no_service_waits_for_no_collector() -> None:
    async with fakes_with_trunks() as fakes, fakes.upstream() as upstream:
        await fakes.stt.stop()
        client: Any = upstream.services.stt
        gc.collect()
        gc.disable()
        try:
            client._trunks.pick()
            gone = weakref.ref(client._trunks._trunks[-1])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(200):
                    while gone() is not None:
                        await asyncio.sleep(0.005)
                        client._trunks.open()
            assert gone() is None
        finally:
            gc.enable()
