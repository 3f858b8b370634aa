from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos import intent_pb2
from server.upstream import BreakerPolicy, CircuitState, ServiceHealth, Upstream
from server.upstream import health as health_module
from streaming.ports import ServiceError
from tests.server.upstream.observing import CALLER
from tests.support.services import FakeServices, Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    monkeypatch.setattr(health_module, "UP_INTERVAL_S", 0.02)
    monkeypatch.setattr(health_module, "DOWN_INTERVALS_S", (0.01, 0.02))
    monkeypatch.setattr(health_module, "CHECK_TIMEOUT_S", 1.0)


class Watcher:
    """Waits for what a subscriber is told."""

    def __init__(self, upstream: Upstream) -> None:
        self.told: list[ServiceHealth] = []
        self._news = asyncio.Event()
        self.unsubscribe = upstream.health.subscribe(self._hear)

    def _hear(self, health: ServiceHealth) -> None:
        self.told.append(health)
        self._news.set()

    async def until(self, wanted: Callable[[ServiceHealth], bool]) -> ServiceHealth:
        while True:
            for health in self.told:
                if wanted(health):
                    self.told.clear()
                    return health
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[FakeServices, Upstream, Watcher]]:
    async with FakeServices("intent") as fakes, fakes.upstream() as upstream:
        yield fakes, upstream, Watcher(upstream)


def intent_is(state: str) -> Callable[[ServiceHealth], bool]:
    return lambda health: health.name == "intent" and health.state == state


@pytest.fixture
def unhurried_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "CHECK_TIMEOUT_S", 60)


@pytest.mark.usefixtures("unhurried_checks")
async def test_after_the_first_round_every_service_is_known() -> None:
    async with watched() as (fakes, upstream, _watcher):
        assert upstream.health.services["intent"] == ServiceHealth("intent")
        assert not upstream.health.services["intent"].checked
        await upstream.health.first_round()
        seen = upstream.health.services
        assert len(seen) == 9
        assert seen["intent"].up
        assert (seen["intent"].latency_ms or 0) > 0
        assert seen["intent"].changed_at > 1_600_000_000
        assert (seen["stt"].state, seen["stt"].reason) == ("down", "speech recognition cannot be reached")
        assert fakes.intent.checks.asked[0] == "jarvis.intent.v1.IntentRecognizer"


async def test_a_service_that_goes_and_comes_back_is_noticed() -> None:
    async with watched() as (fakes, _upstream, watcher):
        up = await watcher.until(intent_is("up"))
        await fakes.intent.stop()
        down = await watcher.until(intent_is("down"))
        assert down.reason == "intent recognition cannot be reached"
        assert down.latency_ms is not None
        await fakes.intent.start()
        again = await watcher.until(intent_is("up"))
        assert (again.reason, again.changed_at > up.changed_at) == ("", True)


async def test_a_service_says_why_it_does_not_serve() -> None:
    async with watched() as (fakes, _upstream, watcher):
        await watcher.until(intent_is("up"))
        fakes.intent.checks.status = NOT_SERVING
        assert (await watcher.until(intent_is("down"))).reason == "it says it is not serving"
        fakes.intent.checks.reason = "Chromium is missing: apt install chromium"
        assert (await watcher.until(intent_is("down"))).reason == "Chromium is missing: apt install chromium"


async def test_a_service_that_works_says_what_it_cannot_do() -> None:
    async with watched() as (fakes, _upstream, watcher):
        await watcher.until(intent_is("up"))
        fakes.intent.checks.impaired = "nothing can be remembered"
        assert (await watcher.until(lambda health: bool(health.reason))).up


@pytest.mark.parametrize(
    ("error", "reason", "expected"),
    [
        (grpc.StatusCode.NOT_FOUND, "the package is missing", ("down", "the package is missing")),
        (grpc.StatusCode.NOT_FOUND, "", ("up", "")),
        (grpc.StatusCode.UNIMPLEMENTED, "", ("up", "")),
        (grpc.StatusCode.PERMISSION_DENIED, "", ("down", "scripted")),
    ],
    ids=["not found, with a reason", "not known by name", "no health service", "refused"],
)
@pytest.mark.usefixtures("unhurried_checks")
async def test_other_answers(error: grpc.StatusCode, reason: str, expected: tuple[str, str]) -> None:
    async with FakeServices("intent") as fakes:
        fakes.intent.checks.error, fakes.intent.checks.reason = error, reason
        async with fakes.upstream() as upstream:
            await upstream.health.first_round()
            seen = upstream.health.services["intent"]
            assert (seen.state, seen.reason) == expected


async def test_one_slow_check_is_a_busy_service_two_are_a_hanging_one() -> None:
    async with watched() as (fakes, upstream, watcher):
        await watcher.until(intent_is("up"))
        fakes.intent.checks.hang = True
        asked = len(fakes.intent.checks.asked)
        down = await watcher.until(intent_is("down"))
        assert down.reason == "intent recognition did not answer in time"
        assert len(fakes.intent.checks.asked) - asked >= 2
        fakes.intent.checks.hang = False
        await watcher.until(intent_is("up"))
        assert upstream.health.services["intent"].up


async def test_who_unsubscribed_is_told_nothing() -> None:
    async with watched() as (fakes, upstream, watcher):
        await watcher.until(intent_is("up"))
        gone = Watcher(upstream)
        gone.unsubscribe()
        await fakes.intent.stop()
        await watcher.until(intent_is("down"))
        assert gone.told == []


async def test_a_service_seen_up_again_is_probed_without_waiting_for_the_breaker() -> None:
    policy = BreakerPolicy(min_faults=1, open_s=600, probes=1)
    async with FakeServices("intent") as fakes, fakes.upstream(policy=policy) as upstream:
        watcher = Watcher(upstream)
        await watcher.until(intent_is("up"))
        fakes.intent.answer("Recognize", intent_pb2.RecognizeResponse(intent="greet"))
        fakes.intent.faults.append(Fault(grpc.StatusCode.INTERNAL))
        with pytest.raises(ServiceError, match="INTERNAL"):
            await upstream.services.intent.recognize("x", "", CALLER)
        assert upstream.circuits()["intent"] is CircuitState.OPEN
        await fakes.intent.stop()
        await watcher.until(intent_is("down"))
        await fakes.intent.start()
        await watcher.until(intent_is("up"))
        assert upstream.circuits()["intent"] is CircuitState.HALF_OPEN
        assert (await upstream.services.intent.recognize("x", "", CALLER)).intent == "greet"
        assert upstream.circuits()["intent"] is CircuitState.CLOSED


async def test_a_channel_that_cannot_connect_is_looked_at_and_seldom_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Channel:
        """`looks`: how often each state was seen."""

        state = grpc.ChannelConnectivity.TRANSIENT_FAILURE
        looks = 0
        asked = 0

        def get_state(self, *, try_to_connect: bool) -> grpc.ChannelConnectivity:
            assert try_to_connect  # an idle channel would stay idle
            self.looks += 1
            if self.looks == 3 * health_module.LOOKS:
                self.state = grpc.ChannelConnectivity.READY
            return self.state

    channel: Any = Channel()

    async def ask(*_: object) -> Any:
        channel.asked += 1
        await asyncio.sleep(0)
        if channel.state is grpc.ChannelConnectivity.READY:
            return health_module._Check()
        return health_module._Check("cannot be reached", unreachable=True)

    monkeypatch.setattr(health_module, "_ask", ask)
    monkeypatch.setattr(health_pb2_grpc, "HealthStub", lambda _channel: None)
    monkeypatch.setattr(health_module, "DOWN_INTERVALS_S", (0.0,))
    told: list[ServiceHealth] = []

    def on_change(health: ServiceHealth) -> None:
        told.append(health)
        if health.up:
            raise asyncio.CancelledError  # seen enough

    with pytest.raises(asyncio.CancelledError):
        await health_module.ServiceWatch("intent", lambda: [channel], on_change).run()
    assert [health.state for health in told] == ["down", "up"]
    assert channel.asked == 4  # once, after LOOKS each, and when it had connected
