"""So many searches at once, and fewer of one user: nobody waits for all that another user has asked for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from server.embedded.callers import current_user
from server.embedded.fairness import FairTurns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Turns:
    """Places for searches."""

    def __init__(self, at_once: int, of_one_user: int) -> None:
        self._turns = FairTurns(at_once)
        self._of_one_user = of_one_user
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn of the task's user, and keep it to the end of the block."""
        own = self._own.setdefault(current_user(), asyncio.Semaphore(self._of_one_user))
        async with own, self._turns.place():
            yield
