"""A task whose command is repeated runs once: in this process, in another epoch, at another replica."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from server.shared.idempotency import IdempotencyStore
from server.shared.once import MAX_KEPT_BYTES, NOT_KEPT, RunOnceStore, call_once
from server.shared.redis_link import RedisLink
from server.shared.state import LocalState, RedisState
from streaming.domain import TaskEnded, TaskStarted
from streaming.lanes.execute import ExecuteLane
from streaming.outlet import LaneSetup
from streaming.ports import Action, CallContext, RunKey, ServiceError, TaskResult, Verdict
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.world import World, broken

if TYPE_CHECKING:
    from server.shared.state import State

KEY = RunKey("ada", "kitchen", "c1", "execute", {"action": "mkdir"})
ANSWER = {"status": "ok", "result": {"made": 1}, "message": ""}
LISTING = Action("os", "ls", {"args": ["-l"]})
ADA = CallContext("ada", ("operator",), session_id="kitchen", request_id="c1")


def run_once_store(state: State | None = None, wait_s: float = 30) -> RunOnceStore:
    state = state or LocalState()
    return RunOnceStore(state, IdempotencyStore(state), wait_s)


# --- what ran once ---


async def test_the_second_gets_what_the_first_came_to() -> None:
    once = run_once_store()
    assert await once.claim(KEY) is None
    await once.keep(KEY, ANSWER)
    assert await once.claim(KEY) == ANSWER


@pytest.mark.parametrize(
    "other",
    [{"user_id": "eve"}, {"session_id": "hall"}, {"command_id": "c2"}, {"request": {"action": "rmdir"}}, {"what": "x"}],
    ids=lambda other: next(iter(other)),
)
async def test_nobody_elses_command_is_the_same(other: dict[str, Any]) -> None:
    once = run_once_store()
    assert await once.claim(KEY) is None
    assert await once.claim(replace(KEY, **other)) is None


async def test_what_has_not_happened_may_run() -> None:
    once = run_once_store()
    assert await once.claim(KEY) is None
    await once.release(KEY)
    assert await once.claim(KEY) is None


async def test_one_that_runs_is_waited_for() -> None:
    once = run_once_store()
    assert await once.claim(KEY) is None
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(once.claim(KEY), name="again") for _ in range(3)]
        await asyncio.sleep(0.01)
        assert not any(other.done() for other in others)
        await once.keep(KEY, ANSWER)
    assert [other.result() for other in others] == [ANSWER] * 3


async def test_of_many_that_wait_for_one_that_did_not_happen_one_runs() -> None:
    once = run_once_store()
    assert await once.claim(KEY) is None
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(once.claim(KEY), name="again") for _ in range(3)]
        await asyncio.sleep(0.01)
        await once.release(KEY)
        while not any(other.done() for other in others):
            await asyncio.sleep(0.01)
        assert [other.result() for other in others if other.done()] == [None]
        await once.keep(KEY, ANSWER)


async def test_a_wait_has_an_end() -> None:
    once = run_once_store(wait_s=0)
    assert await once.claim(KEY) is None
    with pytest.raises(ServiceError) as refused:
        await once.claim(KEY)
    assert (refused.value.code, refused.value.retryable) == ("ABORTED", True)


async def test_a_large_answer_is_not_kept_but_that_there_was_one() -> None:
    once = run_once_store()
    assert await once.claim(KEY) is None
    await once.keep(KEY, {"status": "ok", "result": {"png": "x" * MAX_KEPT_BYTES}})
    assert await once.claim(KEY) == NOT_KEPT


async def test_another_replica_waits_for_it_and_gets_it(redis_url: str) -> None:
    async with asyncio.TaskGroup() as group:
        links = [RedisLink(redis_url, group, lambda: None) for _ in range(2)]
        states = [RedisState(link) for link in links]
        news = [group.create_task(state.listen(), name="news") for state in states]
        here, there = (run_once_store(state) for state in states)
        assert await here.claim(KEY) is None
        waiting = group.create_task(there.claim(KEY), name="elsewhere")
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await here.keep(KEY, ANSWER)
        assert await waiting == ANSWER
        for task in news:
            task.cancel()
        for link in links:
            await link.close()


# --- channels ---


class Client:
    """Opens `execute` channels of one session, each time as in a new epoch."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.once = run_once_store()
        self.outlets: list[RecordingOutlet] = []

    def lane(self, command_id: str = "c1", action: Action = LISTING, roles: tuple[str, ...] = ()) -> ExecuteLane:
        self.outlets.append(RecordingOutlet())
        frame = frame_for(self.world, self.outlets[-1])
        frame = LaneSetup(
            frame.outlet, replace(frame.provided, once=self.once), frame.context, frame.clock, frame.clock
        )
        if roles:
            frame = replace(frame, context=replace(frame.context, roles=roles))
        return ExecuteLane(frame, action, None, command_id)


async def test_a_channel_opened_again_is_answered_and_runs_nothing() -> None:
    client = Client(World())
    await client.lane().run()
    await client.lane().run()
    assert client.world.executed == [("ls", {"args": ["-l"]})]
    first, second = client.outlets
    assert second.of(TaskEnded) == first.of(TaskEnded) == [TaskEnded("ok", {"did": "ls"}, None)]
    assert second.of(TaskStarted) == []


async def test_another_id_or_none_runs() -> None:
    client = Client(World())
    for command_id in ("c1", "c2", "", ""):
        await client.lane(command_id).run()
    assert len(client.world.executed) == 4


async def test_a_channel_waits_for_the_same_one_that_runs() -> None:
    gate = asyncio.Event()
    client = Client(World(gates={"ls": gate}))
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(client.lane().run(), name="channel")
        await asyncio.sleep(0.01)
        gate.set()
    assert len(client.world.executed) == 1
    assert [outlet.of(TaskEnded)[0].status for outlet in client.outlets] == ["ok", "ok"]


async def test_a_failure_is_what_it_came_to() -> None:
    client = Client(World(results={"ls": TaskResult("failed", {"exit_code": 2.0}, "no such file")}))
    await client.lane().run()
    await client.lane().run()
    assert [outlet.of(TaskEnded)[0].message for outlet in client.outlets] == ["no such file"] * 2
    assert len(client.world.executed) == 1


async def test_a_refusal_ends_both_channels_alike() -> None:
    client = Client(World(verdicts={"ls": Verdict("deny", "high", ("never",))}))
    for _ in range(2):
        with pytest.raises(ServiceError) as refused:
            await client.lane().run()
        assert (refused.value.code, refused.value.message) == ("SAFETY_DENIED", "never")


async def test_a_task_that_was_stopped_is_not_run_again() -> None:
    client = Client(World(gates={"ls": asyncio.Event()}))
    async with asyncio.TaskGroup() as group:
        channel = group.create_task(client.lane().run(), name="channel")
        while not client.world.executed:
            await asyncio.sleep(0)
        channel.cancel()
    with pytest.raises(ServiceError) as refused:
        await client.lane().run()
    assert refused.value.code == "CANCELLED"
    assert len(client.world.executed) == 1


async def test_a_command_that_got_nowhere_may_come_again() -> None:
    client = Client(World(failing={"safety": broken("safety")}))
    with pytest.raises(ServiceError):
        await client.lane().run()
    client.world.failing.clear()
    await client.lane().run()
    assert len(client.world.executed) == 1


async def test_a_large_result_is_told_once() -> None:
    client = Client(World(results={"ls": TaskResult("ok", {"stdout": "x" * MAX_KEPT_BYTES})}))
    await client.lane().run()
    with pytest.raises(ServiceError) as refused:
        await client.lane().run()
    assert refused.value.code == "ALREADY_ANSWERED"


async def test_who_has_lost_a_role_is_not_told_what_was_done_with_it() -> None:
    client = Client(World())
    await client.lane(roles=("operator",)).run()
    with pytest.raises(ServiceError) as refused:
        await client.lane(roles=("user",)).run()
    assert (refused.value.code, client.outlets[1].of(TaskEnded)) == ("FORBIDDEN", [])
    await client.lane(roles=("admin",)).run()
    assert client.outlets[2].of(TaskEnded) == client.outlets[0].of(TaskEnded)
    assert len(client.world.executed) == 1


# --- calls ---


class Operation:
    """Ends as it is told to, and counts."""

    def __init__(self, *ends: Any) -> None:
        self.ends = list(ends)
        self.runs = 0

    async def __call__(self) -> Any:
        self.runs += 1
        end = self.ends.pop(0)
        if isinstance(end, BaseException):
            raise end
        return end


async def twice(operation: Operation) -> list[Any]:
    """What a call came to, and the same call again."""
    once, ends = run_once_store(), []
    for _ in range(2):
        try:
            ends.append(await call_once(once, ADA, "executor.os.command", {"command": "ls"}, operation))
        except ServiceError as error:
            ends.append((type(error), error.code, error.message, error.retryable))
    return ends


async def test_a_call_is_not_answered_again_to_who_has_lost_a_role() -> None:
    once, operation = run_once_store(), Operation({"stdout": "of an operator"})
    for roles, told in (("operator", True), ("user", False), ("admin", True)):
        call = call_once(once, replace(ADA, roles=(roles,)), "executor.os.command", {"command": "ls"}, operation)
        if told:
            assert await call == {"stdout": "of an operator"}
        else:
            with pytest.raises(ServiceError, match="FORBIDDEN"):
                await call
    assert operation.runs == 1


async def test_a_call_is_answered_again_and_not_run() -> None:
    operation = Operation({"exit_code": 0})
    assert await twice(operation) == [{"exit_code": 0}] * 2
    assert operation.runs == 1


@pytest.mark.parametrize(
    "error",
    [
        ServiceError("CONFIRMATION_REQUIRED", "first ask"),
        ServiceError("UNAVAILABLE", "gone", service="os"),
        ServiceError("DEADLINE_EXCEEDED", "too slow", service="os"),
    ],
    ids=lambda error: error.code,
)
async def test_an_error_of_a_call_that_may_have_run_is_what_it_came_to(error: ServiceError) -> None:
    operation = Operation(error)
    first, second = await twice(operation)
    assert first == second
    _, code, message, retryable = first
    assert (code, retryable) == (error.code, False)
    assert message.startswith(error.message)
    assert ("take a new one to try again" in message) == error.retryable


@pytest.mark.parametrize(
    "error",
    [
        ServiceError("FORBIDDEN", "no"),
        ServiceError("VALIDATION_ERROR", "no"),
        ServiceError("UNAVAILABLE", "gone", service="safety"),
        ServiceError("CIRCUIT_OPEN", "rests", service="os"),
    ],
    ids=lambda error: error.code,
)
async def test_a_call_that_certainly_did_nothing_may_come_again(error: ServiceError) -> None:
    operation = Operation(error, "done")
    assert (await twice(operation))[1] == "done"


async def test_a_call_that_was_stopped_is_not_run_again() -> None:
    once, operation = run_once_store(), Operation(asyncio.CancelledError(), "done")
    with pytest.raises(asyncio.CancelledError):
        await call_once(once, ADA, "executor.search", {}, operation)
    with pytest.raises(ServiceError, match="CANCELLED"):
        await call_once(once, ADA, "executor.search", {}, operation)
    assert operation.runs == 1


async def test_a_call_that_failed_here_is_answered_again_as_it_was_at_first() -> None:
    once, operation = run_once_store(), Operation(KeyError("a fault of ours"), "done")
    with pytest.raises(KeyError):
        await call_once(once, ADA, "executor.search", {}, operation)
    with pytest.raises(ServiceError, match="INTERNAL"):
        await call_once(once, ADA, "executor.search", {}, operation)
    assert operation.runs == 1


# --- over the rate limit ---

REFUSED = ServiceError("RATE_LIMITED", "come back in 5 s")


class Unchanged(LocalState):
    """Says what is asked of it beside reading."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def put(self, *args: Any, **options: Any) -> bool:
        self.asked.append("put")
        return await super().put(*args, **options)

    async def remove(self, *args: Any) -> None:
        self.asked.append("remove")
        await super().remove(*args)

    async def publish(self, *args: Any, **options: Any) -> None:
        self.asked.append("publish")
        await super().publish(*args, **options)


class Full:
    """A rate limit that is used up, and known to be."""

    def refusal(self, _action: Action, _context: CallContext) -> ServiceError:
        return REFUSED

    async def take(self, _action: Action, _context: CallContext, _once: str = "") -> None:
        raise REFUSED

    async def take_turn(self, _context: CallContext, _once: str) -> None:
        raise REFUSED

    async def take_speech(self, _context: CallContext, _once: str) -> None:
        raise REFUSED


async def test_what_is_refused_changes_nothing_in_the_store() -> None:
    state = Unchanged()
    once, operation = run_once_store(state), Operation("done")
    with pytest.raises(ServiceError, match="RATE_LIMITED"):
        await call_once(once, ADA, "executor.search", {}, operation, REFUSED)
    setup = frame_for(World(), RecordingOutlet())
    setup = replace(setup, provided=replace(setup.provided, once=once, quota=Full()))
    with pytest.raises(ServiceError, match="RATE_LIMITED"):
        await ExecuteLane(setup, LISTING, 500, "c1").run()
    assert (state.asked, operation.runs) == ([], 0)


async def test_what_has_run_is_told_again_over_the_limit_too() -> None:
    once, operation = run_once_store(), Operation("done")
    assert await call_once(once, ADA, "executor.search", {}, operation) == "done"
    assert await call_once(once, ADA, "executor.search", {}, operation, REFUSED) == "done"
    assert operation.runs == 1
