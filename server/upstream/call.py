"""What all calls to services share: deadline, metadata, breaker, retry, measurement, one kind of error."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from server.services import title
from server.upstream.breaker import FAULTS, Breaker, BreakerPolicy, CircuitState
from server.upstream.metadata import call_metadata
from server.upstream.retry import MAX_ATTEMPTS, RetryBudget, backoff_s
from server.upstream.status import cancelled_from_outside, failure, service_error
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio
    from google.protobuf.message import Message

    from server.upstream.breaker import Permit, TwoPermits
    from server.upstream.endpoint import CallObserver, ServiceEndpoint
    from server.upstream.pool import ChannelPool
    from streaming.ports import CallContext

log = logging.getLogger(__name__)

RequestT = TypeVar("RequestT", bound="Message")
ResponseT = TypeVar("ResponseT", bound="Message")
StubT = TypeVar("StubT")


class Cancellable(Protocol):
    """A call on the wire that can be cancelled."""

    def cancel(self) -> object:
        """Cancel the call."""


class UnsentError(Exception):
    """A trunk broke before the call left. It may be made again, whatever it does."""


class PlacedCall(Cancellable, Protocol):
    """A unary call that was put into a trunk."""

    async def answer(self) -> Any:
        """The response. Raises what a call of its own would raise, and UnsentError."""


class UnaryTrunks(Protocol):
    """The trunks of a service's unary calls."""

    def carry(
        self, method: str, request: Message, metadata: tuple[tuple[str, str], ...], limit_s: float
    ) -> PlacedCall | None:
        """Make the call in a trunk. None if it needs a call of its own."""

    def open(self) -> None:
        """Open what is missing."""


class Attempt:
    """One call on the wire, from the breaker's permission to its measured end. Only the first end counts."""

    __slots__ = ("_answered", "_line", "_method", "_patience_s", "_permit", "_started", "_user", "call")

    def __init__(
        self, line: ServiceLine[StubT], method: str, user: str, permit: Permit | TwoPermits, patience_s: float
    ) -> None:
        self._line = line
        self._method = method
        self._user = user
        self._permit = permit
        self._patience_s = patience_s
        self._started = line.now()
        self._answered = False
        self.call: Cancellable | None = None
        line.running.add(self)

    def answered(self) -> None:
        """The service has begun to answer. Reports success to the breaker the first time it is called."""
        if not self._answered:
            self._answered = True
            self._line.breaker.succeeded(self._permit, self._line.now(), self._user)

    def succeeded(self) -> None:
        """The call succeeded."""
        if self._end("OK"):
            self.answered()

    def abandoned(self) -> None:
        """The answer is no longer wanted."""
        if self._end("CANCELLED"):
            self._line.breaker.released(self._permit)

    def failed(self, error: BaseException) -> ServiceError:
        """The call failed; returns the error for the caller."""
        told = service_error(self._line.name, error)
        seconds = self._line.now() - self._started
        if self._end(told.code):
            self._judge(told, seconds)
        return told

    def _judge(self, told: ServiceError, seconds: float) -> None:
        breaker = self._line.breaker
        if told.code == "DEADLINE_EXCEEDED" and seconds < self._patience_s:
            breaker.released(self._permit)
        elif told.code in FAULTS:
            self._line.note(told)
            breaker.failed(self._permit, self._line.now(), self._user)
        else:
            self.answered()

    def _end(self, status: str) -> bool:
        if self not in self._line.running:
            return False
        self.call = None  # a stream refers to its attempt, so keeping it would be a reference cycle
        self._line.ended(self)
        self._line.observer.observe(self._line.name, self._method, status, self._line.now() - self._started)
        return True


class ServiceLine(Generic[StubT]):
    """Calls to one service, shared by all its callers."""

    def __init__(
        self,
        endpoint: ServiceEndpoint,
        pool: ChannelPool[StubT],
        observer: CallObserver,
        policy: BreakerPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = endpoint.name
        self.endpoint = endpoint
        self.pool = pool
        self.observer = observer
        self.now = clock
        self.breaker = Breaker(policy, self._circuit_changed)
        self.running: set[Attempt] = set()
        self.trunks: UnaryTrunks | None = None  # set by `Upstream`; without them each call is one of its own
        self._budget = RetryBudget()
        self._last_fault = ""
        self.closing = False  # new calls are refused
        self._drained: asyncio.Event | None = None  # created by `close`

    @property
    def circuit(self) -> CircuitState:
        """The breaker's current state."""
        return self.breaker.state(self.now())

    def _circuit_changed(self, state: CircuitState) -> None:
        log.warning("circuit of %s is %s", self.name, state.value)
        self.observer.circuit(self.name, state.value)

    def deadline_s(self, context: CallContext) -> float:
        """Seconds that a call may take: the service's own limit, or the caller's shorter one."""
        asked_ms = self.endpoint.deadline_ms if context.timeout_ms is None else context.timeout_ms
        return max(0, min(asked_ms, self.endpoint.deadline_ms)) / 1000

    def begin(self, method: str, user: str, patience_s: float = 0.0) -> Attempt:
        """Start a user's call on the wire. Raises ServiceError CIRCUIT_OPEN, or UNAVAILABLE once the gateway is closing.

        DEADLINE_EXCEEDED in less than `patience_s` is not counted as the service's fault.
        """
        if self.closing:
            raise failure(self.name, "UNAVAILABLE", "the gateway is shutting down", unsent=True)
        now = self.now()
        permit = self.breaker.admit(now, user)
        if permit is None:
            self.observer.observe(self.name, method, "CIRCUIT_OPEN", 0.0)
            wait_ms = max(1, round(self.breaker.retry_after_s(now, user) * 1000))
            raise failure(self.name, "CIRCUIT_OPEN", f"{title(self.name)} is failing: {self._last_fault}", wait_ms)
        return Attempt(self, method, user, permit, patience_s)

    def note(self, broken: ServiceError) -> None:
        """Keep the fault, to tell it to callers that the breaker refuses later."""
        self._last_fault = broken.message

    def ended(self, attempt: Attempt) -> None:
        """An attempt has left the wire."""
        self.running.discard(attempt)
        if self._drained is not None and not self.running:
            self._drained.set()

    async def unary(
        self,
        method: str,
        pick: Callable[[StubT], grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]],
        request: RequestT,
        context: CallContext,
        *,
        idempotent: bool,
    ) -> ResponseT:
        """One request, one answer; retried on UNAVAILABLE if that can do no harm. Raises ServiceError."""
        deadline = self.now() + self.deadline_s(context)
        self._budget.earn()
        for attempt in range(1, MAX_ATTEMPTS):
            try:
                return await self._once(method, pick, request, context, deadline)
            except ServiceError as broken:
                wait_s = self._pause_s(broken, attempt)
                may_retry = idempotent and broken.code == "UNAVAILABLE" and self.now() + wait_s < deadline
                if not (may_retry and not self.closing and self._budget.spend()):
                    raise
            await asyncio.sleep(wait_s)
        return await self._once(method, pick, request, context, deadline)

    @staticmethod
    def _pause_s(broken: ServiceError, attempt: int) -> float:
        return backoff_s(attempt) if broken.retry_after_ms is None else broken.retry_after_ms / 1000

    async def _once(
        self,
        method: str,
        pick: Callable[[StubT], grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]],
        request: RequestT,
        context: CallContext,
        deadline: float,
    ) -> ResponseT:
        hurried = context.timeout_ms is not None and context.timeout_ms < self.endpoint.deadline_ms
        # A deadline shorter than the service's own says nothing about the service.
        attempt = self.begin(method, context.user_id, math.inf if hurried else 0.0)
        try:
            response = await self._answer(attempt, method, pick, request, context, deadline)
            if response is None:  # grpc.aio returns None for what protobuf cannot parse
                raise ValueError("unreadable response")  # noqa: TRY301 - becomes INTERNAL below, like any broken answer
        except asyncio.CancelledError as cancelled:
            if cancelled_from_outside():
                attempt.abandoned()
                raise
            raise attempt.failed(cancelled) from None
        except Exception as error:  # noqa: BLE001 - as the port promises: ServiceError and nothing else
            raise attempt.failed(error) from None
        attempt.succeeded()
        return response

    async def _answer(
        self,
        attempt: Attempt,
        method: str,
        pick: Callable[[StubT], grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]],
        request: RequestT,
        context: CallContext,
        deadline: float,
    ) -> ResponseT:
        """The answer to a call in a trunk if there is one, else to a call of its own."""
        metadata = call_metadata(context)
        carried = None if self.trunks is None else self.trunks.carry(method, request, metadata, deadline - self.now())
        if carried is not None:
            attempt.call = carried
            with suppress(UnsentError):
                response: ResponseT = await carried.answer()
                return response
        call = pick(self.pool.pick())(request, timeout=max(0.0, deadline - self.now()), metadata=metadata)
        attempt.call = call
        return await call

    def refuse_new(self) -> None:
        """Refuse new calls from now on."""
        self.closing = True

    async def close(self, grace_s: float) -> None:
        """Let running calls finish for `grace_s`, cancel the rest, and close the connections."""
        self.refuse_new()
        if self.running:
            self._drained = asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._drained.wait()
        for attempt in tuple(self.running):
            if attempt.call is not None:
                attempt.call.cancel()
        await self.pool.close()
