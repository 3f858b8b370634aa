"""Users' shares of threads: work that waits for the test, in the order in which it is begun."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from protos import executor_pb2, intent_pb2, planner_pb2, safety_pb2
from server.embedded.callers import bind_caller
from server.embedded.fairness import FairThreads, FairTurns, Shares
from server.embedded.intent.service import IntentService
from server.embedded.os.service import AT_ONCE, OsService
from server.embedded.planner.service import PlannerService
from server.embedded.safety.service import SafetyService
from server.embedded.service import EmbeddedConfig, EmbeddedService
from server.upstream.convert import to_struct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Works:
    """Work that lasts until `go` is set, and notes that it began."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun: list[str] = []

    def do(self, name: str) -> str:
        self.begun.append(name)
        assert self.go.wait(5)
        return name


async def ask(threads: FairThreads, works: Works, name: str, *, urgent: bool = False) -> str:
    """For the user who is the first letter of the name."""
    bind_caller("test", [("x-user-id", name[0])])
    return await threads.run(lambda: works.do(name), urgent=urgent)


def names(user: str, count: int) -> Iterator[str]:
    return (f"{user}{number}" for number in range(count))


async def test_one_user_s_queue_is_not_in_the_way_of_another() -> None:
    threads, works = FairThreads(1, "test"), Works()
    async with asyncio.TaskGroup() as group:
        for name in (*names("a", 50), *names("b", 3)):
            group.create_task(ask(threads, works, name), name=name)
        while not works.begun:
            await asyncio.sleep(0)
        works.go.set()
    assert works.begun[:7] == ["a0", "b0", "a1", "b1", "a2", "b2", "a3"]
    assert len(works.begun) == 53
    threads.close()


async def test_a_flood_of_urgent_work_does_not_starve_the_others() -> None:
    threads, works = FairThreads(1, "test", ahead=3), Works()
    async with asyncio.TaskGroup() as group:
        for name in names("a", 50):
            group.create_task(ask(threads, works, name, urgent=True), name=name)
        group.create_task(ask(threads, works, "b0"), name="usual")
        while not works.begun:
            await asyncio.sleep(0)
        works.go.set()
    assert 3 <= works.begun.index("b0") <= 5
    threads.close()


async def test_whoever_goes_leaves_its_place() -> None:
    threads, works = FairThreads(1, "test"), Works()
    async with asyncio.TaskGroup() as group:
        running, *gone = [group.create_task(ask(threads, works, name), name=name) for name in names("a", 4)]
        last = group.create_task(ask(threads, works, "b0"), name="last")
        while not works.begun:
            await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        works.go.set()
        assert await last == "b0"
        assert await running == "a0"
    assert works.begun == ["a0", "b0"]
    threads.close()


def test_whoever_was_away_gathers_no_claims() -> None:
    shares = Shares()
    for _ in range(100):
        shares.begin("busy", 10)
    assert shares.start("new") == 990
    assert shares.start("busy") == 1_000


def test_users_who_owe_nothing_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.embedded.fairness.MANY_USERS", 4)
    shares = Shares()
    for number in range(100):
        shares.begin(f"user {number}", 1)
        shares.begin("nobody", 1)
    assert len(shares._ends) <= 4


async def test_work_that_comes_after_the_end_is_cancelled() -> None:
    """The service has ended, and gRPC has not cancelled this call yet."""
    threads = FairThreads(1, "test")
    threads.close()
    with pytest.raises(asyncio.CancelledError):
        await threads.run(lambda: "too late")


async def test_how_work_fails_that_nobody_waits_for_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    threads, works = FairThreads(1, "test"), Works()

    def fail() -> None:
        works.do("secret")
        raise ValueError("secret")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(threads.run(fail), name="cancelled")
        while not works.begun:
            await asyncio.sleep(0)
        task.cancel()
    works.go.set()
    await threads.run(lambda: None)
    gc.collect()
    assert caplog.messages == []
    threads.close()


async def test_a_turn_that_lasts_gives_its_place_to_others() -> None:
    turns, begun, leave = FairTurns(1), asyncio.Queue[str](), asyncio.Event()

    async def work(name: str, at_most_s: float) -> None:
        async with turns.turn(at_most_s):
            begun.put_nowait(name)
            await leave.wait()

    async with asyncio.timeout(200), asyncio.TaskGroup() as group:
        group.create_task(work("endless", 0.0), name="endless")
        group.create_task(work("next", 60.0), name="next")
        assert [await begun.get(), await begun.get()] == ["endless", "next"]
        third = group.create_task(work("third", 60.0), name="third")
        await asyncio.sleep(0)
        assert begun.empty()
        leave.set()
        await third
    assert turns._free == 1


class NoContext:
    async def write(self, _message: Any) -> None:
        """Nobody reads."""


async def ask_service(service: EmbeddedService, text: str) -> None:
    context: Any = NoContext()
    match service:
        case IntentService():
            await service.Recognize(intent_pb2.RecognizeRequest(text=text), context)
        case PlannerService():
            await service.Plan(planner_pb2.PlanRequest(text=text), context)
        case OsService():
            parameters = to_struct({"args": [text]})
            await service._execute(executor_pb2.ExecuteRequest(action="echo", parameters=parameters), context)
        case SafetyService():
            action = safety_pb2.Action(executor="memory", action="store", parameters=to_struct({"value": text}))
            await service.Check(safety_pb2.CheckRequest(actions=[action, action]), context)


@pytest.mark.parametrize("kind", [IntentService, PlannerService, OsService, SafetyService])
async def test_one_user_s_flood_is_not_in_the_way_of_another(kind: type[EmbeddedService], tmp_path: Path) -> None:
    done: list[str] = []
    service = kind(EmbeddedConfig(tmp_path))
    await service.start()

    async def asking(user: str, text: str) -> None:
        bind_caller("test", [("x-user-id", user)])
        await ask_service(service, text)
        done.append(user)

    async with asyncio.TaskGroup() as group:
        for number in range(20 * AT_ONCE):
            group.create_task(asking("many", f"what is {number} plus {number}"), name=f"many {number}")
        group.create_task(asking("one", "what time is it"), name="one")
    await service.stop()
    assert done.index("one") <= 3 * AT_ONCE
