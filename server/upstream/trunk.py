"""A trunk: one gRPC call that carries the streams of many microphones.

A gRPC message costs some 60 to 80 µs on each side however short it is; a frame in a trunk's message costs a few. Everything that the
streams send within a tick leaves in one message. Each stream has credit of its own, so that a slow one does not hold up the
others, and has the interface of a `BidiStream`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio

from protos import stt_pb2
from server.upstream.convert import asking
from server.upstream.metadata import call_metadata
from server.upstream.status import cancelled_from_outside, failure, service_error
from server.upstream.stream import InactivityGuard, write_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from protos.stt_pb2_grpc import SpeechToTextAsyncStub
    from server.upstream.background import Background
    from server.upstream.call import Attempt, ServiceLine
    from streaming.ports import CallContext, ServiceError

    Call = grpc.aio.StreamStreamCall[stt_pb2.TrunkRequest, stt_pb2.TrunkResponse]

WINDOW_BYTES = 128 * 1024  # of one stream's audio not yet taken by the service: four seconds at 16 kHz
REPORT_BYTES = 16 * 1024  # a service reports every this many bytes taken, so only more than that can be overdue
MESSAGE_BYTES = 1024 * 1024  # a quarter of gRPC's limit; further streams go into the next message
TICKS_S = ((16, 0.0), (50, 0.002), (200, 0.004))  # up to this many streams, frames accumulate for this long
BUSY_TICK_S = 0.005
SILENT_S = 2.0  # a trunk hangs if one stream hangs and nothing came on any for this long
TRY_AGAIN_S = 1.0  # after a trunk failed
NOT_OFFERED_S = 300.0  # a service without trunks may be replaced by one with trunks


class TrunkSource(Protocol):
    """Messages of one stream waiting to be sent."""

    @property
    def waits(self) -> bool:
        """True if there is something to take."""

    def fill(self, request: stt_pb2.RecognizeRequest) -> int:
        """Put the next message into an empty one; there must be something. Returns its bytes of audio."""

    def sent(self) -> None:
        """The message that `fill` last made was sent."""


class TrunkStream:
    """One microphone's stream in a trunk, with the interface of `BidiStream`."""

    __slots__ = (
        "_arrived",
        "_attempt",
        "_blameless",
        "_broken",
        "_cancelled",
        "_end_told",
        "_ended",
        "_events",
        "_first",
        "_over",
        "_read_guard",
        "_reading",
        "_source",
        "_trunk",
        "_untaken_bytes",
        "_write_guard",
        "number",
        "waiting",
    )

    def __init__(
        self,
        trunk: _Carrier,
        number: int,
        first: stt_pb2.StreamRequest,
        source: TrunkSource,
        attempt: Attempt,
        limit_s: float,
    ) -> None:
        self._trunk = trunk
        self.number = number
        self._first: stt_pb2.StreamRequest | None = first
        self._source = source
        self._attempt = attempt
        self._events: deque[stt_pb2.RecognizeResponse] = deque()
        self._arrived = asyncio.Event()
        self._broken: BaseException | None = None
        self._ended = self._end_told = self._over = self._cancelled = self._reading = self._blameless = False
        self._untaken_bytes = 0
        self._write_guard = InactivityGuard(limit_s, self._expire)
        self._read_guard = InactivityGuard(limit_s, self._expire)
        self.waiting = False  # True while the trunk's list of streams to send has it
        trunk.wants(self, urgent=True)

    # --- what its owner calls ---

    @property
    def live(self) -> bool:
        """True if more may be sent."""
        return not (self._ended or self._over)

    def wake(self) -> None:
        """The source has something to send."""
        if not self.waiting:
            self._trunk.wants(self, urgent=False)

    def wake_now(self) -> None:
        """The source has something to send that must not wait for the tick."""
        self._trunk.wants(self, urgent=True)

    def end(self) -> None:
        """Half-close once the source is empty. From now on, a waiting reader does not wait for ever."""
        self._ended = True
        self.wake_now()
        if self._reading:
            self._read_guard.expect()

    def fail(self, broken: ServiceError) -> None:
        """End the stream with an error, which the reader gets."""
        self._hang_up(broken)

    def hung(self, broken: ServiceError) -> None:
        """The service shows no sign of life on this stream. If it shows none on the trunk, that ends with all its streams."""
        if not self._trunk.suspect(broken):
            self._hang_up(broken)

    def cancel(self) -> None:
        """Stop now; the reader ends without error."""
        self._cancelled = True
        self._hang_up(None)
        self._attempt.abandoned()

    def _told(self) -> BaseException:
        """The reader's error, once: its frames refer to this stream, so the stream must not refer to it."""
        broken, self._broken = self._broken, None
        assert broken is not None, "the reader has looked"
        return broken

    async def read(self) -> stt_pb2.RecognizeResponse | None:
        """The next answer; None at the end and after `cancel`. Raises ServiceError."""
        if not self._events and not self._over:
            await self._wait()
        if self._cancelled:
            return None
        if self._events:
            self._attempt.answered()
            return self._events.popleft()
        if self._broken is not None and self._blameless:
            self._attempt.abandoned()
            raise service_error("stt", self._told()) from None
        if self._broken is not None:
            raise self._attempt.failed(self._told()) from None
        self._attempt.succeeded()
        return None

    async def _wait(self) -> None:
        self._arrived.clear()
        self._reading = True
        if self._ended:
            self._read_guard.expect()
        try:
            await self._arrived.wait()
        finally:
            self._reading = False
            self._read_guard.relax()

    # --- called by the trunk ---

    def gather(self, into: stt_pb2.TrunkRequest) -> int:
        """Put what may be sent now into a message; returns its bytes of audio."""
        if self._over:
            return 0
        if self._first is not None:
            into.items.append(self._first)
            self._first = None
        n_bytes, source = 0, self._source
        while source.waits and self._untaken_bytes < WINDOW_BYTES:
            item = into.items.add(stream=self.number)
            size = source.fill(item.request)
            n_bytes += size
            self._untaken_bytes += size
            source.sent()
        if self._ended and not self._end_told and not source.waits:
            self._end_told = True
            into.items.add(stream=self.number, end=True)
        if n_bytes and self._untaken_bytes > REPORT_BYTES:
            self._write_guard.expect()
        return n_bytes

    def take(self, item: stt_pb2.StreamResponse) -> None:
        """Take an item for this stream."""
        what = item.WhichOneof("what")
        if what == "response":
            self._events.append(item.response)
            self._arrived.set()
        elif what == "taken_bytes":
            self._taken(item.taken_bytes)
        elif what == "end":
            code = item.end.code
            self.over(None if not code else failure("stt", _code_name(code), item.end.message))

    def _taken(self, n_bytes: int) -> None:
        was_full = self._untaken_bytes >= WINDOW_BYTES
        self._untaken_bytes = max(0, self._untaken_bytes - n_bytes)
        if self._untaken_bytes > REPORT_BYTES:
            self._write_guard.expect()
        else:
            self._write_guard.relax()
        if was_full:
            self.wake()

    def over(self, broken: BaseException | None, *, blameless: bool = False) -> None:
        """The stream ended, at the other side or with the trunk. `blameless`: the breaker counts this fault elsewhere."""
        if not self._over:
            self._over = True
            self._blameless = blameless
            self._broken = broken
            self._write_guard.close()
            self._read_guard.close()
            self._trunk.forget(self)
            self._arrived.set()

    def _hang_up(self, broken: BaseException | None) -> None:
        if not self._over:
            self.over(broken)
            self._trunk.cancel(self)

    def _expire(self) -> None:
        self._hang_up(failure("stt", "DEADLINE_EXCEEDED"))


class _Carrier(Protocol):
    """The trunk, as seen by its streams."""

    def wants(self, stream: TrunkStream, *, urgent: bool) -> None:
        """The stream has something to send."""

    def forget(self, stream: TrunkStream) -> None:
        """The stream has ended."""

    def cancel(self, stream: TrunkStream) -> None:
        """Tell the service that nobody reads the stream any more."""

    def suspect(self, broken: ServiceError) -> bool:
        """One of the streams hangs. True: so does the trunk, which ends with all of them."""


class Trunk:
    """One RecognizeMany call. `ready`: the service has greeted; `over`: the call has ended."""

    def __init__(self, line: ServiceLine[SpeechToTextAsyncStub], background: Background) -> None:
        self._line = line
        self._streams: dict[int, TrunkStream] = {}
        self._numbers = itertools.count(1)
        self._waiting: list[TrunkStream] = []
        self._cancelled: list[int] = []
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._call: Call | None = None
        self._writer: asyncio.Task[None] | None = None
        self._background = background
        self._heard_at = asyncio.get_running_loop().time()
        self._hung: ServiceError | None = None
        self.ready = self.over = False
        self.offered = True  # False: the service has no trunks
        background.spawn(self._run(), "stt trunk")

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, first: stt_pb2.RecognizeRequest, source: TrunkSource, context: CallContext) -> TrunkStream:
        """Open a stream. Raises ServiceError CIRCUIT_OPEN, INVALID_ARGUMENT."""
        number = next(self._numbers)
        with asking(self._line.name):
            item = stt_pb2.StreamRequest(stream=number, request=first, metadata=dict(call_metadata(context)))
        attempt = self._line.begin("Recognize")
        stream = TrunkStream(self, number, item, source, attempt, self._line.deadline_s(context))
        attempt.call = stream
        self._streams[number] = stream
        return stream

    # --- called by streams ---

    def wants(self, stream: TrunkStream, *, urgent: bool) -> None:
        """The stream has something to send."""
        if not stream.waiting:
            stream.waiting = True
            if not self._waiting:
                self._wake.set()
            self._waiting.append(stream)
        if urgent:
            self._hurry.set()

    def forget(self, stream: TrunkStream) -> None:
        """The stream has ended."""
        self._streams.pop(stream.number, None)

    def cancel(self, stream: TrunkStream) -> None:
        """Tell the service that nobody reads the stream any more."""
        if not self.over:
            self._cancelled.append(stream.number)
            self._wake.set()

    def suspect(self, broken: ServiceError) -> bool:
        """One of the streams hangs. If nothing came for any other either, end the trunk, so that all continue elsewhere."""
        silent_s = asyncio.get_running_loop().time() - self._heard_at
        if self._hung is None and self._call is not None and silent_s >= SILENT_S:
            self._hung = broken
            self.ready = False
            self._call.cancel()
        return self._hung is not None

    # --- the call ---

    async def _run(self) -> None:
        broken: BaseException | None = None
        try:
            await self._talk()
        except grpc.aio.AioRpcError as error:
            self.offered = error.code() is not grpc.StatusCode.UNIMPLEMENTED
            broken = error
        except asyncio.CancelledError as error:
            if cancelled_from_outside():
                raise
            broken = error
        finally:
            self.over = True
            if self._writer is not None:
                self._writer.cancel()
            broken = self._hung or broken or failure(self._line.name, "UNAVAILABLE")
            for number, stream in enumerate(list(self._streams.values())):
                # one trunk broke: that is one fault, not as many as it had streams
                stream.over(broken, blameless=number > 0)
            del broken  # its traceback holds this frame, and with it the trunk

    async def _talk(self) -> None:
        call = self._call = self._line.pool.pick().RecognizeMany()
        try:
            async for response in call:
                self._heard_at = asyncio.get_running_loop().time()
                if not self.ready and self._writer is None:
                    self.ready = True
                    self._writer = self._background.spawn(self._write(call), "stt trunk writer")
                for item in response.items:
                    stream = self._streams.get(item.stream)
                    if stream is not None:
                        stream.take(item)
                stream = None  # it may be over: this coroutine would hold it until the next answer
        finally:
            call.cancel()

    async def _write(self, call: Call) -> None:
        try:
            while True:
                await self._wake.wait()
                await self._gather()
                for request in self._requests():
                    await write_message(call, request)
        except (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError):
            return  # the call has ended: `_talk` learns why

    async def _gather(self) -> None:
        """Wait for the tick, but not when something is urgent."""
        tick_s = tick(len(self._streams))
        if tick_s and not self._hurry.is_set():
            timer = asyncio.get_running_loop().call_later(tick_s, self._hurry.set)
            try:
                await self._hurry.wait()
            finally:
                timer.cancel()
        self._hurry.clear()
        self._wake.clear()

    def _requests(self) -> list[stt_pb2.TrunkRequest]:
        """Everything that waits, in messages of limited size."""
        waiting, self._waiting = self._waiting, []
        cancelled, self._cancelled = self._cancelled, []
        requests, request, size = [], stt_pb2.TrunkRequest(), 0
        for stream in waiting:
            stream.waiting = False
            size += stream.gather(request)
            if size >= MESSAGE_BYTES:
                requests.append(request)
                request, size = stt_pb2.TrunkRequest(), 0
        for number in cancelled:
            request.items.add(stream=number, cancel=True)
        if request.items:
            requests.append(request)
        return requests


def tick(streams: int) -> float:
    """How long frames accumulate, in seconds: with a few microphones, not at all."""
    return next((tick_s for most, tick_s in TICKS_S if streams <= most), BUSY_TICK_S)


def _code_name(number: int) -> str:
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), "UNKNOWN")


class Trunks:
    """The trunks of one service, one per connection. Streams use calls of their own until a trunk is ready."""

    def __init__(
        self, line: ServiceLine[SpeechToTextAsyncStub], background: Background, clock: Callable[[], float] | None = None
    ) -> None:
        self._line = line
        self._background = background
        self._clock = clock or line.now
        self._trunks: list[Trunk] = []
        self._try_at = 0.0
        self.enabled = True

    def pick(self) -> Trunk | None:
        """The trunk with the fewest streams; None: use a call of your own."""
        if not self.enabled:
            return None
        if self._clock() >= self._try_at:
            self.open()
        return min((trunk for trunk in self._trunks if trunk.ready and not trunk.over), key=len, default=None)

    def open(self) -> None:
        """Open trunks that are missing."""
        ended = [trunk for trunk in self._trunks if trunk.over]
        self._trunks = [trunk for trunk in self._trunks if not trunk.over]
        if ended:
            pause_s = TRY_AGAIN_S if all(trunk.offered for trunk in ended) else NOT_OFFERED_S
            self._try_at = self._clock() + pause_s
            return
        while len(self._trunks) < len(self._line.pool.channels):
            self._trunks.append(Trunk(self._line, self._background))
