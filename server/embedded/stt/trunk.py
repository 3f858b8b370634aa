"""RecognizeMany: many microphones in one call, each served like a Recognize call."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NoReturn, Protocol

import grpc

from protos import stt_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    class Call(Protocol):
        """The part of the servicer context that a trunk uses."""

        def write(self, message: stt_pb2.TrunkResponse) -> Awaitable[None]:
            """Send one message."""

    Recognize = Callable[["AsyncIterator[stt_pb2.RecognizeRequest]", "StreamContext"], Awaitable[None]]

log = logging.getLogger(__name__)

REPORT_BYTES = 16 * 1024  # audio taken between two reports to the caller: half a second
WINDOW_BYTES = 128 * 1024  # what a caller may have in flight per stream
MAX_WAITING = 1_000  # unread answers of one stream


class _AbortError(Exception):
    """Ends a stream with a status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamContext:
    """The servicer context of one stream, as Recognize gets it."""

    def __init__(self, put: Callable[[stt_pb2.RecognizeResponse], Awaitable[None]]) -> None:
        self._put = put

    async def write(self, message: stt_pb2.RecognizeResponse) -> None:
        """Send an answer."""
        await self._put(message)

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End this stream with a status; the others continue."""
        raise _AbortError(code, details)


class TrunkCall:
    """One RecognizeMany call."""

    def __init__(self, recognize: Recognize) -> None:
        self._recognize = recognize
        self._inputs: dict[int, asyncio.Queue[stt_pb2.RecognizeRequest | None]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._untaken: dict[int, int] = {}
        self._out: list[stt_pb2.StreamResponse] = []
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False

    async def serve(self, requests: AsyncIterator[stt_pb2.TrunkRequest], call: Call) -> None:
        """Run until the caller closes its side and every stream has ended. A failure ends only its own stream."""
        await call.write(stt_pb2.TrunkResponse())  # the greeting, which tells that trunks are offered
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(call), name="stt trunk: write")
            async for request in requests:
                for item in request.items:
                    self._take(item, group)
            for queue in self._inputs.values():
                queue.put_nowait(None)
            if self._tasks:
                await asyncio.wait(list(self._tasks.values()))
            self._closing = True
            self._wake.set()

    def _take(self, item: stt_pb2.StreamRequest, group: asyncio.TaskGroup) -> None:
        number, what = item.stream, item.WhichOneof("what")
        queue = self._inputs.get(number)
        if queue is None:
            if what != "request" or number in self._tasks:
                return  # the stream has ended; what crossed with that is ignored
            queue = self._inputs[number] = asyncio.Queue()
            self._untaken[number] = 0
            self._tasks[number] = group.create_task(self._run(number, queue), name=f"stt trunk: stream {number}")
        if what == "request":
            self._untaken[number] += len(item.request.audio)
            queue.put_nowait(item.request)
            if self._untaken[number] > 2 * WINDOW_BYTES:
                self._tasks[number].cancel()  # the caller ignores its credit
        elif what == "end":
            queue.put_nowait(None)
        elif what == "cancel":
            self._tasks[number].cancel()

    async def _run(self, number: int, queue: asyncio.Queue[stt_pb2.RecognizeRequest | None]) -> None:
        end = stt_pb2.StreamEnd()
        try:
            await self._recognize(
                self._requests(number, queue), StreamContext(lambda event: self._answer(number, event))
            )
        except _AbortError as aborted:
            end = stt_pb2.StreamEnd(code=aborted.code.value[0], message=str(aborted))
        except asyncio.CancelledError:
            end = stt_pb2.StreamEnd(code=grpc.StatusCode.CANCELLED.value[0])
        except Exception:
            log.exception("a stream of a trunk failed")
            end = stt_pb2.StreamEnd(
                code=grpc.StatusCode.INTERNAL.value[0], message="something went wrong in the recogniser"
            )
        finally:
            del self._inputs[number], self._tasks[number], self._untaken[number]
            self._put(stt_pb2.StreamResponse(stream=number, end=end))

    async def _requests(
        self, number: int, queue: asyncio.Queue[stt_pb2.RecognizeRequest | None]
    ) -> AsyncIterator[stt_pb2.RecognizeRequest]:
        taken = 0
        while (request := await queue.get()) is not None:
            yield request
            size = len(request.audio)
            taken += size
            self._untaken[number] -= size
            if taken >= REPORT_BYTES:
                self._put(stt_pb2.StreamResponse(stream=number, taken_bytes=taken))
                taken = 0

    async def _answer(self, number: int, event: stt_pb2.RecognizeResponse) -> None:
        self._put(stt_pb2.StreamResponse(stream=number, response=event))
        await self._room.wait()

    def _put(self, item: stt_pb2.StreamResponse) -> None:
        self._out.append(item)
        self._wake.set()
        if len(self._out) > MAX_WAITING:
            self._room.clear()

    async def _write(self, call: Call) -> None:
        while self._out or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            out, self._out = self._out, []
            self._room.set()
            if out:
                await call.write(stt_pb2.TrunkResponse(items=out))
