"""Which services are up: asks each by grpc.health.v1 every two seconds, more often while it is down."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.services import SERVICES
from server.upstream.status import clean_text, from_rpc_error, own_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from server.upstream.background import Background

log = logging.getLogger(__name__)

REASON_KEY = "x-health-reason"  # trailing metadata: why a service is not serving
ENGINE_KEY = "x-health-engine"  # trailing metadata: the service's engine, if it has a choice
LANGUAGES_KEY = "x-health-languages"  # trailing metadata: primary language tags that it understands, such as en,de
IMPAIRED_KEY = "x-health-impaired"  # trailing metadata: what a service that serves cannot do
UP_INTERVAL_S = 2.0
DOWN_INTERVALS_S = (0.2, 0.3, 0.5, 1.0)  # the last one repeats; a service that is just starting is noticed at once
CHECK_TIMEOUT_S = 2.0
# At a channel that cannot connect, before it is asked again all the same: a look costs a hundredth of a call.
LOOKS = 10
SLOW_CHECKS = 2  # consecutive checks that must time out, so that a busy service does not flap
JITTER = 0.2  # share of the interval, so that replicas do not ask in step

_WORDS = {
    health_pb2.HealthCheckResponse.NOT_SERVING: "it says it is not serving",
    health_pb2.HealthCheckResponse.UNKNOWN: "it does not know its own state",
    health_pb2.HealthCheckResponse.SERVICE_UNKNOWN: "there is another service at this address",
}


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """A service's health. `reason`: why it is down, or what it cannot do; `latency_ms`: of the last check that was answered; `changed_at`: Unix seconds."""

    name: str
    state: Literal["up", "down"] = "down"
    reason: str = "not checked yet"
    latency_ms: float | None = None
    changed_at: float = 0.0
    checked: bool = False
    engine: str = ""  # in the service's words, for example "hibari (heart)"; empty if it does not report it
    languages: tuple[str, ...] = ()  # primary language tags; empty if it does not report them

    @property
    def up(self) -> bool:
        """True if the service is serving."""
        return self.state == "up"


@dataclass(frozen=True, slots=True)
class _Check:
    """The result of one check. Empty `reason`: up; `slow`: it timed out; `unreachable`: there is no connection, or it says so."""

    reason: str = ""
    latency_ms: float | None = None
    slow: bool = False
    unreachable: bool = False
    engine: str = ""
    languages: tuple[str, ...] = ()
    impaired: str = ""  # what it cannot do while it is up


class ServiceWatch:
    """Checks one service in a loop."""

    def __init__(
        self, name: str, channels: Callable[[], Iterable[grpc.aio.Channel]], on_change: Callable[[ServiceHealth], None]
    ) -> None:
        self.health = ServiceHealth(name)
        self._channels = channels
        self._on_change = on_change
        self._turn = 0
        self._downs = 0
        self._looks = 0  # left before the next call, while the service cannot be reached
        self._slow = 0

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            channel = self._next_channel()
            if self._may_answer(channel):
                self._learn(await self._check(channel))
            await self._pause()

    def _next_channel(self) -> grpc.aio.Channel:
        """The service's channels in turn."""
        channels = list(self._channels())
        self._turn += 1
        return channels[self._turn % len(channels)]

    def _may_answer(self, channel: grpc.aio.Channel) -> bool:
        """False if a call would fail at once, as the last one did: gRPC has not connected since, and goes on trying by itself."""
        if self._looks > 0 and channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            self._looks -= 1
            return False
        return True

    async def _pause(self) -> None:
        self._downs = 0 if self.health.up else self._downs + 1
        interval_s = DOWN_INTERVALS_S[min(self._downs, len(DOWN_INTERVALS_S)) - 1] if self._downs else UP_INTERVAL_S
        if self._slow:
            interval_s = DOWN_INTERVALS_S[0]
        await asyncio.sleep(interval_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - not for secrets

    async def _check(self, channel: grpc.aio.Channel) -> _Check:
        stub = health_pb2_grpc.HealthStub(channel)
        started = time.perf_counter()
        answer = await _ask(stub, SERVICES[self.health.name].full_name, self.health.name)
        latency_ms = None if answer.slow else round((time.perf_counter() - started) * 1000, 2)
        return replace(answer, latency_ms=latency_ms)

    def _learn(self, check: _Check) -> None:
        self._slow = self._slow + 1 if check.slow else 0
        self._looks = LOOKS if check.unreachable else 0
        if check.slow and self.health.up and self._slow < SLOW_CHECKS:
            return
        before = self.health
        state: Literal["up", "down"] = "down" if check.reason else "up"
        reason = check.reason or check.impaired
        changed = state != before.state or reason != before.reason
        working = before if check.slow else check
        self.health = ServiceHealth(
            before.name,
            state,
            reason,
            check.latency_ms if check.latency_ms is not None else before.latency_ms,
            time.time() if state != before.state or not before.checked else before.changed_at,
            checked=True,
            engine=working.engine,
            languages=working.languages,
        )
        if changed:
            self._on_change(self.health)


async def _ask(stub: health_pb2_grpc.HealthStub, full_name: str, name: str) -> _Check:
    call = stub.Check(health_pb2.HealthCheckRequest(service=full_name), timeout=CHECK_TIMEOUT_S)
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return await _judge_error(stub, error, full_name, name)
    metadata = await call.trailing_metadata()
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        languages = _words(metadata, LANGUAGES_KEY)
        return _Check(
            engine=_words(metadata, ENGINE_KEY),
            languages=tuple(languages.split(",")) if languages else (),
            impaired=_words(metadata, IMPAIRED_KEY),
        )
    reason = _words(metadata, REASON_KEY)
    return _Check(reason or _WORDS.get(answer.status, f"its state is {answer.status}"))


async def _judge_error(
    stub: health_pb2_grpc.HealthStub, error: grpc.aio.AioRpcError, full_name: str, name: str
) -> _Check:
    reason = _words(error.trailing_metadata() or (), REASON_KEY)
    match error.code():
        case grpc.StatusCode.UNIMPLEMENTED:
            # Without a health service, its answer is all we can know, as in gRPC's own health checking.
            return _Check()
        case grpc.StatusCode.NOT_FOUND if full_name and not reason:
            return await _ask(stub, "", name)  # it has no state by service name: ask for the server's
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return _Check(own_words(name, "DEADLINE_EXCEEDED"), slow=True)
    unreachable = error.code() is grpc.StatusCode.UNAVAILABLE
    return _Check(reason or from_rpc_error(name, error).message, unreachable=unreachable)


def _words(metadata: Iterable[tuple[str, str | bytes]], wanted: str) -> str:
    return next((clean_text(value) for key, value in metadata if key == wanted and isinstance(value, str)), "")


class HealthWatch:
    """The health of all services. Read `services`, or `subscribe` to changes."""

    def __init__(self, channels: dict[str, Callable[[], Iterable[grpc.aio.Channel]]]) -> None:
        self._subscribers: list[Callable[[ServiceHealth], None]] = []
        self._first_round = asyncio.Event()
        self._watches = {name: ServiceWatch(name, get, self._changed) for name, get in channels.items()}

    @property
    def services(self) -> dict[str, ServiceHealth]:
        """Health by short name."""
        return {name: watch.health for name, watch in self._watches.items()}

    def subscribe(self, on_change: Callable[[ServiceHealth], None]) -> Callable[[], None]:
        """Call `on_change`, on the event loop, when a service's state or reason changes. Returns a function that unsubscribes."""
        self._subscribers.append(on_change)
        return lambda: self._subscribers.remove(on_change)

    def _changed(self, health: ServiceHealth) -> None:
        log.info("service %s is %s %s", health.name, health.state, health.reason)
        if all(watch.health.checked for watch in self._watches.values()):
            self._first_round.set()
        for on_change in tuple(self._subscribers):
            on_change(health)

    async def first_round(self) -> None:
        """Wait until every service was checked once, even if it is down or hangs."""
        await self._first_round.wait()

    def start(self, background: Background) -> None:
        """Start watching."""
        for name, watch in self._watches.items():
            background.spawn(watch.run(), f"{name} health")
