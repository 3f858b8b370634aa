"""What would hang fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support import virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


async def wait_for_nothing() -> None:
    await asyncio.get_running_loop().create_future()


async def look_again_and_again() -> None:
    while True:
        await asyncio.sleep(1)


@pytest.mark.parametrize("endless", [wait_for_nothing, look_again_and_again])
def test_a_test_that_would_hang_fails(endless: Callable[[], Coroutine[None, None, None]]) -> None:
    with pytest.raises(RuntimeError, match="would hang"):
        virtual_time.run(endless())


def test_hours_pass_at_once() -> None:
    async def body() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(body()) == 3600
