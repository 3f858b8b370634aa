"""A failure caused by one client does not affect others."""

from __future__ import annotations

import asyncio
import inspect
import warnings

from server.sessions.fenced import FencedGroup


async def fail() -> None:
    raise KeyError("of one client")


async def wait() -> str:
    await asyncio.sleep(0.01)
    return "done"


async def test_a_task_that_fails_ends_alone_and_counts_as_cancelled() -> None:
    async with FencedGroup() as group:
        failing, other = group.create_task(fail(), name="failing"), group.create_task(wait(), name="other")
    assert failing.cancelled()
    assert other.result() == "done"


async def test_a_task_that_is_cancelled_before_it_begins_leaves_nothing_behind() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with FencedGroup() as group:
            work = wait()
            task = group.create_task(work)
            task.cancel()
    assert task.cancelled()
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
