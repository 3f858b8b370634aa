"""Turns of crowded connections."""

from __future__ import annotations

import asyncio
import socket
import time
from functools import partial
from typing import TYPE_CHECKING

from server.net.loop_turns import (
    DEAR_S,
    FIRST_MESSAGES,
    LONG_TURN_S,
    MOST_MESSAGES,
    PAUSE,
    SHARE_S,
    SHARE_S_PER_S,
    TURN_S,
    LoopTurns,
    Share,
)

if TYPE_CHECKING:
    import pytest


async def test_one_turn_in_each_iteration_of_the_loop() -> None:
    turns, seen = LoopTurns(), []
    for name in "abc":
        turns.wait(lambda _, name=name: seen.append(name), Share())  # type: ignore[misc]
    between = 0
    while len(seen) < 3:
        before = len(seen)
        await asyncio.sleep(0)
        assert len(seen) <= before + 1
        between += 1
    assert seen == ["a", "b", "c"]
    assert between > 3


async def test_what_arrives_during_a_turn_is_done_before_the_next_one() -> None:
    """Its read and the task that this starts, while the tasks of the turn run too."""
    turns, seen, over = LoopTurns(), list[str](), asyncio.Event()
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()

    def read() -> None:
        ours.recv(1)
        seen.append("read")
        loop.call_soon(seen.append, "done")

    def turn(_most: int) -> None:
        seen.append("turn")
        loop.call_soon(theirs.send, b"x")

    def next_turn(_most: int) -> None:
        seen.append("next turn")
        over.set()

    loop.add_reader(ours, read)
    turns.wait(turn, Share())
    turns.wait(next_turn, Share())
    await over.wait()
    loop.remove_reader(ours)
    ours.close()
    theirs.close()
    assert seen == ["turn", "read", "done", "next turn"]


async def test_who_has_more_to_do_stands_in_line_again() -> None:
    turns, share, seen, done = LoopTurns(), Share(), [], asyncio.Event()

    def long(left: int) -> None:
        seen.append("long")
        if left:
            turns.wait(lambda _: long(left - 1), share)
        else:
            done.set()

    long(2)
    turns.wait(lambda _: seen.append("short"), Share())
    await done.wait()
    assert seen == ["long", "long", "short", "long"]


async def test_time_in_which_the_process_does_not_run_is_not_counted() -> None:
    turns, loop = LoopTurns(), asyncio.get_running_loop()
    had_turn = asyncio.Event()
    cpu = time.thread_time()
    turns.wait(lambda _: had_turn.set(), Share())
    time.sleep(0.2)  # as if it was stopped
    await had_turn.wait()
    before = turns.time()
    assert loop.time() - before >= 0.2 - (time.thread_time() - cpu)


async def test_time_in_which_a_turn_and_its_tasks_do_not_run_is_not_counted() -> None:
    """Thirty questions in one read were a flood to a gateway that other processes kept from the processor."""
    turns, loop, share = LoopTurns(), asyncio.get_running_loop(), Share()
    times, over = list[float](), asyncio.Event()

    def turn(_most: int) -> None:
        times.append(turns.time())
        if len(times) == 3:
            over.set()
            return
        time.sleep(0.2)  # as if it was stopped
        loop.call_soon(time.sleep, 0.2)
        turns.wait(turn, share)

    cpu, began = time.thread_time(), loop.time()
    turns.wait(turn, share)
    await over.wait()
    assert loop.time() - began >= 0.8
    assert times[-1] - times[0] < 0.1 + time.thread_time() - cpu


async def test_time_in_which_the_loop_works_for_others_is_counted() -> None:
    turns = LoopTurns()
    had_turn = asyncio.Event()
    before = turns.time()
    turns.wait(lambda _: had_turn.set(), Share())
    busy(0.1)
    await had_turn.wait()
    assert turns.time() - before > 0.09


def busy(seconds: float) -> None:
    """Hold the loop with work."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_a_turn_is_measured_with_the_tasks_that_it_started() -> None:
    """After a dear turn, the loop belongs to others for three times as long."""
    turns, began, spent_s = LoopTurns(), list[tuple[float, int]](), 4 * LONG_TURN_S
    share, over = Share(), asyncio.Event()
    share.take(2 * SHARE_S)  # with some of it left, it would go ahead

    async def work() -> None:
        busy(spent_s)

    def begin(most: int) -> None:
        began.append((time.monotonic(), most))
        group.create_task(work(), name="work")

    def end(most: int) -> None:
        began.append((time.monotonic(), most))
        over.set()

    async with asyncio.TaskGroup() as group:
        turns.wait(begin, share)
        turns.wait(end, share)
        await over.wait()
    assert began[1][0] - began[0][0] >= 0.95 * (1 + PAUSE) * spent_s
    assert [most for _, most in began] == [FIRST_MESSAGES, 1]


async def test_time_that_others_take_makes_no_turn_dear() -> None:
    """Neither other processes nor other connections, whose data the loop takes in the same iterations."""
    turns, share, over, most_of = LoopTurns(), Share(), asyncio.Event(), []
    ours, theirs = socket.socketpair()

    def others() -> None:
        busy(5 * LONG_TURN_S)

    def begin(most: int) -> None:
        most_of.append(most)
        time.sleep(5 * LONG_TURN_S)  # another process has the processor
        theirs.send(b"x")

    def end(most: int) -> None:
        most_of.append(most)
        over.set()

    asyncio.get_running_loop().add_reader(ours, others)
    asyncio.get_running_loop().call_soon(turns.wait, begin, share)
    asyncio.get_running_loop().call_soon(turns.wait, end, share)
    await over.wait()
    asyncio.get_running_loop().remove_reader(ours)
    ours.close()
    theirs.close()
    assert most_of == [FIRST_MESSAGES, 2 * FIRST_MESSAGES]


async def test_turns_stay_dear_while_single_messages_cost_much() -> None:
    turns, share, over, most_of = LoopTurns(), Share(), asyncio.Event(), []
    costs_s = [2 * LONG_TURN_S, 0.5 * LONG_TURN_S, 0.5 * LONG_TURN_S, 0.0, 0.0, 0.0]

    def go_on(most: int) -> None:
        most_of.append(most)
        busy(costs_s[len(most_of) - 1])
        if len(most_of) == len(costs_s):
            over.set()
        else:
            turns.wait(go_on, share)

    turns.wait(go_on, share)
    await over.wait()
    assert most_of == [FIRST_MESSAGES, 1, 1, 1, 2, 4]


def test_turns_become_as_long_as_they_should_be() -> None:
    """What arrives waits for three of them."""
    share, most, costs_s = Share(), list[int](), 0.02 * TURN_S
    for _ in range(40):
        most.append(share.most)
        assert not share.learn(share.most * costs_s)
    assert max(most) == MOST_MESSAGES
    assert all(each * costs_s < 2 * TURN_S for each in most)
    share.most = MOST_MESSAGES
    assert not share.learn(share.most * 0.05 * TURN_S)  # they cost more now
    assert share.most == 20
    assert share.learn(1.01 * LONG_TURN_S)
    assert share.most == 1


def test_a_few_messages_are_dear_if_each_of_them_is() -> None:
    share = Share()
    assert share.learn(1.01 * DEAR_S * FIRST_MESSAGES)
    assert share.most == 1
    assert not share.learn(0.99 * DEAR_S)
    assert share.most == 2


async def test_dear_messages_of_one_do_not_hold_up_another() -> None:
    """Who has some of its share left goes ahead, without the pause, and takes as many messages as its own costs allow."""
    turns, seen, over = LoopTurns(), list[tuple[str, int]](), asyncio.Event()
    greedy, modest = Share(), Share()
    turns_left = {"greedy": 4, "modest": 4}

    def go_on(name: str, share: Share, cost_s: float, most: int) -> None:
        seen.append((name, most))
        busy(cost_s)
        turns_left[name] -= 1
        if turns_left[name]:
            turns.wait(partial(go_on, name, share, cost_s), share)
        elif name == "greedy":
            over.set()

    greedy.take(2 * SHARE_S)
    assert (greedy.spent, modest.spent) == (True, False)
    turns.wait(partial(go_on, "greedy", greedy, 4 * LONG_TURN_S), greedy)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == [("greedy", FIRST_MESSAGES)]
    turns.wait(partial(go_on, "modest", modest, 0.0), modest)
    await over.wait()
    assert seen[1:5] == [("modest", times * FIRST_MESSAGES) for times in (1, 2, 4, 8)]
    assert seen[5:] == [("greedy", 1)] * 3


def test_a_share_comes_back_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    share = Share()
    share.take(1.5 * SHARE_S)
    assert share.spent
    now += 0.4 * SHARE_S / SHARE_S_PER_S
    share.take(0.0)
    assert share.spent
    now += 0.2 * SHARE_S / SHARE_S_PER_S
    share.take(0.0)
    assert not share.spent


async def test_who_has_been_silent_long_enough_goes_ahead_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time at which they wait, not by that of their last message."""
    turns, seen, over = LoopTurns(), list[str](), asyncio.Event()
    greedy, silent = Share(), Share()
    greedy.take(1.0)
    silent.take(2 * SHARE_S)
    later = time.monotonic() + 2 * SHARE_S / SHARE_S_PER_S
    monkeypatch.setattr(time, "monotonic", lambda: later)
    turns.wait(lambda _: seen.append("greedy"), greedy)
    turns.wait(lambda _: over.set(), greedy)
    turns.wait(lambda _: seen.append("silent"), silent)
    await over.wait()
    assert seen == ["silent", "greedy"]


async def test_a_turn_that_fails_is_not_the_last() -> None:
    turns, over, told = LoopTurns(), asyncio.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))

    def fail(_most: int) -> None:
        raise ValueError

    turns.wait(fail, Share())
    turns.wait(lambda _: over.set(), Share())
    await over.wait()
    assert [type(error) for error in told] == [ValueError]
