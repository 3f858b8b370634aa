from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.upstream.background import Background

if TYPE_CHECKING:
    import pytest


async def test_tasks_are_named_held_and_let_go() -> None:
    background = Background()
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    task = background.spawn(work(), "a piece of work")
    assert (task.get_name(), len(background)) == ("a piece of work", 1)
    await task
    await asyncio.sleep(0)
    assert len(background) == 0


async def test_one_that_fails_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()

    async def fail() -> None:
        raise RuntimeError("broken")

    failing = background.spawn(fail(), "the failing one")
    other = background.spawn(asyncio.sleep(60), "the other")
    await asyncio.wait([failing])
    await asyncio.sleep(0)
    assert "the failing one" in caplog.text
    assert not other.done()
    await background.close()
    assert other.cancelled()
    assert len(background) == 0


async def test_closing_waits_for_the_cleaning_up() -> None:
    background = Background()
    cleaned = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            cleaned.set()

    background.spawn(work(), "w")
    await asyncio.sleep(0)
    await background.close()
    assert cleaned.is_set()
