"""Says now and then, in silence, that long work is still going on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

FIRST_PROGRESS_S, NEXT_PROGRESS_S = 4.0, 6.0  # of silence during work; including the words, never 8 s
LOOK_AGAIN_S = 0.5  # for the end of the silence


class Company:
    """Keeps count of a turn's silence, through all stretches of its work: calls of a language model, and steps.

    `clock` has the seconds of a listening client, and `played_since` tells whether it has played our speech since that time.
    `say` is called after long silence while `may_speak`.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        played_since: Callable[[float], bool],
        may_speak: Callable[[], bool],
        say: Callable[[], Coroutine[None, None, object]],
    ) -> None:
        self._clock = clock
        self._played_since = played_since
        self._may_speak = may_speak
        self._say = say
        self._quiet_since = clock()
        self._bearable_s = FIRST_PROGRESS_S

    async def keep(self, done: asyncio.Event) -> None:
        """Speak now and then until `done`."""
        while not await self._is_done(done):
            if not self._may_speak() or self._played_since(self._clock()):
                self._quiet_since = self._clock()  # what is said meanwhile is no silence
            elif self._is_long():
                await self._say()
                self._quiet_since = self._clock()  # if it could not be said, it is not tried again at once
                self._bearable_s = NEXT_PROGRESS_S

    def _is_long(self) -> bool:
        from_s = self._clock() - self._bearable_s
        return self._quiet_since <= from_s and not self._played_since(from_s)

    async def _is_done(self, done: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await done.wait()
        except TimeoutError:
            pass
        return done.is_set()
