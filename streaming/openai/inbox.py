"""Client events in order. A long one is parsed in a thread, another one may ask a service first, and those behind it wait."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING, TypeVar, cast

from streaming.long_text import LongText

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from streaming.openai.room import Holding

T = TypeVar("T")
LONG_CHARS = 128 * 1024  # two seconds of PCM in base64, which takes about a millisecond to parse
LONG_COST = 2  # a long event is there until its sound was taken, and so is the sound


class EventInbox:
    """`read_long` handles long events, `read_now` all others. The task runs in `group`. `holding`: of the room for what waits."""

    def __init__(
        self,
        read_long: Callable[[str | bytes | LongText], Awaitable[None]],
        read_now: Callable[[str | bytes], None],
        group: asyncio.TaskGroup,
        holding: Holding,
    ) -> None:
        self._read_long = read_long
        self._read_now = read_now
        self._group = group
        self._waiting: deque[str | bytes | LongText] = deque()
        self._holding = holding
        self._held: Callable[[], Awaitable[None]] | None = None  # work that later events wait for
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """True while events are read, or wait for what is done before them."""
        return self._task is not None

    def must_take(self, data: str | bytes | LongText) -> bool:
        """True for an event that is long, or has to wait."""
        return self.busy or len(data) > LONG_CHARS

    def takes(self, data: str | bytes | LongText) -> bool:
        """Queue an event that must be queued; False: there is no room for it."""
        cost = cost_of(data)
        if not self._holding.fits(cost):
            return False
        self._holding.grow(cost)
        self._waiting.append(data)
        self._start()
        return True

    def hold(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this before any later event is read. Called while an event is handled."""
        self._held = work
        self._start()

    def _start(self) -> None:
        if self._task is None:
            self._task = self._group.create_task(self._run(), name="read long events")

    async def _run(self) -> None:
        try:
            while self._held is not None or self._waiting:
                if self._held is not None:
                    held, self._held = self._held, None
                    await held()
                    continue
                await self._read(self._waiting.popleft())
        finally:
            self._task = None

    async def _read(self, data: str | bytes | LongText) -> None:
        try:
            if isinstance(data, LongText) or is_long(data):
                await self._read_long(data)
            else:
                self._read_now(data)
                await asyncio.sleep(0)  # thousands may have come meanwhile
        finally:
            self._holding.shrink(cost_of(data))

    def close(self) -> None:
        """Drop queued events."""
        while self._waiting:
            self._holding.shrink(cost_of(self._waiting.popleft()))
        self._held = None
        if self._task is not None:
            self._task.cancel()


def is_long(data: str | bytes | LongText) -> bool:
    """True if it is read in steps, not at once."""
    return len(data) > LONG_CHARS or isinstance(data, LongText)


def cost_of(data: str | bytes | LongText) -> int:
    """The memory that an event takes until it was read, in bytes. With one emoji, a text takes four bytes for each character."""
    return sys.getsizeof(data) * (LONG_COST if is_long(data) else 1)


async def in_steps(steps: Generator[None, None, T], ready: Callable[[], Awaitable[None]] | None = None) -> T:
    """Run them to their end. Others have a turn between two steps; `ready` is waited for."""
    while True:
        try:
            next(steps)
        except StopIteration as over:
            return cast("T", over.value)
        await asyncio.sleep(0)
        if ready is not None:
            await ready()
