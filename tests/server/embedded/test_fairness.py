"""Users' shares of threads: work that waits for the test, in the order in which it is begun."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from server.embedded.callers import bind_caller
from server.embedded.fairness import FairThreads, Shares

if TYPE_CHECKING:
    from collections.abc import Iterator


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
