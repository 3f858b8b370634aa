"""The full-text index: SQLite FTS5 in one file, filled a few documents at a time while it is asked."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from server.embedded.search.provider import MAX_SNIPPET_CHARS, MAX_TITLE_CHARS, Found, one_line
from server.embedded.telling import telling_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from threading import Event

    from server.embedded.search.documents import Document, Page

VERSION = 1  # of the schema: an index of another one is built anew
PASSAGE_CHARS = 2_000  # of one entry: a snippet's neighbourhood
MAX_PASSAGES = 500  # of one document; below 1000, see the schema
BATCH = 25  # documents of one transaction: what is found grows by so many
BREATH_S = 0.002  # between two documents: other services run in this process, and one of them listens to somebody
BUSY_S = 5.0
MAX_WORDS = 32  # of a query

_SCHEMA = """
CREATE TABLE documents (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL, title TEXT NOT NULL,
    url TEXT NOT NULL);
CREATE VIRTUAL TABLE passages USING fts5 (title, text, tokenize = 'porter unicode61');
PRAGMA user_version = 1;
"""
# A passage's rowid is its document's id times 1000, and its number. Words in a title count six times.
_QUERY = """
SELECT documents.title, documents.url, snippet(passages, 1, '', '', '…', 40), bm25(passages, 6.0, 1.0) AS rank
FROM passages JOIN documents ON documents.id = passages.rowid / 1000
WHERE passages MATCH ? ORDER BY rank LIMIT ?
"""


def expressions(query: str) -> list[str]:
    """FTS5 expressions for people's words, the strictest first: all of them, then any. Quoted, they are words and no syntax."""
    telling = [f'"{word}"' for word in telling_words(query)[:MAX_WORDS]]
    return [] if not telling else list(dict.fromkeys((" ".join(telling), " OR ".join(telling))))


class SearchIndex:
    """A connection to the file; one thread's."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.Error, OSError."""
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError:  # it holds nothing that can't be made again
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._db = _open(path)

    def close(self) -> None:
        """Done."""
        self._db.close()

    def search(self, query: str, most: int) -> list[Found]:
        """Best documents first, each once, by its best passage."""
        found: dict[str, Found] = {}
        for expression in expressions(query):
            for title, url, snippet, rank in self._db.execute(_QUERY, (expression, most * 8)):
                found.setdefault(url, Found(title, url, one_line(snippet, MAX_SNIPPET_CHARS), _score(rank)))
            if len(found) >= most:
                break
        return sorted(found.values(), key=lambda entry: entry.score, reverse=True)[:most]

    def count(self) -> int:
        """Documents in it."""
        return int(self._db.execute("SELECT count(*) FROM documents").fetchone()[0])

    def update(self, documents: Iterable[Document], stopping: Event) -> None:
        """Read what is new or has changed, forget what is gone. `stopping` ends it early, and keeps what is there."""
        known = dict(self._db.execute("SELECT key, stamp FROM documents"))
        seen: set[str] = set()
        changed: list[Document] = []
        for document in documents:
            seen.add(document.key)
            if known.get(document.key) != document.stamp:
                changed.append(document)
            if len(changed) == BATCH:
                self._put(changed, stopping)
                changed = []
            if stopping.is_set():
                return
        self._put(changed, stopping)
        if not stopping.is_set():
            self._forget(known.keys() - seen)

    def _put(self, documents: list[Document], stopping: Event) -> None:
        pages = []
        for document in documents:
            if stopping.wait(BREATH_S):
                return
            try:
                pages.append((document, document.read()))
            except OSError:  # gone, or not ours to read: another time perhaps
                continue
        with self._transaction():
            for document, page in pages:
                self._remove(document.key)
                self._insert(document, page)

    def _insert(self, document: Document, page: Page) -> None:
        title = one_line(_clean(page.title), MAX_TITLE_CHARS)
        row = self._db.execute(
            "INSERT INTO documents (key, stamp, title, url) VALUES (?, ?, ?, ?)",
            (document.key, document.stamp, title, page.url),
        ).lastrowid
        texts = [page.text[at : at + PASSAGE_CHARS] for at in range(0, len(page.text), PASSAGE_CHARS)][:MAX_PASSAGES]
        assert row is not None, "an insert gives a row"
        self._db.executemany(
            "INSERT INTO passages (rowid, title, text) VALUES (?, ?, ?)",
            [(row * 1000 + number, title, _clean(text)) for number, text in enumerate(texts or [""])],
        )

    def _forget(self, keys: Iterable[str]) -> None:
        with self._transaction():
            for key in keys:
                self._remove(key)

    def _remove(self, key: str) -> None:
        row = self._db.execute("SELECT id FROM documents WHERE key = ?", (key,)).fetchone()
        if row is not None:
            first = row[0] * 1000
            self._db.execute("DELETE FROM passages WHERE rowid BETWEEN ? AND ?", (first, first + 999))
            self._db.execute("DELETE FROM documents WHERE id = ?", row)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    try:
        _prepare(db)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError for what is not our file, or of another version."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")  # what a power cut destroys is made again
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if tables and version != VERSION:
        raise sqlite3.DatabaseError("tables of another version")
    if not tables:
        db.executescript(_SCHEMA)


def _score(rank: float) -> float:
    """bm25 of FTS5 is below zero, the lower the better, without a bound."""
    return round(max(0.0, -rank) / (1.0 + max(0.0, -rank)), 3)


def _clean(text: str) -> str:
    """No zero bytes nor lone surrogates: SQLite ends a text at the one and refuses the other."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
