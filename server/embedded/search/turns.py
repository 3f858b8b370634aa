"""So many searches at once, and fewer of one user: nobody waits for all that another user has asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from server.embedded.callers import current_user
from server.embedded.fairness import FairTurns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class Turns:
    """Places for searches."""

    def __init__(self, at_once: int, of_one_user: int) -> None:
        self._turns = FairTurns(at_once)
        self._of_one_user = of_one_user
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, search: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Search when it is the turn of the task's user.

        A cancel does not stop what has begun, and its place is free when it has ended: its thread or connection is in use until then.
        """
        own = self._own.setdefault(current_user(), asyncio.Semaphore(self._of_one_user))
        await own.acquire()
        try:
            await self._turns.take(1.0)
        except BaseException:
            own.release()
            raise

        def ended(running: asyncio.Task[T]) -> None:
            self._running.discard(running)
            if not running.cancelled():
                running.exception()  # if nobody waits for it any more, nobody is told, nor the log
            self._turns.give_back()
            own.release()

        running = asyncio.get_running_loop().create_task(search(), name="search")
        self._running.add(running)
        running.add_done_callback(ended)
        return await asyncio.shield(running)

    def close(self) -> None:
        """Cancel what nobody waits for any more."""
        for running in self._running:
            running.cancel()
