"""Client events in order. A long one is parsed in a thread, another one may ask a service first, and those behind it wait."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING, TypeVar, cast

from streaming.long_text import LongText
from streaming.openai.mistakes import MistakeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

T = TypeVar("T")
LONG_CHARS = 128 * 1024  # two seconds of PCM in base64, which takes about a millisecond to parse
# Of memory, for events behind a long one: with one emoji, a text takes four bytes for each character.
MAX_WAITING_BYTES = 64 * 1024 * 1024


class EventInbox:
    """`read_long` handles long events, `read_now` all others. The task runs in `group`."""

    def __init__(
        self,
        read_long: Callable[[str | bytes | LongText], Awaitable[None]],
        read_now: Callable[[str | bytes], None],
        group: asyncio.TaskGroup,
    ) -> None:
        self._read_long = read_long
        self._read_now = read_now
        self._group = group
        self._waiting: deque[str | bytes | LongText] = deque()
        self._waiting_bytes = 0
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
        """Queue an event that must be queued; False for any other. Raises MistakeError if too much is queued."""
        if not self.must_take(data):
            return False
        if self._waiting_bytes + sys.getsizeof(data) > MAX_WAITING_BYTES:
            raise MistakeError(
                "input_audio_buffer_full", "events come faster than they are read", kind="rate_limit_error"
            )
        self._waiting.append(data)
        self._waiting_bytes += sys.getsizeof(data)
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
                data = self._waiting.popleft()
                self._waiting_bytes -= sys.getsizeof(data)
                if len(data) > LONG_CHARS or isinstance(data, LongText):
                    await self._read_long(data)
                else:
                    self._read_now(data)
                    await asyncio.sleep(0)  # thousands may have come meanwhile
        finally:
            self._task = None

    def close(self) -> None:
        """Drop queued events."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._held = None
        if self._task is not None:
            self._task.cancel()


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
