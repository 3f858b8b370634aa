"""Search without a network: uses what is indexed so far, while a separate thread extends the index."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from server.embedded.fairness import FairThreads
from server.embedded.search.documents import LeftOut, folder, machine
from server.embedded.search.index import SearchIndex
from server.embedded.search.provider import LOCAL, ProviderError
from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.embedded.search.provider import WebResult

log = logging.getLogger(__name__)

RESCAN_S = 60.0  # delay until a new document in the folder is found
INDEX_FILE = "search.sqlite3"


class LocalProvider:
    """SQLite FTS5 over a folder, or over this machine's documentation."""

    name = LOCAL

    def __init__(self, directory: Path, documents: str) -> None:
        self._path = directory / INDEX_FILE
        self._documents = Path(documents) if documents else None
        self._asking = FairThreads(1, "search")
        self._building = threading.Thread(target=self._build, name="search index", daemon=True)
        self._stopping = threading.Event()
        self._index: SearchIndex | None = None
        self.left_out = 0

    async def start(self) -> None:
        """Open the index and start building it. Raises MissingPartError."""
        if self._documents is not None and not self._documents.is_dir():
            raise MissingPartError(f"SEARCH_DOCUMENTS_DIR: {self._documents} is not a folder")
        try:
            self._index = await self._asking.run(lambda: SearchIndex(self._path))
        except (sqlite3.Error, OSError) as error:
            raise MissingPartError(f"the search index {self._path} cannot be opened: {error}") from None
        self._building.start()

    async def search(self, query: str, most: int) -> Sequence[WebResult]:
        """Full-text search. Raises ProviderError."""
        assert self._index is not None
        try:
            return await self._asking.run(partial(self._index.search, query, most))
        except sqlite3.Error as error:
            raise ProviderError(f"the search index cannot be read: {error}") from None

    async def stop(self) -> None:
        """End the threads and close the index."""
        self._stopping.set()
        if self._building.is_alive():
            await asyncio.to_thread(self._building.join)
        if self._index is not None:
            await self._asking.run(self._index.close)
        self._asking.close()

    def _build(self) -> None:
        """Runs in a thread with a connection of its own: index now, and a folder again and again."""
        while not self._stopping.is_set():
            try:
                self._update()
            except (sqlite3.Error, OSError) as error:
                log.warning("the search index was not brought up to date: %s", error)
            except Exception:  # the next time may be better, and without this thread there is none
                log.exception("the search index was not brought up to date")
            if self._documents is None:
                return
            self._stopping.wait(RESCAN_S)

    def _update(self) -> None:
        index, left_out = SearchIndex(self._path), LeftOut()
        try:
            documents = machine() if self._documents is None else folder(self._documents.resolve(), left_out)
            index.update(documents, self._stopping)
        finally:
            index.close()
        self.left_out = left_out.count
