"""Search without a network: SQLite FTS5 over a folder of documents, or over the documentation that is on the machine anyway.

That is what Python itself and the installed packages bring: module documentation, and each package's summary and readme
with its home page. Enough for "python tutorials" to find something true on a laptop in a train.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import pydoc_data.topics
import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from server.embedded.search_result import Found, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PYTHON_DOCS = "https://docs.python.org/3/"
PROJECT_PAGE = "https://pypi.org/project/"
SUFFIXES = frozenset({".md", ".txt", ".rst", ".html", ".htm"})
MAX_DOCUMENT_BYTES = 1024 * 1024
CHUNK_CHARS = 2_000  # of one entry: a snippet's neighbourhood
MAX_CHUNKS = 5  # of one document: its beginning says what it is about
SNIPPET_WORDS = 24
FRESH_S = 86_400.0  # the machine's own documentation is read again once a day

_WORD = re.compile(r"\w+")
_SCHEMA = """
CREATE VIRTUAL TABLE IF NOT EXISTS pages USING fts5 (title, text, url UNINDEXED, tokenize = 'porter unicode61');
CREATE TABLE IF NOT EXISTS sources (name TEXT PRIMARY KEY, stamp REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One document."""

    title: str
    url: str
    text: str


def python_topics() -> Iterator[Page]:
    """The language reference that `help()` shows."""
    for name, text in pydoc_data.topics.topics.items():
        yield Page(
            f"Python: {name}", f"{PYTHON_DOCS}reference/", f"Python language reference, tutorial on {name}. {text}"
        )


def installed_packages() -> Iterator[Page]:
    """Summary and readme of every package here."""
    for package in importlib.metadata.distributions():
        about = package.metadata
        name, summary = about["Name"], about["Summary"] or ""
        if name:
            home = about["Home-page"] or f"{PROJECT_PAGE}{name}/"
            yield Page(f"{name}: {summary}"[:200], home, f"{summary} {about.json.get('description', '')}")


def folder(root: Path) -> Iterator[Page]:
    """Text and HTML files below a folder."""
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.stat().st_size <= MAX_DOCUMENT_BYTES:
            text = path.read_text(encoding="utf-8", errors="replace")
            yield Page(path.stem.replace("-", " ").replace("_", " "), path.resolve().as_uri(), plain(text))


class Index:
    """The tables; one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript(f"PRAGMA journal_mode = WAL; {_SCHEMA}")

    def build(self, documents: Path | None) -> None:
        """Read what is not in it yet, or has changed since."""
        source = str(documents.resolve()) if documents else "machine"
        stamp = self._stamp(documents)
        row = self._db.execute("SELECT stamp FROM sources WHERE name = ?", (source,)).fetchone()
        if row is not None and row[0] >= stamp:
            return
        pages = folder(documents) if documents else self._machine()
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM pages")
        self._db.execute("DELETE FROM sources")
        self._db.executemany("INSERT INTO pages (title, text, url) VALUES (?, ?, ?)", _rows(pages))
        self._db.execute("INSERT INTO sources VALUES (?, ?)", (source, max(stamp, time.time())))
        self._db.execute("COMMIT")

    @staticmethod
    def _machine() -> Iterator[Page]:
        yield from python_topics()
        yield from installed_packages()

    @staticmethod
    def _stamp(documents: Path | None) -> float:
        if documents is None:
            return time.time() - FRESH_S
        return max((path.stat().st_mtime for path in documents.rglob("*")), default=0.0)

    def search(self, query: str, most: int) -> list[Found]:
        """Best pages first, each once."""
        words = " OR ".join(f'"{word}"' for word in dict.fromkeys(_WORD.findall(query.lower())))
        if not words:
            return []
        rows = self._db.execute(
            "SELECT title, url, snippet(pages, 1, '', '', '…', ?), bm25(pages, 5.0, 1.0) AS rank FROM pages"
            " WHERE pages MATCH ? ORDER BY rank LIMIT ?",
            (SNIPPET_WORDS, words, most * MAX_CHUNKS),
        )
        found: dict[str, Found] = {}
        for title, url, snippet, rank in rows:
            found.setdefault(title, Found(title, url, plain(snippet), round(-rank / (1 - rank), 3)))
        return list(found.values())[:most]

    def close(self) -> None:
        """Done."""
        self._db.close()


def _rows(pages: Iterator[Page]) -> Iterator[tuple[str, str, str]]:
    for page in pages:
        for start in range(0, min(len(page.text), CHUNK_CHARS * MAX_CHUNKS), CHUNK_CHARS):
            yield page.title, page.text[start : start + CHUNK_CHARS], page.url


class LocalProvider:
    """Answers with what is indexed so far; the index is built in the background."""

    name = "local"

    def __init__(self, directory: Path, documents: str) -> None:
        self._path = directory / "search.sqlite3"
        self._documents = Path(documents) if documents else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="search index")
        self._index: Index | None = None

    async def start(self) -> None:
        """Open the index, begin to build it."""
        loop = asyncio.get_running_loop()
        self._index = await loop.run_in_executor(self._thread, Index, self._path)
        self._builder.submit(_build, self._path, self._documents)

    async def search(self, query: str, most: int) -> Sequence[Found]:
        """By full text."""
        assert self._index is not None
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._index.search, query, most)

    async def stop(self) -> None:
        """Close the index."""
        self._builder.shutdown(wait=True, cancel_futures=True)
        if self._index is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._index.close)
        self._thread.shutdown()


def _build(path: Path, documents: Path | None) -> None:
    """In its own thread, over its own connection."""
    index = Index(path)
    try:
        index.build(documents)
    finally:
        index.close()
