"""Says now and then, in silence, that long work is still going on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

FIRST_PROGRESS_S, NEXT_PROGRESS_S = 4.0, 6.0  # of silence while steps run; including the words, never 8 s
LOOK_AGAIN_S = 1.0  # while it must not speak


async def keep_company(
    done: asyncio.Event, may_speak: Callable[[], bool], say: Callable[[], Coroutine[None, None, None]]
) -> None:
    """Call `say` after long silence while `may_speak`, until `done`."""
    wait_s = FIRST_PROGRESS_S
    while True:
        try:
            async with asyncio.timeout(wait_s):
                await done.wait()
        except TimeoutError:
            pass
        if done.is_set():
            return
        wait_s = LOOK_AGAIN_S
        if may_speak():
            await say()
            wait_s = NEXT_PROGRESS_S
