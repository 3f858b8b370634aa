"""Turns of crowded connections."""

from __future__ import annotations

import asyncio
import time

from server.net.turns import LONG_TURN_S, Turns


async def test_one_turn_in_each_iteration_of_the_loop() -> None:
    turns, seen = Turns(), []
    for name in "abc":
        turns.wait(lambda _, name=name: seen.append(name))  # type: ignore[misc]
    between = 0
    while len(seen) < 3:
        before = len(seen)
        await asyncio.sleep(0)
        assert len(seen) <= before + 1
        between += 1
    assert seen == ["a", "b", "c"]
    assert between > 3


async def test_who_has_more_to_do_stands_in_line_again() -> None:
    turns, seen, done = Turns(), [], asyncio.Event()

    def long(left: int) -> None:
        seen.append("long")
        if left:
            turns.wait(lambda _: long(left - 1))
        else:
            done.set()

    long(2)
    turns.wait(lambda _: seen.append("short"))
    await done.wait()
    assert seen == ["long", "long", "short", "long"]


async def test_a_turn_is_measured_with_the_tasks_that_it_started() -> None:
    """After a long turn, the loop belongs to others for as long."""
    turns, began, spent_s = Turns(), [], 10 * LONG_TURN_S
    over = asyncio.Event()

    async def work() -> None:
        time.sleep(spent_s)  # work that holds the loop

    def begin(dear: bool) -> None:
        began.append((time.monotonic(), dear))
        group.create_task(work(), name="work")

    def end(dear: bool) -> None:
        began.append((time.monotonic(), dear))
        over.set()

    async with asyncio.TaskGroup() as group:
        turns.wait(begin)
        turns.wait(end)
        await over.wait()
    assert began[1][0] - began[0][0] >= 1.9 * spent_s
    assert [dear for _, dear in began] == [False, True]


async def test_a_turn_that_fails_is_not_the_last() -> None:
    turns, over, told = Turns(), asyncio.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))

    def fail(_dear: bool) -> None:
        raise ValueError

    turns.wait(fail)
    turns.wait(lambda _: over.set())
    await over.wait()
    assert [type(error) for error in told] == [ValueError]
