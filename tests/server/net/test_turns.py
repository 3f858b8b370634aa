"""Turns of crowded connections."""

from __future__ import annotations

import asyncio
import time

from server.net.turns import LONG_TURN_S, PAUSE, Turns


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


def busy(seconds: float) -> None:
    """Hold the loop with work."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_a_turn_is_measured_with_the_tasks_that_it_started() -> None:
    """After a dear turn, the loop belongs to others for three times as long."""
    turns, began, spent_s = Turns(), [], 4 * LONG_TURN_S
    over = asyncio.Event()

    async def work() -> None:
        busy(spent_s)

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
    assert began[1][0] - began[0][0] >= 0.95 * (1 + PAUSE) * spent_s
    assert [dear for _, dear in began] == [False, True]


async def test_time_that_others_take_makes_no_turn_dear() -> None:
    turns, over, dears = Turns(), asyncio.Event(), []

    def begin(dear: bool) -> None:
        dears.append(dear)
        time.sleep(5 * LONG_TURN_S)  # another process has the processor

    def end(dear: bool) -> None:
        dears.append(dear)
        over.set()

    turns.wait(begin)
    turns.wait(end)
    await over.wait()
    assert dears == [False, False]


async def test_turns_stay_dear_while_single_messages_cost_much() -> None:
    turns, over, dears = Turns(), asyncio.Event(), []
    costs_s = [2 * LONG_TURN_S, 0.5 * LONG_TURN_S, 0.5 * LONG_TURN_S, 0.0, 0.0]

    def go_on(dear: bool) -> None:
        dears.append(dear)
        busy(costs_s[len(dears) - 1])
        if len(dears) == len(costs_s):
            over.set()
        else:
            turns.wait(go_on)

    turns.wait(go_on)
    await over.wait()
    assert dears == [False, True, True, True, False]


async def test_a_turn_that_fails_is_not_the_last() -> None:
    turns, over, told = Turns(), asyncio.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))

    def fail(_dear: bool) -> None:
        raise ValueError

    turns.wait(fail)
    turns.wait(lambda _: over.set())
    await over.wait()
    assert [type(error) for error in told] == [ValueError]
