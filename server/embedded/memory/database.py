"""Memory's database in a thread of its own: opened, looked through for damage, its indexes made anew while the service runs.

Rows that the disk has damaged are never touched: to recover them is work for SQLite's own tools, and for whoever has the backups. Nor is
anything written once damage to pages is known: SQLite may take a page in use for a free one, and write over what can still be read.
"""

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
from server.embedded.memory.check import Found, Part, check, flaw_of_pages
from server.embedded.memory.index import WordsDamagedError
from server.embedded.memory.sqlite_failures import is_locked, is_malformed, recovering
from server.embedded.memory.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

T = TypeVar("T")
LOCKED_AGAIN_S = 0.05  # between two tries of what another program's lock holds up
AGAIN_S = 30.0  # until an index that could not be made is tried again, or a call's damage is looked for again
MENDED_S = 1.0  # what a call waits for a new index; then it works with what is there
# What is to be stored or deleted waits so long for the look at the pages, from its beginning on. It takes 3 ms for a megabyte: a database of
# more than some 400 MB is written to before it is known to be sound.
HELD_S = 1.0
log = logging.getLogger(__name__)


class PagesDamagedError(Exception):
    """Nothing can be written: the disk has damaged pages."""


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
        self._again_s = 0.0  # when a call's damage is looked for again
        self._looked = asyncio.Event()  # it is known whether the pages are damaged
        self._held_until_s = 0.0  # by when that should be known
        self.damaged = False  # pages, so that nothing is written
        self._closing = Event()

    async def open(self) -> None:
        """Open it, and begin to look through it. Raises sqlite3.Error, OSError."""
        self._store = await self._thread.run(lambda: MemoryStore(self._path, self._clock))
        self._look_through()

    async def close(self) -> None:
        """Close it."""
        self._closing.set()
        for task in (self._checking, self._indexing):
            if task is not None:
                task.cancel()
        if self._store is not None:
            await self._thread.run(self._store.close)
        self._thread.close()
        self._checks.close()

    async def change(self, work: Callable[[MemoryStore], T]) -> T:
        """Run what writes, once the pages have been looked at. Raises PagesDamagedError."""
        if not self._looked.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._held_until_s - time.monotonic()):
                    await self._looked.wait()
        if self.damaged:
            raise PagesDamagedError
        return await self.run(work)

    async def run(self, work: Callable[[MemoryStore], T]) -> T:
        """Run what reads in the thread."""
        store = self._store
        assert store is not None, "calls are refused until it is open"
        return await self._thread.run(partial(work, store))

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, name=name, context=own_context(self._service))

    # --- damage ---

    async def look_again(self) -> None:
        """A call has met damage: begin to look for it, unless that has just been done, and wait a while for what can be mended."""
        if self._checking is None or (self._checking.done() and time.monotonic() > self._again_s):
            self._look_through()
        assert self._checking is not None
        await asyncio.wait({self._checking}, timeout=MENDED_S)

    def _look_through(self) -> None:
        self._looked.clear()
        self._held_until_s = time.monotonic() + HELD_S
        self._checking = self._task(self._check(), "memory's check")

    async def _check(self) -> None:
        """Look through all of it once. What is made of the tables is made anew of them; other damage is told."""
        while True:
            flaw = ""
            try:
                flaw = await self._checks.run(lambda: flaw_of_pages(self._path, self._closing.is_set))
                self.damaged = bool(flaw)  # unless only the index of words is
                if not flaw:
                    self._looked.set()
                found = await self._found()
                if found.part is Part.INDEXES:
                    await self._reindex(found.words)
                    found = await self._found()
                break
            except sqlite3.Error as error:
                if not is_locked(error):
                    log.warning("memory's database could not be looked through for damage: %s", error)
                    self._learn(Found(Part.PAGES if flaw else Part.NOTHING, flaw))
                    return
            finally:
                self._again_s = time.monotonic() + AGAIN_S
            await asyncio.sleep(AGAIN_S)
        self._learn(found)
        if found.part is Part.WORDS:
            await self.index_anew(found.words)

    def _learn(self, found: Found) -> None:
        """It has been looked through."""
        self.damaged = found.part is Part.PAGES
        self._looked.set()
        if self.damaged:
            self._again_s = float("inf")  # told once, and not to be mended here
            log.error("memory's database %s is damaged (%s). %s", self._path, found.words, recovering(self._path))

    async def _found(self) -> Found:
        return await self._checks.run(lambda: check(self._path, self._closing.is_set))

    async def _reindex(self, why: str) -> None:
        log.warning("the indexes of memory's tables are made anew: %s", why)
        while True:
            try:
                return await self.run(MemoryStore.reindex)
            except sqlite3.Error as error:
                if not is_locked(error):
                    log.warning("the indexes of memory's tables could not be made anew: %s", error)
                    return None
            await asyncio.sleep(LOCKED_AGAIN_S)

    # --- the index of words ---

    async def index_anew(self, why: str) -> None:
        """Begin a new index of words, if none is being made, and wait a while for it."""
        if not self.damaged and (self._indexing is None or self._indexing.done()):
            log.warning("the index of words is made anew: %s", why)
            self._indexing = self._task(self._make_index(), "memory's index")
        await self.indexed()

    async def indexed(self) -> None:
        """Wait a while for an index that is being made."""
        if self._indexing is not None:
            await asyncio.wait({self._indexing}, timeout=MENDED_S)

    async def _make_index(self) -> None:
        """In steps, so that nobody waits for all of it."""
        try:
            found = await self._found()
        except sqlite3.Error:  # it is not known what harm freeing pages may do
            found = Found(pages=True)
        if found.part is Part.PAGES:
            self._learn(found)
            return
        begin: Callable[[MemoryStore], int | None] = partial(MemoryStore.replace_words, free=not found.pages)
        step = begin
        while not self.damaged:
            try:
                last = await self.run(step)
            except (sqlite3.Error, WordsDamagedError) as error:
                locked = isinstance(error, sqlite3.Error) and is_locked(error)
                if not locked:
                    log.warning("the index of words could not be made anew: %s", error)
                if isinstance(error, WordsDamagedError):
                    step = begin
                elif is_malformed(error) and step is not begin:
                    return  # not all items can be read; those that could be are found
                await asyncio.sleep(LOCKED_AGAIN_S if locked else AGAIN_S)
                continue
            if last is None:
                return
            step = partial(MemoryStore.index_some, behind=last)
