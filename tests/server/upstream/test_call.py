from __future__ import annotations

import asyncio
from dataclasses import replace

import grpc
import pytest

from protos import intent_pb2
from server.upstream import BreakerPolicy, CircuitState, Upstream
from streaming.ports import ServiceError
from tests.server.upstream.observing import CALLER, Observed
from tests.support.services import FakeServices, Fault

UNAVAILABLE = Fault(grpc.StatusCode.UNAVAILABLE)
PATIENT = BreakerPolicy(min_faults=1000)
TOUCHY = BreakerPolicy(min_faults=2, open_s=60, probes=1)


async def ask(upstream: Upstream, timeout_ms: int | None = None) -> str:
    return (await upstream.services.intent.recognize("hello", "", replace(CALLER, timeout_ms=timeout_ms))).intent


def fakes_with_intent() -> FakeServices:
    fakes = FakeServices("intent", "memory")
    fakes.intent.answer("Recognize", intent_pb2.RecognizeResponse(intent="greet"))
    return fakes


async def refused(upstream: Upstream, timeout_ms: int | None = None) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        await ask(upstream, timeout_ms)
    return raised.value


async def test_a_call_carries_who_asks_and_until_when() -> None:
    observed = Observed()
    async with fakes_with_intent() as fakes, fakes.upstream(deadline_ms=40_000, observer=observed) as upstream:
        assert await ask(upstream) == "greet"
        assert await ask(upstream, timeout_ms=15_000) == "greet"
        assert await ask(upstream, timeout_ms=600_000) == "greet"
        metadata = fakes.intent.calls[0].metadata
        assert metadata["x-user-id"] == "u-1"
        assert metadata["traceparent"] == "00-4bf9-00f0-01"
        remaining_s = [call.time_remaining_s for call in fakes.intent.calls]
    assert remaining_s == pytest.approx([40, 15, 40], abs=5)
    assert observed.calls == [("intent", "Recognize", "OK")] * 3
    assert ("intent", "closed") in observed.circuits


async def test_a_connection_lost_before_any_answer_is_tried_again() -> None:
    observed = Observed()
    async with fakes_with_intent() as fakes, fakes.upstream(observer=observed) as upstream:
        fakes.intent.faults.extend([UNAVAILABLE] * 2)
        assert await ask(upstream) == "greet"
    assert observed.statuses() == ["UNAVAILABLE", "UNAVAILABLE", "OK"]


async def test_it_is_not_tried_for_ever() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream() as upstream:
        fakes.intent.faults.extend([UNAVAILABLE] * 9)
        broken = await refused(upstream)
        assert (broken.code, broken.message, broken.retryable) == ("UNAVAILABLE", "scripted", True)
        assert len(fakes.intent.calls) == 3


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
    ids=lambda code: code.name,
)
async def test_any_other_status_is_final_and_keeps_its_name(code: grpc.StatusCode) -> None:
    async with fakes_with_intent() as fakes, fakes.upstream() as upstream:
        fakes.intent.faults.append(Fault(code))
        assert (await refused(upstream)).code == code.name
        assert len(fakes.intent.calls) == 1


async def test_what_may_not_happen_twice_is_sent_once() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream() as upstream:
        fakes.memory.faults.append(UNAVAILABLE)
        with pytest.raises(ServiceError, match="UNAVAILABLE"):
            await upstream.services.memory.delete("k", CALLER)
        assert len(fakes.memory.calls) == 1


async def test_a_service_that_asks_for_more_time_than_there_is_is_not_asked_again() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream(deadline_ms=4_000) as upstream:
        fakes.intent.faults.append(Fault(grpc.StatusCode.UNAVAILABLE, trailing=(("grpc-retry-pushback-ms", "5000"),)))
        assert (await refused(upstream)).retry_after_ms == 5_000
        assert len(fakes.intent.calls) == 1


async def test_retries_have_a_budget() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream(policy=PATIENT) as upstream:
        fakes.intent.faults.extend([UNAVAILABLE] * 1000)
        for _ in range(20):
            assert (await refused(upstream)).code == "UNAVAILABLE"
        assert len(fakes.intent.calls) <= 20 + 10 + 2


async def test_a_service_that_hangs_costs_its_deadline_and_learns_of_it() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream(deadline_ms=500, policy=PATIENT) as upstream:
        fakes.intent.faults.extend([Fault(hang=True)] * 100)
        broken = await refused(upstream)
        while not fakes.intent.calls:  # a busy machine has not brought it there
            await refused(upstream)
        assert broken.code == "DEADLINE_EXCEEDED"
        assert broken.message == "intent recognition did not answer in time"
        await (await fakes.intent.call()).ended.wait()


async def test_nobody_there_is_said_without_addresses() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream() as upstream:
        await fakes.intent.stop()
        broken = await refused(upstream)
        assert (broken.code, broken.message) == ("UNAVAILABLE", "intent recognition cannot be reached")


async def test_a_crashed_handler_does_not_show_its_exception() -> None:
    async def crash(_call: object) -> None:
        raise KeyError("the user's secret words")

    async with fakes_with_intent() as fakes, fakes.upstream() as upstream:
        fakes.intent.on("Recognize", crash)
        broken = await refused(upstream)
        assert (broken.code, broken.message) == ("UNKNOWN", "intent recognition failed")


async def test_bytes_that_are_no_message_are_an_internal_error() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream() as upstream:
        fakes.intent.faults.append(Fault(raw=b"\xff\xff\xff"))
        assert (await refused(upstream)).code == "INTERNAL"


async def test_a_service_without_the_method_says_so() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream() as upstream:
        del fakes.intent._methods["Recognize"]
        assert (await refused(upstream)).code == "UNIMPLEMENTED"


async def test_text_that_is_no_unicode_is_refused_before_it_is_sent() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream() as upstream:
        with pytest.raises(ServiceError, match="INVALID_ARGUMENT"):
            await upstream.services.intent.recognize("\ud800", "", CALLER)
        assert fakes.intent.calls == []


async def test_cancelling_the_caller_cancels_the_call() -> None:
    observed = Observed()
    async with fakes_with_intent() as fakes, fakes.upstream(observer=observed) as upstream:
        fakes.intent.faults.append(Fault(hang=True))
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(ask(upstream), name="asking")
            call = await fakes.intent.call()
            asking.cancel()
        assert asking.cancelled()
        await call.ended.wait()
        assert call.cancelled
        assert upstream.running_calls()["intent"] == 0
    assert observed.statuses() == ["CANCELLED"]


async def test_an_open_circuit_answers_at_once_and_says_why() -> None:
    observed = Observed()
    async with fakes_with_intent() as fakes, fakes.upstream(observer=observed, policy=TOUCHY) as upstream:
        fakes.intent.faults.extend([Fault(grpc.StatusCode.INTERNAL, "the model is not loaded")] * 2)
        await refused(upstream), await refused(upstream)
        broken = await refused(upstream)
        assert broken.code == "CIRCUIT_OPEN"
        assert broken.message == "intent recognition is failing: the model is not loaded"
        assert broken.retryable
        assert 0 < (broken.retry_after_ms or 0) <= 60_000
        assert len(fakes.intent.calls) == 2
        assert upstream.circuits()["intent"] is CircuitState.OPEN
        assert upstream.circuits()["memory"] is CircuitState.CLOSED
    assert observed.statuses() == ["INTERNAL", "INTERNAL", "CIRCUIT_OPEN"]
    assert ("intent", "open") in observed.circuits


async def test_one_users_faults_close_the_service_to_nobody_else() -> None:
    """Calls that wait behind each other until they are late, or arguments at which the service breaks."""
    async with fakes_with_intent() as fakes, fakes.upstream(policy=TOUCHY) as upstream:
        fakes.intent.faults.extend([Fault(grpc.StatusCode.DEADLINE_EXCEEDED)] * 2)
        await refused(upstream), await refused(upstream)
        assert (await refused(upstream)).code == "CIRCUIT_OPEN"
        other = await upstream.services.intent.recognize("hello", "", replace(CALLER, user_id="u-2"))
        assert other.intent == "greet"
        assert (await refused(upstream)).code == "CIRCUIT_OPEN"


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
    ids=lambda code: code.name,
)
async def test_callers_mistakes_do_not_open_it(code: grpc.StatusCode) -> None:
    async with fakes_with_intent() as fakes, fakes.upstream(policy=TOUCHY) as upstream:
        fakes.intent.faults.extend([Fault(code)] * 6)
        for _ in range(6):
            assert (await refused(upstream)).code == code.name
        assert upstream.circuits()["intent"] is CircuitState.CLOSED


async def test_a_callers_own_short_patience_does_not_open_it() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream(policy=TOUCHY) as upstream:
        fakes.intent.faults.extend([Fault(hang=True)] * 4)
        for _ in range(4):
            assert (await refused(upstream, timeout_ms=20)).code == "DEADLINE_EXCEEDED"
        assert upstream.circuits()["intent"] is CircuitState.CLOSED


async def test_a_service_that_lets_its_deadline_pass_does() -> None:
    async with fakes_with_intent() as fakes, fakes.upstream(deadline_ms=40, policy=TOUCHY) as upstream:
        fakes.intent.faults.extend([Fault(hang=True)] * 2)
        await refused(upstream), await refused(upstream)
        assert upstream.circuits()["intent"] is CircuitState.OPEN


async def test_a_cancelled_probe_leaves_its_place_to_another() -> None:
    policy = BreakerPolicy(min_faults=1, open_s=0.0001, probes=1)
    async with fakes_with_intent() as fakes, fakes.upstream(policy=policy) as upstream:
        fakes.intent.faults.extend([Fault(grpc.StatusCode.INTERNAL), Fault(hang=True)])
        await refused(upstream)
        await asyncio.sleep(0.01)
        async with asyncio.TaskGroup() as group:
            probe = group.create_task(ask(upstream), name="probe")
            await fakes.intent.call(1)
            assert (await refused(upstream)).code == "CIRCUIT_OPEN"
            probe.cancel()
        assert await ask(upstream) == "greet"
        assert upstream.circuits()["intent"] is CircuitState.CLOSED
