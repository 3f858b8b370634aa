"""A trunk: one gRPC call that carries the streams of many sessions.

A gRPC message costs some 60 to 80 µs on each side, however short it is; one more frame in a message costs a few. So everything that
the streams send within a tick goes into one message. Each stream has its own credit, so a slow one does not hold up the others, and
the same interface as a `BidiStream`. The streams of microphones and speech are in `microphone_trunk` and `speech_trunk`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import grpc
import grpc.aio

from server.upstream.convert import asking
from server.upstream.metadata import call_metadata
from server.upstream.status import cancelled_from_outside, failure
from server.upstream.stream import write_bytes
from server.upstream.trunk_items import whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.upstream.background import Background
    from server.upstream.call import Attempt, ServiceLine
    from server.upstream.trunk_items import ItemWriter
    from server.upstream.trunk_method import TrunkMethod
    from server.upstream.trunk_stream import Carrier, TrunkStream
    from streaming.ports import CallContext, ServiceError

StreamT = TypeVar("StreamT", bound="TrunkStream[Any]")
StreamT_co = TypeVar("StreamT_co", bound="TrunkStream[Any]", covariant=True)
TrunkT = TypeVar("TrunkT", bound="Trunk")

MESSAGE_BYTES: Final = 1024 * 1024  # a quarter of what gRPC takes; more streams go into the next message
# Up to so many frames a second, they gather for this long. A microphone sends fifty. What is opened and sends nothing makes nobody wait.
TICKS_S = ((800, 0.0), (2_500, 0.002), (10_000, 0.004))
BUSY_TICK_S = 0.005
RATE_S = 0.1  # the rate of frames is taken over this time
NEARLY = 0.3  # of a tick: less is not worth a timer
# For what is not urgent at all: a service has half a stream's credit left by then, 340 ms of speech at 48 kHz.
LATER_S = 0.2
SILENT_S = 2.0  # if one stream hangs and the trunk received nothing for this long, the trunk hangs
TRY_AGAIN_S = 1.0  # after a trunk broke
NOT_OFFERED_S = 300.0  # a service without trunks may be replaced by one that has them
NEXT_INSTANCE_S: Final = 30.0  # after this long, look whether the service has got another process
SOON_S: Final = 0.05  # after a trunk was opened, look whether it is ready
# A process that has not greeted by then is given up for now: another one may. The next has twice as long, up to MOST_GREETING_S.
GREETING_S: Final = 5.0
MOST_GREETING_S = 60.0
MOST_TRUNKS: Final = 64  # of one service, in case it names itself anew each time


class Carried(Protocol):
    """A stream as its trunk sees it."""

    number: int
    items: ItemWriter
    lost_trunk: bool

    def gather(self, into: list[bytes], /) -> int:
        """Append what may be sent now to a message; returns how many bytes that was."""

    def take(self, item: Any, /) -> None:
        """Take a received StreamResponse."""

    def over(self, broken: BaseException | None, *, blameless: bool = False) -> None:
        """The stream has ended with the trunk."""


class Trunk:
    """One call with many streams. `ready`: the service's greeting has arrived. `over`: the call has ended.

    `retired`: it takes no new streams, and ends with the last one that it has. `given_up`: no greeting came.
    `heard_at`: when the newest message arrived, on the loop's clock.
    """

    def __init__(
        self, line: ServiceLine[Any], method: TrunkMethod, background: Background, on_ready: Callable[[], None]
    ) -> None:
        self._line = line
        self._method = method
        self.service = line.name
        self._streams: dict[int, Carried] = {}
        self._numbers = itertools.count(1)
        self._waiting: list[Carried] = []
        self._unhurried: list[Carried] = []
        self._later: asyncio.TimerHandle | None = None
        self._cancelled: list[bytes] = []
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._gathered_at = 0.0  # on the loop's clock: when the last message was put together
        self._pace = FramePace()
        self.channel: grpc.aio.Channel | None = None
        self._call: grpc.aio.StreamStreamCall[Any, Any] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._background = background
        self.heard_at = asyncio.get_running_loop().time()
        self._hung: ServiceError | None = None
        self.ready = self.over = self.retired = self.given_up = False
        self._on_ready: Callable[[], None] | None = on_ready
        self.greeting: Any = None  # the first response, once ready
        self.offered = True  # False: the service has no trunks
        background.spawn(self._run(), f"{line.name} trunk")

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, first: Any, build: StreamBuilder[StreamT], context: CallContext) -> StreamT:
        """Open a stream; `first` is its first request. Raises ServiceError CIRCUIT_OPEN or INVALID_ARGUMENT."""
        number = next(self._numbers)
        with asking(self.service):
            item = whole(self._method.first(number, first, dict(call_metadata(context))))
        attempt = self._line.begin(self._method.stands_for, context.user_id)
        stream = build(self, number, item, attempt, self._line.deadline_s(context))
        attempt.call = stream
        self._streams[number] = stream
        return stream

    # --- what streams call ---

    def enlist(self, stream: Carried) -> None:
        """Put the stream into the next message. It calls this once for each message: see `waiting`."""
        if not self._waiting:
            self._wake.set()
        self._waiting.append(stream)

    def hurry(self) -> None:
        """Send the next message without waiting for the tick."""
        self._hurry.set()

    def later(self, stream: Carried) -> None:
        """Put the stream into the next message, whenever that leaves, or into one of its own after LATER_S."""
        self._unhurried.append(stream)
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(LATER_S, self._hurry_unhurried)

    def _hurry_unhurried(self) -> None:
        self._later = None
        if self._unhurried:
            self._wake.set()

    def forget(self, stream: Carried) -> None:
        """Remove an ended stream."""
        self._streams.pop(stream.number, None)
        if self.retired:
            self.retire()

    def retire(self) -> None:
        """Take no new streams."""
        self.retired = True
        if not self._streams and self._call is not None:
            self._call.cancel()

    def cancel(self, stream: Carried) -> None:
        """Cancel the stream at the service."""
        if not self.over:
            self._cancelled.append(stream.items.cancel())
            self._wake.set()

    def suspect(self, broken: ServiceError) -> bool:
        """One stream hangs. If no stream received anything lately, end the call; the streams' owners open new ones. Returns True then."""
        silent_s = asyncio.get_running_loop().time() - self.heard_at
        if self._hung is None and self._call is not None and silent_s >= SILENT_S:
            self._hung = broken
            self.ready = False
            self._call.cancel()
        return self._hung is not None

    def give_up_if_silent(self, patience_s: float) -> None:
        """End the call if the greeting has not come in time."""
        if self._call is not None and asyncio.get_running_loop().time() - self.heard_at >= patience_s:
            self.given_up = True
            self._call.cancel()

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
            self.over, self._on_ready = True, None
            if self._writer is not None:
                self._writer.cancel()
            if self._later is not None:
                self._later.cancel()
            broken = self._hung or broken or failure(self._line.name, "UNAVAILABLE")
            for number, stream in enumerate(list(self._streams.values())):
                stream.lost_trunk = True
                # a broken trunk is one fault for the breaker, however many streams it had
                stream.over(broken, blameless=number > 0)
            del broken  # its traceback refers to this frame: a reference cycle with the trunk

    async def _talk(self) -> None:
        self.channel = self._line.pool.pick_for_trunk()
        call = self._call = self._method.call(self.channel)()
        try:
            async for response in call:
                if response is None:  # grpc.aio's answer for what protobuf cannot read
                    self.offered = False  # whatever this service has, it is not this
                    return
                self.heard_at = asyncio.get_running_loop().time()
                if not self.ready and self._writer is None:
                    self.ready, self.greeting = True, response
                    self._writer = self._background.spawn(self._write(call), f"{self.service} trunk writer")
                    if self._on_ready is not None:
                        self._on_ready()
                for item in response.items:
                    stream = self._streams.get(item.stream)
                    if stream is not None:
                        stream.take(item)
                    else:
                        self._take_other(item)
                stream = None  # it may have ended; keep no reference until the next answer
        finally:
            call.cancel()

    def _take_other(self, item: Any) -> None:
        """Handle an item of no stream that is known: of one that has ended, or of none."""

    async def _write(self, call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        try:
            while True:
                await self._wake.wait()
                await self._gather()
                for message in self._messages():
                    await write_bytes(call, message)
        except (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError):
            return  # the call is over; `_talk` gets the error

    async def _gather(self) -> None:
        """Wait until a tick has passed since the last message, or until something is urgent.

        After a tick without a message the next one is sent at once: its frames were already gathered by reading sockets in rounds.
        """
        loop = asyncio.get_running_loop()
        tick_s = self._pace.tick_s(loop.time())
        wait_s = tick_s - (loop.time() - self._gathered_at)
        if wait_s > NEARLY * tick_s and not self._hurry.is_set():
            timer = loop.call_later(wait_s, self._hurry.set)
            try:
                await self._hurry.wait()
            finally:
                timer.cancel()
        self._gathered_at = loop.time()
        self._hurry.clear()
        self._wake.clear()

    def _messages(self) -> list[bytes]:
        """Everything that is waiting to be sent, in messages of bounded size."""
        waiting, self._waiting = self._waiting, []
        if self._unhurried:
            waiting += self._unhurried
            self._unhurried.clear()
        cancelled, self._cancelled = self._cancelled, []
        messages: list[bytes] = []
        items: list[bytes] = []
        size = 0
        for stream in waiting:
            n_bytes = stream.gather(items)
            if n_bytes:
                self._pace.frames += 1
                size += n_bytes
                if size >= MESSAGE_BYTES:
                    messages.append(b"".join(items))
                    items, size = [], 0
        items += cancelled
        if items:
            messages.append(b"".join(items))
        return messages


class StreamBuilder(Protocol[StreamT_co]):
    """Creates a stream of a trunk."""

    def __call__(self, trunk: Carrier, number: int, first: bytes, attempt: Attempt, limit_s: float, /) -> StreamT_co:
        """`first`: the stream's first item. `limit_s`: how long the service may stay silent while a response is due."""


class FramePace:
    """How long frames are gathered. Those of few microphones are sent at once, however many streams are open."""

    __slots__ = ("_since", "_tick_s", "frames")

    def __init__(self) -> None:
        self.frames = 0  # since the last look
        self._since = self._tick_s = 0.0

    def tick_s(self, now: float) -> float:
        """Seconds; `now` is on the loop's clock."""
        passed_s = now - self._since
        if passed_s >= RATE_S:
            rate = self.frames / passed_s
            self._tick_s = next((tick_s for most, tick_s in TICKS_S if rate <= most), BUSY_TICK_S)
            self.frames, self._since = 0, now
        return self._tick_s


class Trunks(Generic[TrunkT]):
    """The trunks of one service, for each process behind its addresses and names. Until one is ready, each stream is a call of its own.

    gRPC shares calls among the addresses of a name, but a trunk stays where it was opened. So another one is opened now and then: if
    it leads to a process that has its trunks already, it is closed again. `each`: trunks of one process.
    """

    def __init__(
        self,
        line: ServiceLine[Any],
        build: Callable[[Callable[[], None]], TrunkT],
        each: int = 1,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`build`: opens a trunk, given what it calls when it is ready."""
        self._line = line
        self._build = build
        self._each = each
        self._clock = clock or line.now
        self._trunks: list[TrunkT] = []
        self._try_at = 0.0
        self._n_given_up = 0  # the newest trunks that ended, since one was ready
        self.enabled = True

    def usable(self) -> list[TrunkT]:
        """Those that take new streams, in the order in which they were opened."""
        if not self.enabled:
            return []
        if self._clock() >= self._try_at:
            self.open()
        return [trunk for trunk in self._trunks if trunk.ready and not (trunk.over or trunk.retired)]

    def pick(self) -> TrunkT | None:
        """The trunk with the fewest streams. None if there is none: the caller then opens a separate call."""
        return min(self.usable(), key=len, default=None)

    @property
    def unanswered(self) -> bool:
        """True while the service has neither greeted nor refused a trunk."""
        opened = [trunk for trunk in self._trunks if trunk.given_up or not trunk.over]
        return bool(opened or self._n_given_up) and not any(trunk.ready for trunk in opened)

    def open(self) -> None:
        """Open a trunk if there is none, or to find another process; wait for a moment if one has just ended."""
        if self._line.closing:  # a greeting or a healthy answer may arrive now, and the next tick finds no channel
            return
        now = self._clock()
        lost = [trunk for trunk in self._trunks if trunk.over and not trunk.retired]
        self._trunks = [trunk for trunk in self._trunks if not trunk.over]
        if lost:
            self._n_given_up = self._n_given_up + 1 if lost[-1].given_up else 0
            self._try_at = now + (TRY_AGAIN_S if all(trunk.offered for trunk in lost) else NOT_OFFERED_S)
        elif waiting := [trunk for trunk in self._trunks if not (trunk.ready or trunk.retired)]:
            self._try_at = now + SOON_S
            for trunk in waiting:  # a process that does not greet must not hide the others
                trunk.give_up_if_silent(min(GREETING_S * 2**self._n_given_up, MOST_GREETING_S))
        elif self._retire_twins() or len(self._trunks) >= MOST_TRUNKS:
            self._try_at = now + NEXT_INSTANCE_S
        else:
            if not self.unanswered:
                self._n_given_up = 0
            self._trunks.append(self._build(self.open))
            self._try_at = now + SOON_S

    def _retire_twins(self) -> bool:
        """Close what leads to a process that has its trunks already. True if all processes are known for now.

        Those that tell no name have a trunk for each connection.
        """
        known: Counter[str | grpc.aio.Channel | None] = Counter()
        twins = False
        for trunk in self._trunks:
            if trunk.retired:
                continue
            name: str = trunk.greeting.instance
            where = name or trunk.channel
            known[where] += 1
            if known[where] > (self._each if name else 1):
                trunk.retire()
                twins = True
        return twins or all(channel in known for channel in self._line.pool.channels)
