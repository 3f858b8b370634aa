"""A stream in a trunk, as its owner sees it; what is special about microphones and speech is in the classes derived from it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import grpc

from server.upstream.status import failure, service_error
from server.upstream.stream import InactivityGuard
from server.upstream.trunk_items import ItemWriter

if TYPE_CHECKING:
    from server.upstream.call import Attempt
    from streaming.ports import ServiceError

ResponseT = TypeVar("ResponseT")


class Carrier(Protocol):
    """What a stream asks of its trunk."""

    @property
    def service(self) -> str:
        """Its name."""

    def wants(self, stream: TrunkStream[Any], *, urgent: bool) -> None:
        """It has something to send."""

    def forget(self, stream: TrunkStream[Any]) -> None:
        """It is over."""

    def cancel(self, stream: TrunkStream[Any]) -> None:
        """Tell the service that nobody reads it any more."""

    def suspect(self, broken: ServiceError) -> bool:
        """One of its streams hangs. True: the trunk does, and ends with all of them."""


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
        self.lost_trunk = False  # it ended with the trunk, through no fault of its own
        self.waiting = False  # True while it is in the trunk's list of streams with something to send
        trunk.wants(self, urgent=True)

    @abstractmethod
    def _fill(self, into: list[bytes]) -> int:
        """Put what may leave now, as items, behind what is there; returns its bytes of audio."""

    @property
    @abstractmethod
    def _waits(self) -> bool:
        """True if something must still be sent before the end."""

    def _take_other(self, item: Any, what: str | None) -> None:
        """An item that is neither a response nor the end."""

    def _was_read(self, response: ResponseT) -> None:
        """The owner gets this now."""

    # --- what its owner calls ---

    def wake(self) -> None:
        """The source has something."""
        if not self.waiting:
            self._trunk.wants(self, urgent=False)

    def wake_now(self) -> None:
        """The source has something that must not wait for the tick."""
        self._trunk.wants(self, urgent=True)

    def end(self) -> None:
        """Half-close, once the source is empty. From now on a waiting reader is not kept waiting for ever."""
        self._ended = True
        self.live = False
        self.wake_now()
        if self._reading:
            self._read_guard.expect()

    def fail(self, broken: ServiceError) -> None:
        """End the stream from our side with an error, which the reader gets."""
        self._hang_up(broken)

    def hung(self, broken: ServiceError) -> None:
        """The service shows no sign of life here. A trunk on which nothing came either ends with all its streams."""
        if not self._trunk.suspect(broken):
            self._hang_up(broken)

    def cancel(self) -> None:
        """Stop now; the reader ends without an error."""
        self._cancelled = True
        self._hang_up(None)
        self._attempt.abandoned()

    def _told(self) -> BaseException:
        """What the reader gets, once: it holds this stream by its frames, so the stream must not hold it."""
        broken, self._broken = self._broken, None
        assert broken is not None, "the reader has looked"
        return broken

    async def read(self) -> ResponseT | None:
        """The next answer; None at the end and after `cancel`. Raises ServiceError."""
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
        """Put what may leave now into a message; returns its bytes of audio."""
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
        """Something came for it: a StreamResponse."""
        what = item.WhichOneof("what")
        if what == "response":
            self._events.append(item.response)
            self._arrived.set()
        elif what == "end":
            code = item.end.code
            self.over(None if not code else failure(self._service, _code_name(code), item.end.message))
        else:
            self._take_other(item, what)

    def over(self, broken: BaseException | None, *, blameless: bool = False) -> None:
        """It has ended, at the other side or with the trunk. `blameless`: the breaker counts this fault elsewhere."""
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


def _code_name(number: int) -> str:
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), "UNKNOWN")
