"""A trunk's server side: many streams in one call, each served as a call of its own would be."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from types import ModuleType

    class Call(Protocol):
        """The servicer context of the trunk's call, as far as it is used."""

        def write(self, message: Any) -> Awaitable[None]:
            """Send one message."""


log = logging.getLogger(__name__)

MAX_WAITING = 1_000  # items that the caller does not read
MESSAGE_BYTES = 512 * 1024  # an eighth of what gRPC takes; more items go into the next message


class AbortError(Exception):
    """A stream ends with a status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamContext:
    """What a call of its own would get as its servicer context."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End this stream with a status; the others go on."""
        raise AbortError(code, details)


class TrunkStream:
    """One stream: the requests that came for it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests: asyncio.Queue[Any | None] = asyncio.Queue()  # None: half-closed


class TrunkCall(ABC):
    """One call of many streams. `messages`: the service's module of protobuf messages."""

    def __init__(self, messages: ModuleType, service: str) -> None:
        self._messages: Any = messages
        self._service = service
        self._streams: dict[int, TrunkStream] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._out: list[Any] = []
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False

    @abstractmethod
    async def run(self, stream: TrunkStream) -> None:
        """Serve a stream. AbortError is its status; any other error is INTERNAL."""

    def took(self, stream: TrunkStream, request: Any) -> bool:  # noqa: ARG002 - for those who count
        """A request was queued. False: the caller keeps no credit, and the stream is cancelled."""
        return True

    def other(self, stream: TrunkStream, item: Any) -> None:  # noqa: B027 - not every service has any
        """An item of this service's own kind."""

    async def serve(self, requests: AsyncIterator[Any], call: Call) -> None:
        """Until the caller closes his side and every stream has ended. A fault of a stream ends that stream only."""
        await call.write(self._messages.TrunkResponse())  # the greeting: trunks are offered here
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

    def new_stream(self, number: int) -> TrunkStream:
        """What is kept of a stream."""
        return TrunkStream(number)

    def _take(self, item: Any, group: asyncio.TaskGroup) -> None:
        number, what = item.stream, item.WhichOneof("what")
        stream = self._streams.get(number)
        if stream is None:
            if what != "request" or number in self._tasks:
                return  # it has ended: what crossed with that is ignored
            stream = self._streams[number] = self.new_stream(number)
            name = f"{self._service} trunk: stream {number}"
            self._tasks[number] = group.create_task(self._run(stream), name=name)
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

    async def _run(self, stream: TrunkStream) -> None:
        code, message = grpc.StatusCode.OK, ""
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
            self.put(stream, end=self._messages.StreamEnd(code=code.value[0], message=message))

    async def answer(self, stream: TrunkStream, response: Any) -> None:
        """Send a response, and wait while too much waits to be sent."""
        self.put(stream, response=response)
        await self._room.wait()

    def put(self, stream: TrunkStream, **what: Any) -> None:
        """Queue an item."""
        self._out.append(self._messages.StreamResponse(stream=stream.number, **what))
        self._wake.set()
        if len(self._out) > MAX_WAITING:
            self._room.clear()

    async def _write(self, call: Call) -> None:
        while self._out or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            out, self._out = self._out, []
            self._room.set()
            for items in _parts(out):
                await call.write(self._messages.TrunkResponse(items=items))


def _parts(items: list[Any]) -> list[list[Any]]:
    """So many in each that no message becomes too long."""
    parts: list[list[Any]] = []
    size = MESSAGE_BYTES
    for item in items:
        if size >= MESSAGE_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(item)
        size += item.ByteSize()
    return parts
