from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from protos import executor_pb2
from server.upstream import BreakerPolicy, CircuitState
from server.upstream.convert import to_struct
from streaming.agent.actions import executor_of
from streaming.ports import ActionInfo, ServiceError, TaskProgress, TaskResult
from tests.server.upstream.observing import CALLER, Observed
from tests.support.services import FakeServices, Fault

if TYPE_CHECKING:
    from server.upstream import Upstream
    from streaming.ports import CallContext, TaskEvent
    from tests.support.services import Call


def progress(**fields: Any) -> executor_pb2.ExecuteEvent:
    return executor_pb2.ExecuteEvent(progress=executor_pb2.Progress(**fields))


def result(status: str = "ok", message: str = "", **fields: Any) -> executor_pb2.ExecuteEvent:
    return executor_pb2.ExecuteEvent(
        result=executor_pb2.Result(status=status, result=to_struct(fields), message=message)
    )


async def run(upstream: Upstream, context: CallContext = CALLER, **parameters: Any) -> list[TaskEvent]:
    return [event async for event in upstream.services.os.execute("t-1", "ls", parameters, context)]


async def refused(upstream: Upstream, context: CallContext = CALLER, **parameters: Any) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        await run(upstream, context, **parameters)
    return raised.value


@pytest.mark.parametrize("name", ["browser", "os", "search"])
async def test_a_task_tells_how_it_goes_and_ends_in_its_result(name: str) -> None:
    observed = Observed()
    async with FakeServices(name) as fakes, fakes.upstream(observer=observed) as upstream:
        fakes.services[name].answer(
            "Execute",
            progress(message="opening", percent=0.0),
            progress(stream="stdout", data="line\n"),
            executor_pb2.ExecuteEvent(),
            result(exit_code=0, ratio=0.5, names=["a", 2]),
        )
        executor = executor_of(upstream.services, name)
        assert executor is not None
        events = [
            event async for event in executor.execute("t-1", "do", {"url": "x", "n": 3, "deep": {"a": [1]}}, CALLER)
        ]
        request = fakes.services[name].calls[0].requests[0]
    assert events == [
        TaskProgress("opening", 0.0),
        TaskProgress(stream="stdout", data="line\n"),
        TaskResult("ok", {"exit_code": 0, "ratio": 0.5, "names": ["a", 2]}),
    ]
    assert isinstance(events[-1], TaskResult)
    assert type(events[-1].result["exit_code"]) is int
    assert (request.task_id, request.action, request.session_id, request.user_id) == ("t-1", "do", "s-1", "u-1")
    assert request.parameters == to_struct({"url": "x", "n": 3, "deep": {"a": [1]}})
    assert observed.calls == [(name, "Execute", "OK")]


async def test_a_task_that_ran_and_failed_is_a_result_too() -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:
        fakes.os.answer("Execute", result("failed", "exit code 2", exit_code=2))
        assert await run(upstream) == [TaskResult("failed", {"exit_code": 2}, "exit code 2")]


@pytest.mark.parametrize(
    ("asked_ms", "told_ms", "limit_s"), [(None, 0, 50), (10_000, 10_000, 30), (900_000, 30_000, 50)]
)
async def test_the_executor_knows_its_time_and_the_call_ends_a_little_later(
    monkeypatch: pytest.MonkeyPatch, asked_ms: int | None, told_ms: int, limit_s: float
) -> None:
    monkeypatch.setattr("server.upstream.executors.DEADLINE_GRACE_S", 20)
    async with FakeServices("os") as fakes, fakes.upstream(deadline_ms=30_000) as upstream:
        fakes.os.answer("Execute", result())
        await run(upstream, replace(CALLER, timeout_ms=asked_ms, asked_ms_ago=3_000))
        assert fakes.os.calls[0].requests[0].timeout_ms == told_ms
        assert fakes.os.calls[0].requests[0].asked_ms_ago == 3_000
        assert fakes.os.calls[0].time_remaining_s == pytest.approx(limit_s, abs=5)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
    ],
    ids=lambda code: code.name,
)
async def test_refusals_come_with_the_executors_words_and_once(code: grpc.StatusCode) -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:
        fakes.os.faults.append(Fault(code, "the words"))
        broken = await refused(upstream)
        assert (broken.code, broken.message, broken.service) == (code.name, "the words", "os")
        assert len(fakes.os.calls) == 1


async def test_tasks_over_their_time_are_not_held_against_the_executor_but_hanging_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = BreakerPolicy(min_faults=2, open_s=60)
    async with FakeServices("os") as fakes, fakes.upstream(policy=policy) as upstream:
        fakes.os.faults.extend([Fault(grpc.StatusCode.DEADLINE_EXCEEDED, "over its 20 ms")] * 5)
        with monkeypatch.context() as unhurried:
            unhurried.setattr("server.upstream.executors.DEADLINE_GRACE_S", 60)  # the executor says it itself
            for _ in range(5):
                await refused(upstream, replace(CALLER, timeout_ms=20))
        assert upstream.circuits()["os"] is CircuitState.CLOSED
        fakes.os.faults.extend([Fault(hang=True)] * 2)
        for _ in range(2):
            assert (await refused(upstream, replace(CALLER, timeout_ms=20))).code == "DEADLINE_EXCEEDED"
        assert upstream.circuits()["os"] is CircuitState.OPEN
        assert (await refused(upstream)).code == "CIRCUIT_OPEN"


async def endless(call: Call) -> None:
    await call.read()
    while True:
        await call.write(progress(message="going on"))
        await asyncio.sleep(0.01)


async def test_closing_the_generator_cancels_the_task() -> None:
    observed = Observed()
    async with FakeServices("os") as fakes, fakes.upstream(observer=observed) as upstream:
        fakes.os.on("Execute", endless)
        async with aclosing(upstream.services.os.execute("t", "a", {}, CALLER)) as events:
            await anext(events)
        await fakes.os.calls[0].ended.wait()
        assert fakes.os.calls[0].cancelled
        assert upstream.running_calls()["os"] == 0
    assert observed.statuses() == ["CANCELLED"]


async def test_cancelling_the_consumer_cancels_the_task() -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:
        fakes.os.on("Execute", endless)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(run(upstream), name="task")
            call = await fakes.os.call()
            running.cancel()
        await call.ended.wait()
        assert call.cancelled


async def test_a_finished_task_is_not_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.upstream.executors.TRAILER_WAIT_S", 60)
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:

        async def tidy_up(call: Call) -> None:
            await call.read()
            await call.write(result(done=True))
            await asyncio.sleep(0.05)

        fakes.os.on("Execute", tidy_up)
        async with aclosing(upstream.services.os.execute("t", "a", {}, CALLER)) as events:
            assert await anext(events) == TaskResult("ok", {"done": True})
        await fakes.os.calls[0].ended.wait()
        assert not fakes.os.calls[0].cancelled


async def test_an_executor_that_keeps_the_call_open_after_the_result_does_not_keep_us() -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:

        async def linger(call: Call) -> None:
            await call.read()
            await call.write(result(done=True))
            await asyncio.Event().wait()

        fakes.os.on("Execute", linger)
        assert await run(upstream) == [TaskResult("ok", {"done": True})]
        await fakes.os.calls[0].ended.wait()


async def test_the_result_counts_even_when_the_call_ends_badly() -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:

        async def fall_over(call: Call) -> None:
            await call.read()
            await call.write(result(done=True))
            await call.abort(grpc.StatusCode.INTERNAL)

        fakes.os.on("Execute", fall_over)
        assert await run(upstream) == [TaskResult("ok", {"done": True})]


async def test_an_executor_that_dies_in_mid_task_is_unavailable() -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:
        fakes.os.on("Execute", endless)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(refused(upstream), name="task")
            await fakes.os.call()
            await fakes.os.stop()
        assert running.result().code == "UNAVAILABLE"


@pytest.mark.parametrize("messages", [(), (progress(message="x"),)], ids=["nothing", "progress only"])
async def test_an_end_without_a_result_is_an_internal_error(messages: tuple[executor_pb2.ExecuteEvent, ...]) -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:
        fakes.os.answer("Execute", *messages)
        broken = await refused(upstream)
        assert (broken.code, broken.message) == ("INTERNAL", "the task ended without a result")


async def test_bytes_that_are_no_event_are_an_internal_error() -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:
        fakes.os.faults.append(Fault(raw=b"\xff\xff"))
        assert (await refused(upstream)).code == "INTERNAL"


async def test_parameters_that_cannot_travel_unchanged_are_refused_before_anything_runs() -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:
        assert (await refused(upstream, big=2**60)).code == "INVALID_ARGUMENT"
        assert fakes.os.calls == []


async def test_a_large_result_comes_whole() -> None:
    async with FakeServices("browser") as fakes, fakes.upstream() as upstream:
        fakes.browser.answer("Execute", result(png="A" * 6_000_000))
        events = [event async for event in upstream.services.browser.execute("t", "screenshot", {}, CALLER)]
        assert isinstance(events[-1], TaskResult)
        assert len(events[-1].result["png"]) == 6_000_000


async def test_actions_come_with_their_schema() -> None:
    async with FakeServices("os") as fakes, fakes.upstream() as upstream:
        schema = {"type": "object", "maxProperties": 2}
        info = executor_pb2.ActionInfo(name="ls", description="list", parameters=to_struct(schema))
        fakes.os.answer("ListActions", executor_pb2.ListActionsResponse(actions=[info]))
        assert await upstream.services.os.actions(CALLER) == [ActionInfo("ls", "list", schema)]
