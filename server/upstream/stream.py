"""A bidirectional call: one writer task that sends what a source has ready, and one reader that pulls, never ahead.

Only the reader reports how the call ended; a failed write just stops the writer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import grpc.aio

from server.upstream.convert import asking
from server.upstream.inactivity import InactivityGuard
from server.upstream.metadata import call_metadata
from server.upstream.status import cancelled_from_outside, failure, service_error
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from server.upstream.background import Background
    from server.upstream.call import Attempt, ServiceLine
    from streaming.ports import CallContext

RequestT = TypeVar("RequestT")
RequestT_co = TypeVar("RequestT_co", covariant=True)
ResponseT = TypeVar("ResponseT")
StubT = TypeVar("StubT")


class MessageSource(Protocol[RequestT_co]):
    """Messages waiting to be sent."""

    def take(self) -> RequestT_co | None:
        """The next message, or None if nothing is ready."""

    def sent(self) -> None:
        """The message that `take` last returned was sent."""

    def linger_s(self) -> float:
        """How long to let more accumulate before each `take`."""


@dataclass(frozen=True, slots=True)
class BidiMethod(Generic[StubT, RequestT, ResponseT]):
    """One of a service's bidirectional methods. `guard_writes`: the service hangs if it stops taking what is sent.

    Not for a method whose reader may hold it back, as it may then rightly stop taking input.
    """

    name: str
    pick: Callable[[StubT], grpc.aio.StreamStreamMultiCallable[RequestT, ResponseT]]
    guard_writes: bool


class BidiStream(Generic[RequestT, ResponseT]):
    """One call. Create it on the event loop; it opens at once. A call that was refused fails when it is read."""

    def __init__(
        self,
        line: ServiceLine[StubT],
        method: BidiMethod[StubT, RequestT, ResponseT],
        first: Callable[[], RequestT],
        source: MessageSource[RequestT],
        context: CallContext,
        background: Background,
    ) -> None:
        """`first` builds the first message. What protobuf cannot carry ends the stream with INVALID_ARGUMENT."""
        limit_s = line.deadline_s(context)
        self._service = line.name
        self._source = source
        self._write_guard = InactivityGuard(limit_s, self._expire) if method.guard_writes else None
        self._read_guard = InactivityGuard(limit_s, self._expire)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ended = self._reading = self._cancelled = False
        self._broken: ServiceError | None = None
        self._attempt: Attempt | None = None
        self._call: grpc.aio.StreamStreamCall[RequestT, ResponseT] | None = None
        self._events: AsyncIterator[ResponseT] | None = None
        self._writer: asyncio.Task[None] | None = None
        try:
            with asking(line.name):
                request = first()
            self._attempt = line.begin(method.name, context.user_id)
        except ServiceError as refused:
            self._broken = refused.with_traceback(None)  # its frames refer to this stream and all its callers
            return
        call = method.pick(line.pool.pick())(metadata=call_metadata(context))
        call.add_done_callback(self._over)
        self._call, self._attempt.call, self._events = call, call, call.__aiter__()
        self._writer = background.spawn(self._write(call, request), f"{line.name}.{method.name} writer")

    @property
    def live(self) -> bool:
        """True if more may be sent."""
        return self._call is not None and not self._ended and not self._call.done()

    def wake(self) -> None:
        """The source has something to send."""
        self._wake.set()

    def wake_now(self) -> None:
        """The source has something to send that must not linger."""
        self._wake.set()
        self._hurry.set()

    def end(self) -> None:
        """Half-close once the source is empty. From now on `read` waits no longer than the stream's time limit."""
        self._ended = True
        self.wake_now()
        if self._reading:
            self._read_guard.expect()

    def fail(self, broken: ServiceError) -> None:
        """End the call from our side; `read` raises the error."""
        self._broken = self._broken or broken
        self._hang_up()

    def hung(self, broken: ServiceError) -> None:
        """The service does not respond on this stream: end the call with this error."""
        self.fail(broken)

    def cancel(self) -> None:
        """Stop now; `read` returns None."""
        self._cancelled = True
        self._hang_up()
        if self._attempt is not None:
            self._attempt.abandoned()

    def _expire(self) -> None:
        self.fail(failure(self._service, "DEADLINE_EXCEEDED"))

    def _hang_up(self) -> None:
        if self._call is not None:
            self._call.cancel()
        self._over()

    def _over(self, _call: object = None) -> None:
        if self._write_guard is not None:
            self._write_guard.close()
        self._read_guard.close()
        if self._writer is not None:
            self._writer.cancel()

    async def _write(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT], first: RequestT) -> None:
        try:
            await call.wait_for_connection()
            await write_message(call, first)
            await self._write_all(call)
        except (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError):
            return  # the call has ended: its reader learns why
        except Exception as error:
            self.fail(service_error(self._service, error))
            raise

    async def _write_all(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT]) -> None:
        while not call.done():
            linger_s = self._source.linger_s()
            if linger_s > 0 and not self._ended:
                await self._linger(linger_s)
            request = self._source.take()
            if request is not None:
                await self._send(call, request)
            elif self._ended:
                await call.done_writing()
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _linger(self, linger_s: float) -> None:
        """Wait for `linger_s`, or until something is urgent."""
        self._hurry.clear()
        timer = asyncio.get_running_loop().call_later(linger_s, self._hurry.set)
        try:
            await self._hurry.wait()
        finally:
            timer.cancel()

    async def _send(self, call: grpc.aio.StreamStreamCall[RequestT, ResponseT], request: RequestT) -> None:
        if self._write_guard is not None:
            self._write_guard.expect()
        await write_message(call, request)
        if self._write_guard is not None:
            self._write_guard.relax()
        self._source.sent()

    async def read(self) -> ResponseT | None:
        """The next response; None at the end and after `cancel`. Raises ServiceError."""
        if self._events is None or self._attempt is None:
            self._raise_refusal()
            return None
        try:
            response = await self._next(self._events)
        except StopAsyncIteration:
            self._attempt.succeeded()
            return None
        except asyncio.CancelledError as cancelled:
            if cancelled_from_outside():
                raise
            if self._cancelled:
                return None
            raise self._attempt.failed(self._told() or cancelled) from None
        except Exception as error:  # noqa: BLE001 - as the port promises: ServiceError and nothing else
            raise self._attempt.failed(self._told() or error) from None
        self._attempt.answered()
        return None if self._cancelled else response  # it may have been under way when the stream was cancelled

    def _raise_refusal(self) -> None:
        if not self._cancelled and (broken := self._told()) is not None:
            try:
                raise broken
            finally:
                del broken  # its traceback refers to this frame

    def _told(self) -> ServiceError | None:
        """Take the error, to raise it. Its traceback refers to this stream, so keeping it here would be a reference cycle."""
        broken, self._broken = self._broken, None
        return broken

    async def _next(self, events: AsyncIterator[ResponseT]) -> ResponseT:
        """Guard the wait for an event, but not what the reader does with it."""
        self._reading = True
        if self._ended:
            self._read_guard.expect()
        try:
            response = await anext(events)
        finally:
            self._reading = False
            self._read_guard.relax()
        if response is None:  # grpc.aio returns None for what protobuf cannot parse
            raise ValueError("unreadable response")
        return response


async def write_message(call: grpc.aio.StreamStreamCall[RequestT, ResponseT], request: RequestT) -> None:
    """Like `call.write`, but raises InternalError if the call has ended.

    grpc.aio's own `write` would then set the status of the whole call to INTERNAL, and the reader would lose the service's.
    """
    message: bytes = request.SerializeToString()  # type: ignore[attr-defined] # all requests are protobuf messages
    await write_bytes(call, message)


async def write_bytes(call: grpc.aio.StreamStreamCall[RequestT, ResponseT], message: bytes) -> None:
    """Like `write_message`, for a message that is already serialised."""
    await call._cython_call.send_serialized_message(message)  # type: ignore[attr-defined] # noqa: SLF001 - see above
