"""Search without a network: uses what is indexed so far, while a separate thread extends the index."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

from server.embedded.fairness import FairThreads
from server.embedded.search.documents import LeftOut, folder, machine
from server.embedded.search.index import SearchIndex, delete, is_damaged
from server.embedded.search.provider import LOCAL, Found, ProviderError
from server.embedded.service import MissingPartError

log = logging.getLogger(__name__)

RESCAN_S = 60.0  # delay until a new document in the folder is found
INDEX_FILE = "search.sqlite3"
MADE_ANEW = "the search index is damaged, and is made anew: search again in a moment"


class LocalProvider:
    """SQLite FTS5 over a folder, or over this machine's documentation."""

    name = LOCAL
    at_once, of_one_user = 2, 1

    def __init__(self, directory: Path, documents: str) -> None:
        self._path = directory / INDEX_FILE
        self._documents = Path(documents) if documents else None
        self._asking = FairThreads(self.at_once, "search")
        self._building = threading.Thread(target=self._build, name="search index", daemon=True)
        self._stopping = threading.Event()
        self._checked = False
        self._again = threading.Event()  # the index is to be brought up to date, or nothing any more
        self.left_out = 0

    async def start(self) -> None:
        """Open the index and start building it. Raises MissingPartError."""
        if self._documents is not None and not self._documents.is_dir():
            raise MissingPartError(f"SEARCH_DOCUMENTS_DIR: {self._documents} is not a folder")
        try:
            await self._asking.run(lambda: SearchIndex(self._path).close())
        except (sqlite3.Error, OSError) as error:
            raise MissingPartError(f"the search index {self._path} cannot be opened: {error}") from None
        self._building.start()

    async def search(self, query: str, most: int) -> Found:
        """Full-text search. Raises ProviderError."""
        try:
            return await self._asking.run(partial(self._search, query, most))
        except (sqlite3.Error, OSError) as error:
            if is_damaged(error):
                raise ProviderError(MADE_ANEW) from None
            raise ProviderError(f"the search index cannot be read: {error}") from None

    def _search(self, query: str, most: int) -> Found:
        """Runs in a thread, with a connection of its own: opening one takes little, and it is always one to today's file."""
        index = SearchIndex(self._path)
        try:
            if index.anew:
                self._again.set()
                raise ProviderError(MADE_ANEW)
            return index.search(query, most)
        except sqlite3.Error as error:
            if is_damaged(error):
                delete(self._path)
                self._again.set()
            raise
        finally:
            index.close()

    async def stop(self) -> None:
        """End the threads."""
        self._stopping.set()
        self._again.set()
        if self._building.is_alive():
            await asyncio.to_thread(self._building.join)
        self._asking.close()

    def _build(self) -> None:
        """Runs in a thread with a connection of its own: index now, a damaged index anew, and a folder again and again."""
        while not self._stopping.is_set():
            done = self._updated()
            self._again.wait(None if done and self._documents is None else RESCAN_S)
            self._again.clear()

    def _updated(self) -> bool:
        """True if the index could be brought up to date."""
        try:
            self._update()
        except (sqlite3.Error, OSError) as error:
            log.warning("the search index was not brought up to date: %s", error)
            if is_damaged(error):
                with suppress(OSError):
                    delete(self._path)
                    self._again.set()
            return False
        except Exception:  # the next time may be better, and without this thread there is none
            log.exception("the search index was not brought up to date")
            return False
        return True

    def _update(self) -> None:
        index, left_out = SearchIndex(self._path), LeftOut()
        try:
            if not self._checked:  # once: damage is what an earlier run's disk has done
                index.check()
                self._checked = True
            documents = machine() if self._documents is None else folder(self._documents.resolve(), left_out)
            index.update(documents, self._stopping)
        finally:
            index.close()
        self.left_out = left_out.count
