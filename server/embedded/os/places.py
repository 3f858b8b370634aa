"""Places for commands that run: a user has a few of them, and nobody waits for one as long as commands of others like to run."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from server.embedded.callers import current_user
from server.embedded.executor import DEFAULT_TIMEOUT_MS, FullError
from server.embedded.fairness import FairTurns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# A command that has asked for more time than usual has only the usual one, if somebody waits for a place who has none.
KEPT_S = DEFAULT_TIMEOUT_MS / 1000


@dataclass(eq=False, slots=True)
class _Held:
    """A place that is taken. `limit`: by which its command is ended."""

    user: str
    since_s: float
    limit: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))


class Places:
    """So many places, and so many of them for one user."""

    def __init__(self, at_once: int, of_one_user: int) -> None:
        self._turns = FairTurns(at_once)
        self._of_one_user = of_one_user
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._waiting: Counter[str] = Counter()
        self._held: list[_Held] = []  # the oldest first

    @asynccontextmanager
    async def place(self, name: str) -> AsyncIterator[None]:
        """Wait for a place, and keep it to the end of the command. Raises FullError if it is ended for somebody who waits."""
        user = current_user()
        async with self._own.setdefault(user, asyncio.Semaphore(self._of_one_user)):
            await self._taken(user)
            held = _Held(user, asyncio.get_running_loop().time())
            try:
                async with held.limit:
                    self._held.append(held)
                    self._settle()
                    yield
            except TimeoutError:
                if not held.limit.expired():
                    raise
                raise FullError(f"{name} was ended after {KEPT_S:g} s, because others wait for its place") from None
            finally:
                self._held.remove(held)
                self._turns.give_back()
                self._settle()

    async def _taken(self, user: str) -> None:
        self._waiting[user] += 1
        self._settle()
        try:
            await self._turns.take(1.0)
        finally:
            self._waiting[user] -= 1
            self._waiting += Counter()  # forgets who waits for nothing
            self._settle()

    def _settle(self) -> None:
        """Give the oldest commands an end, one for each user who waits and has no place; the others may go on."""
        having = {held.user for held in self._held}
        wanted = sum(user not in having for user in self._waiting)
        wanted -= sum(held.limit.expired() for held in self._held)
        for number, held in enumerate(held for held in self._held if not held.limit.expired()):
            held.limit.reschedule(held.since_s + KEPT_S if number < wanted else None)
