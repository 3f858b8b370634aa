"""One session's stream in a trunk. `MicrophoneStream` and `SpeechStream` derive from it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from server.upstream.inactivity import InactivityGuard
from server.upstream.status import failed_status, failure, rpc_error, service_error
from server.upstream.trunk_items import ItemWriter

if TYPE_CHECKING:
    from server.upstream.call import Attempt
    from streaming.ports import ServiceError

ResponseT = TypeVar("ResponseT")


class Carrier(Protocol):
    """The part of a `Trunk` that its streams use."""

    @property
    def service(self) -> str:
        """The service's name."""

    heard_at: float  # when its newest message arrived, on the loop's clock

    def enlist(self, stream: TrunkStream[Any]) -> None:
        """Put the stream into the next message. It calls this once for each message: see `waiting`."""

    def hurry(self) -> None:
        """Send the next message without waiting for the tick."""

    def later(self, stream: TrunkStream[Any]) -> None:
        """Put the stream into the next message, whenever that leaves, or into one of its own a little later."""

    def forget(self, stream: TrunkStream[Any]) -> None:
        """Remove an ended stream."""

    def cancel(self, stream: TrunkStream[Any]) -> None:
        """Cancel the stream at the service."""

    def suspect(self, broken: ServiceError) -> bool:
        """One stream hangs. Returns True if the whole trunk does; then the trunk ends with all its streams."""


class TrunkStream(ABC, Generic[ResponseT]):
    """One session's stream in a trunk, with the same interface as `BidiStream`."""

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
        "_service",
        "_trunk",
        "items",
        "live",
        "lost_trunk",
        "number",
        "waiting",
    )

    def __init__(self, trunk: Carrier, number: int, first: bytes, attempt: Attempt, limit_s: float) -> None:
        self._trunk = trunk
        self.number = number
        self.items = ItemWriter(number)
        self._service = trunk.service
        self._first: bytes | None = first
        self._attempt = attempt
        self._events: deque[ResponseT] = deque()
        self._arrived = asyncio.Event()
        self._broken: BaseException | None = None
        self._ended = self._end_told = self._over = self._cancelled = self._reading = self._blameless = False
        self._read_guard = InactivityGuard(limit_s, self._expire)
        self.live = True  # True if more may be sent
        self.lost_trunk = False  # True if it ended because its trunk did
        self.waiting = False  # True while it is in the trunk's list of streams with something to send
        self.wake_now()

    @abstractmethod
    def _fill(self, into: list[bytes]) -> int:
        """Append the items that may be sent now; returns how many bytes of audio they have."""

    @property
    @abstractmethod
    def _waits(self) -> bool:
        """True if the source still has something to send before the stream may be half-closed."""

    def _take_other(self, item: Any, what: str | None) -> None:
        """Handle an item that is neither a response nor the end."""

    def _was_read(self, response: ResponseT) -> None:
        """Called for each response just before the owner gets it."""

    # --- what its owner calls ---

    def wake(self) -> None:
        """Call this when the source has something to send. It leaves with the next tick."""
        if not self.waiting:
            self.waiting = True
            self._trunk.enlist(self)

    def wake_now(self) -> None:
        """Like `wake`, but without waiting for the tick."""
        self.wake()
        self._trunk.hurry()

    def end(self) -> None:
        """Half-close once the source is empty. From now on `read` waits no longer than the stream's time limit."""
        self._ended = True
        self.live = False
        self.wake_now()
        if self._reading:
            self._read_guard.expect()

    def fail(self, broken: ServiceError) -> None:
        """End the stream from our side; `read` raises the error."""
        self._hang_up(broken)

    def hung(self, broken: ServiceError) -> None:
        """The service does not respond on this stream. End the stream, or the whole trunk if nothing arrived on it at all."""
        if not self._trunk.suspect(broken):
            self._hang_up(broken)

    def cancel(self) -> None:
        """Stop now; `read` returns None."""
        self._cancelled = True
        self._hang_up(None)
        self._attempt.abandoned()

    def _told(self) -> BaseException:
        """Take the error, to raise it. Its traceback refers to this stream, so keeping it here would be a reference cycle."""
        broken, self._broken = self._broken, None
        assert broken is not None, "read looks before it calls this"
        return broken

    async def read(self) -> ResponseT | None:
        """The next response; None at the end and after `cancel`. Raises ServiceError."""
        if not self._events and not self._over:
            await self._wait()
        if self._cancelled:
            return None
        if self._events:
            self._attempt.answered()
            response = self._events.popleft()
            self._was_read(response)
            return response
        if self._broken is not None and self._blameless:
            self._attempt.abandoned()
            raise service_error(self._service, self._told()) from None
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

    # --- what the trunk calls ---

    def gather(self, into: list[bytes]) -> int:
        """Append what may be sent now to a message; returns how many bytes of audio that was."""
        self.waiting = False
        if self._over:
            return 0
        if self._first is not None:
            into.append(self._first)
            self._first = None
        n_bytes = self._fill(into)
        if self._ended and not self._end_told and not self._waits:
            self._end_told = True
            into.append(self.items.end())
        return n_bytes

    def take(self, item: Any) -> None:
        """Take a received StreamResponse."""
        what = item.WhichOneof("what")
        if what == "response":
            self._events.append(item.response)
            self._arrived.set()
        elif what == "end":
            code = item.end.code
            self.over(rpc_error(failed_status(code), item.end.message) if code else None)
        else:
            self._take_other(item, what)

    def over(self, broken: BaseException | None, *, blameless: bool = False) -> None:
        """The stream has ended, by the service or with the trunk. `blameless`: another stream reports this fault to the breaker."""
        if not self._over:
            self._over = True
            self.live = False
            self._blameless = blameless
            self._broken = broken
            self._read_guard.close()
            self._trunk.forget(self)
            self._arrived.set()

    def _hang_up(self, broken: BaseException | None) -> None:
        if not self._over:
            self.over(broken)
            self._trunk.cancel(self)

    def _expire(self) -> None:
        self._hang_up(failure(self._service, "DEADLINE_EXCEEDED"))
