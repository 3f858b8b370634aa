"""A trunk's server side, without gRPC."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import pytest

from protos import tts_pb2
from server.embedded.callers import current_user
from server.embedded.trunk import ServedStream, TrunkCall
from server.embedded.tts.trunk import SPEECH_TICK_S, SynthesizeManyCall
from tests.support import virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

cygrpc = importlib.import_module("grpc._cython.cygrpc")


class Waiting(TrunkCall):
    """Streams that answer once, then last until they are cancelled."""

    def __init__(self) -> None:
        super().__init__(tts_pb2, "test")
        self.answered, self.cancelled = asyncio.Event(), asyncio.Event()

    async def run(self, stream: ServedStream) -> None:
        await self.answer(stream, tts_pb2.SynthesizeResponse())
        self.answered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


class Naming(TrunkCall):
    """Streams that end once they have noted their user."""

    def __init__(self) -> None:
        super().__init__(tts_pb2, "test")
        self.users: dict[int, str] = {}

    async def run(self, stream: ServedStream) -> None:
        self.users[stream.number] = current_user()


class DeadCall:
    """Breaks at the message of that number."""

    def __init__(self, breaks_at: int, error: Exception) -> None:
        self._left = breaks_at
        self._error = error

    async def write(self, _message: Any) -> None:
        if not self._left:
            raise self._error
        self._left -= 1


class CountingCall:
    """Takes messages; `items`: how many each had."""

    def __init__(self) -> None:
        self.items: list[int] = []

    async def write(self, message: Any) -> None:
        self.items.append(len(message.items))


@pytest.mark.parametrize(
    ("streams", "busy_tick_s", "messages"), [(16, 0.005, 30), (16, 0.01, 30), (60, 0.005, 7), (60, 0.01, 4)]
)
def test_responses_of_many_streams_gather(streams: int, busy_tick_s: float, messages: int) -> None:
    """Thirty responses, one in each millisecond: those of few streams are sent at once."""
    trunk, call = Waiting(), CountingCall()
    trunk.busy_tick_s = busy_tick_s

    async def opening() -> AsyncIterator[Any]:
        request = tts_pb2.SynthesizeRequest()
        yield tts_pb2.TrunkRequest(items=[tts_pb2.StreamRequest(stream=n, request=request) for n in range(streams)])
        await asyncio.Event().wait()

    async def test() -> None:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(trunk.serve(opening(), call), name="trunk")
            await asyncio.sleep(0.1)
            assert sum(call.items) == streams
            call.items.clear()
            for _ in range(30):
                trunk.put(ServedStream(0), response=tts_pb2.SynthesizeResponse())
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.1)
            serving.cancel()

    virtual_time.run(test())
    assert sum(call.items) == 30
    assert abs(len(call.items) - messages) <= 1


async def test_a_stream_works_for_the_user_that_its_first_item_names() -> None:
    named = {1: {"x-user-id": "ada"}, 2: {"x-user-id": "b%C3%A9b%C3%A9"}, 3: {}}

    async def opening() -> AsyncIterator[Any]:
        items = [tts_pb2.StreamRequest(stream=number, metadata=metadata) for number, metadata in named.items()]
        for item in items:
            item.request.SetInParent()
        yield tts_pb2.TrunkRequest(items=items)

    trunk = Naming()
    await trunk.serve(opening(), CountingCall())
    assert trunk.users == {1: "ada", 2: "bébé", 3: ""}


async def test_a_stream_that_is_cancelled_in_the_message_that_opens_it_ends_like_any_other() -> None:
    async def opening() -> AsyncIterator[Any]:
        request = tts_pb2.StreamRequest(stream=1, request=tts_pb2.SynthesizeRequest())
        yield tts_pb2.TrunkRequest(items=[request, tts_pb2.StreamRequest(stream=1, cancel=True)])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        left.append(len(trunk._streams) + len(trunk._tasks))

    left: list[int] = []
    trunk, call = Waiting(), CountingCall()
    await trunk.serve(opening(), call)
    assert left == [0]
    assert call.items == [0, 1]


def test_the_first_sound_of_an_utterance_waits_for_no_tick() -> None:
    """Sixty utterances speak, each in a tick of the others; a service gathers what comes behind their first sound."""
    arrived: dict[int, list[float]] = {}  # by stream: the times of its audio, from when it was made

    class Call:
        async def write(self, message: Any) -> None:
            now = asyncio.get_running_loop().time()
            for item in message.items:
                if item.response.audio:
                    arrived.setdefault(item.stream, []).append(now - float(item.response.audio))

    async def speak(requests: AsyncIterator[Any], _context: Any) -> AsyncGenerator[Any, None]:
        loop = asyncio.get_running_loop()
        delay = (await anext(requests)).config.speed
        yield tts_pb2.SynthesizeResponse(started=tts_pb2.Started())
        await asyncio.sleep(delay)
        for _ in range(4):
            yield tts_pb2.SynthesizeResponse(audio=str(loop.time()).encode())
            await asyncio.sleep(0.003)
        await asyncio.Event().wait()

    async def opening() -> AsyncIterator[Any]:
        for number in range(60):
            request = tts_pb2.SynthesizeRequest(config=tts_pb2.SynthesizeConfig(speed=0.1 + 0.007 * number))
            yield tts_pb2.TrunkRequest(items=[tts_pb2.StreamRequest(stream=number, request=request)])
        await asyncio.Event().wait()

    async def test() -> None:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(SynthesizeManyCall(speak).serve(opening(), Call()), name="trunk")
            await asyncio.sleep(1)
            serving.cancel()

    virtual_time.run(test())
    assert len(arrived) == 60
    assert all(ages[0] < 1e-6 for ages in arrived.values())
    assert 0.003 < max(age for ages in arrived.values() for age in ages) <= SPEECH_TICK_S + 1e-6


async def requests() -> AsyncIterator[Any]:
    yield tts_pb2.TrunkRequest(items=[tts_pb2.StreamRequest(stream=1, request=tts_pb2.SynthesizeRequest())])
    await asyncio.Event().wait()


CALLER_DIED, SERVER_ENDS = (
    cygrpc.ExecuteBatchError("SendMessage"),
    cygrpc._ServerStoppedError("Server already stopped."),
)


@pytest.mark.parametrize("error", [CALLER_DIED, SERVER_ENDS])
@pytest.mark.parametrize("breaks_at", [0, 1])
async def test_a_call_that_cannot_be_answered_any_more_is_cancelled_with_its_streams(
    breaks_at: int, error: Exception
) -> None:
    trunk = Waiting()
    with pytest.raises(asyncio.CancelledError):
        await trunk.serve(requests(), DeadCall(breaks_at, error))
    assert trunk.cancelled.is_set() == bool(breaks_at)


async def test_so_is_one_that_cannot_be_read_any_more() -> None:
    async def broken() -> AsyncIterator[Any]:
        async for request in requests():
            yield request
            await trunk.answered.wait()
            raise SERVER_ENDS

    trunk = Waiting()
    with pytest.raises(asyncio.CancelledError):
        await trunk.serve(broken(), CountingCall())
    assert trunk.cancelled.is_set()
