"""The server side of a trunk: many streams in one gRPC call, each served like a separate call."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import grpc

from server.embedded.callers import bind_caller, cancelled_without_caller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from types import ModuleType

    class ServicerCall(Protocol):
        """The part of a servicer context that is used here."""

        def write(self, message: Any) -> Awaitable[None]:
            """Send one message."""


log = logging.getLogger(__name__)

MAX_WAITING = 1_000  # items queued for a caller that does not read
MESSAGE_BYTES = 512 * 1024  # an eighth of what gRPC takes; more items go into the next message
# Up to this many streams, responses gather for this long: a message costs both sides far more than one more item in it. Above
# that, for `TrunkCall.busy_tick_s`.
TICKS_S = ((16, 0.0), (50, 0.002))
BUSY_TICK_S = 0.005


class AbortError(Exception):
    """Ends a stream with a status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamContext:
    """A stream's replacement for the servicer context of a separate call."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End this stream with a status; the others continue."""
        raise AbortError(code, details)


class ServedStream:
    """One stream, with the requests received for it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.metadata: dict[str, str] = {}  # of its first item: what a gRPC call of its own would carry
        self.requests: asyncio.Queue[Any | None] = asyncio.Queue()  # None: half-closed


class TrunkCall(ABC):
    """One call that carries many streams. `messages`: the service's module of protobuf messages."""

    busy_tick_s = BUSY_TICK_S  # how long the responses of many streams gather

    def __init__(self, messages: ModuleType, service: str, instance: str = "") -> None:
        """`instance` names the process; empty: it has no name, and callers do not look for others."""
        self._messages: Any = messages
        self._service = service
        self._instance = instance
        self._streams: dict[int, ServedStream] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._out: list[Any] = []
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._waiting: list[asyncio.Future[None]] = []
        self._closing = False

    def greeting(self) -> Any:
        """The first response: it tells the caller that this service has trunks."""
        return self._messages.TrunkResponse(instance=self._instance)

    @abstractmethod
    async def run(self, stream: ServedStream) -> None:
        """Serve a stream. AbortError gives the stream's status; any other exception becomes INTERNAL."""

    def took(self, stream: ServedStream, request: Any) -> bool:  # noqa: ARG002 - for services that count bytes
        """Called after a request is queued. Returns False if the caller exceeds its credit: the stream is then cancelled."""
        return True

    def other(self, stream: ServedStream, item: Any) -> None:  # noqa: B027 - not every service has such items
        """Handle an item that only this service has, such as credit."""

    async def serve(self, requests: AsyncIterator[Any], call: ServicerCall) -> None:
        """Serve the call until the caller half-closes and every stream has ended. An error in a stream ends only that stream."""
        with cancelled_without_caller():
            await self._serve(requests, call)

    async def _serve(self, requests: AsyncIterator[Any], call: ServicerCall) -> None:
        await call.write(self.greeting())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(call), name=f"{self._service} trunk: write")
            async for request in requests:
                for item in request.items:
                    self._take(item, group)
            for stream in self._streams.values():
                stream.requests.put_nowait(None)
            if self._tasks:
                await asyncio.wait(list(self._tasks.values()))
            self._closing = True
            self._wake.set()

    def new_stream(self, number: int) -> ServedStream:
        """The object that holds a new stream's state."""
        return ServedStream(number)

    def _take(self, item: Any, group: asyncio.TaskGroup) -> None:
        number, what = item.stream, item.WhichOneof("what")
        stream = self._streams.get(number)
        if stream is None:
            if what != "request" or number in self._tasks:
                return  # the stream has ended; the caller sent this before it knew
            stream = self._streams[number] = self.new_stream(number)
            stream.metadata = dict(item.metadata)
            name = f"{self._service} trunk: stream {number}"
            task = self._tasks[number] = group.create_task(self._run(stream), name=name)
            task.add_done_callback(partial(self._never_begun, stream))
        if what == "request":
            stream.requests.put_nowait(item.request)
            if not self.took(stream, item.request):
                self._tasks[number].cancel()
        elif what == "end":
            stream.requests.put_nowait(None)
        elif what == "cancel":
            self._tasks[number].cancel()
        else:
            self.other(stream, item)

    async def _run(self, stream: ServedStream) -> None:
        code, message = grpc.StatusCode.OK, ""
        bind_caller(self._service, stream.metadata.items())
        try:
            await self.run(stream)
        except AbortError as aborted:
            code, message = aborted.code, str(aborted)
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
        except Exception:
            log.exception("a stream of a trunk failed")
            code, message = grpc.StatusCode.INTERNAL, f"something went wrong in {self._service}"
        finally:
            del self._streams[stream.number], self._tasks[stream.number]
            self.ended(stream, code, message)

    def _never_begun(self, stream: ServedStream, _task: asyncio.Task[None]) -> None:
        """Remove a stream that was cancelled in the message that opened it: nothing in its task has run then."""
        if self._streams.get(stream.number) is stream:
            del self._streams[stream.number], self._tasks[stream.number]
            self.ended(stream, grpc.StatusCode.CANCELLED, "")

    def ended(self, stream: ServedStream, code: grpc.StatusCode, message: str) -> None:
        """Tell the caller how a stream ended."""
        self.put(stream, end=self._messages.StreamEnd(code=code.value[0], message=message))

    async def answer(self, stream: ServedStream, response: Any) -> None:
        """Queue a response, and wait while too many items are queued."""
        self.put(stream, response=response)
        await self._room.wait()

    async def sent(self) -> None:
        """Wait until everything that is queued now has been sent."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def put(self, stream: ServedStream, **what: Any) -> None:
        """Queue an item for the caller."""
        self._out.append(self._messages.StreamResponse(stream=stream.number, **what))
        self._wake.set()
        if len(self._out) > MAX_WAITING:
            self._room.clear()

    def hurry(self) -> None:
        """Send what is queued next without waiting for the tick."""
        self._hurry.set()

    async def _write(self, call: ServicerCall) -> None:
        loop = asyncio.get_running_loop()
        sent_at = 0.0
        while self._out or not self._closing:
            await self._wake.wait()
            wait_s = sent_at + self.pause_s() - loop.time()
            if wait_s > 0 and not self._hurry.is_set():
                timer = loop.call_later(wait_s, self._hurry.set)
                await self._hurry.wait()
                timer.cancel()
            self._wake.clear()
            self._hurry.clear()
            sent_at = loop.time()
            out, self._out = self._out, []
            waiting, self._waiting = self._waiting, []
            self._room.set()
            for items in _parts(out):
                await call.write(self._messages.TrunkResponse(items=items))
            for sent in waiting:
                if not sent.done():  # its stream may have been cancelled
                    sent.set_result(None)

    def pause_s(self) -> float:
        """The least time between two messages, in seconds."""
        return tick_s(len(self._streams), self.busy_tick_s)


def tick_s(streams: int, busy_s: float) -> float:
    """The least time between two messages, in seconds. The responses of few streams are sent at once, of many every `busy_s`."""
    return next((tick for most, tick in TICKS_S if streams <= most), busy_s)


def _parts(items: list[Any]) -> list[list[Any]]:
    """Split the items so that no message becomes too long."""
    parts: list[list[Any]] = []
    size = MESSAGE_BYTES
    for item in items:
        if size >= MESSAGE_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(item)
        size += item.ByteSize()
    return parts
