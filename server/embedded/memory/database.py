"""Memory's database in a thread of its own: opened, looked through for damage, and mended while the service runs."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from contextlib import suppress
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from server.embedded.callers import own_context
from server.embedded.fairness import FairThreads
from server.embedded.memory.index import WordsDamagedError
from server.embedded.memory.mending import check, mend
from server.embedded.memory.sqlite_failures import is_locked, is_malformed
from server.embedded.memory.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

T = TypeVar("T")
LOCKED_AGAIN_S = 0.05  # between two tries of what another program's lock holds up
AGAIN_S = 30.0  # until an index or a database that could not be mended is tried again
MENDED_S = 1.0  # what a call waits for a new index or database; then it works with what is there
log = logging.getLogger(__name__)


class Database:
    """The store, used from a single thread. `clock`: Unix seconds."""

    def __init__(self, path: Path, clock: Callable[[], float], service: str) -> None:
        self._path = path
        self._clock = clock
        self._service = service  # as which it logs
        self._thread = FairThreads(1, "memory")
        self._checks = FairThreads(1, "memory check")
        self._store: MemoryStore | None = None
        self._checking: asyncio.Task[None] | None = None
        self._indexing: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._again_s = 0.0  # when it may be mended again
        self._closing = Event()

    async def open(self) -> None:
        """Open it, and begin to look through it. Raises sqlite3.Error, OSError."""
        try:
            self._store = await self._thread.run(self._opened)
        except sqlite3.DatabaseError as error:
            if not is_malformed(error):
                raise
            await self._mend(str(error))
            if self._store is None:
                raise
        self._checking = self._task(self._check(), "memory's check")

    def _opened(self) -> MemoryStore:
        return MemoryStore(self._path, self._clock)

    async def close(self) -> None:
        """Close it."""
        self._closing.set()
        for task in (self._checking, self._indexing, self._mending):
            if task is not None:
                task.cancel()
        if self._store is not None:
            await self._thread.run(self._close)
        self._thread.close()
        self._checks.close()

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()

    async def run(self, work: Callable[[MemoryStore], T]) -> T:
        """Run it in the thread."""
        return await self._thread.run(lambda: work(self._current()))

    def _current(self) -> MemoryStore:
        store = self._store
        assert store is not None, "calls are refused until it is open"
        return store

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, name=name, context=own_context(self._service))

    async def _check(self) -> None:
        """Look through all of it once, and mend what is damaged."""
        try:
            found = await self._checks.run(lambda: check(self._path, self._closing.is_set))
        except sqlite3.Error as error:
            log.warning("memory's database could not be looked through for damage: %s", error)
            return
        if found.database:
            await self.mend_anew(found.database)
        elif found.words:
            await self.index_anew(found.words)

    # --- the database ---

    async def mend_anew(self, why: str) -> None:
        """Begin to mend it, if that is not done already or has just failed, and wait a while for it."""
        now = time.monotonic()
        if self._mending is None or (self._mending.done() and now > self._again_s):
            self._again_s = now + AGAIN_S
            self._mending = self._task(self._mend(why), "memory's mending")
        await asyncio.wait({self._mending}, timeout=MENDED_S)

    async def _mend(self, why: str) -> None:
        try:
            told = await self._thread.run(self._mend_now)
        except (sqlite3.Error, OSError) as error:
            log.error("memory's database is damaged (%s), and could not be mended: %s", why, error)  # noqa: TRY400 - no traceback helps
            return
        log.error("memory's database was damaged (%s): %s", why, told)
        await self.index_anew("it is to be filled")

    def _mend_now(self) -> str:
        """In the thread, so that nobody uses it meanwhile."""
        self._close()
        aside = self._path.with_name(f"{self._path.name}-damaged-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}")
        try:
            return mend(self._path, aside).told()
        finally:
            with suppress(sqlite3.Error):  # as damaged as before: whoever asks is told
                self._store = self._opened()

    # --- the index of words ---

    async def index_anew(self, why: str) -> None:
        """Begin a new index of words, if none is being made, and wait a while for it."""
        if self._indexing is None or self._indexing.done():
            log.warning("the index of words is made anew: %s", why)
            self._indexing = self._task(self._make_index(), "memory's index")
        await self.indexed()

    async def indexed(self) -> None:
        """Wait a while for an index that is being made."""
        if self._indexing is not None:
            await asyncio.wait({self._indexing}, timeout=MENDED_S)

    async def _make_index(self) -> None:
        """In steps, so that nobody waits for all of it."""
        begin: Callable[[MemoryStore], int | None] = MemoryStore.replace_words
        step = begin
        while True:
            try:
                last = await self.run(step)
            except (sqlite3.Error, WordsDamagedError) as error:
                locked = isinstance(error, sqlite3.Error) and is_locked(error)
                if not locked:
                    log.warning("the index of words could not be made anew: %s", error)
                if isinstance(error, WordsDamagedError):
                    step = begin
                await asyncio.sleep(LOCKED_AGAIN_S if locked else AGAIN_S)
                continue
            if last is None:
                return
            step = partial(MemoryStore.index_some, behind=last)
