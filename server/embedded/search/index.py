"""The full-text index: SQLite FTS5 in one file, filled a few documents at a time while it is already in use."""

from __future__ import annotations

import fcntl
import logging
import re
import sqlite3
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from server.embedded.search.provider import MAX_SNIPPET_CHARS, MAX_TITLE_CHARS, Found, WebResult, one_line
from server.embedded.telling import telling_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from threading import Event

    from server.embedded.search.documents import Document, Page

log = logging.getLogger(__name__)

VERSION = 2  # of schema and passages; an index of another version is rebuilt
PASSAGE_CHARS = 2_000  # of one entry: the context of a snippet
MAX_PASSAGES = 500  # of one document; below 1000, see the query
BATCH = 25  # documents per transaction, by which the searchable part grows
# Between two documents, for the other services in this process, one of which recognises live speech: at least this, and as long as the
# last one took. A long document takes a second, and is read anew as often as somebody marks it as changed.
BREATH_S = 0.002
MAX_MARKED_CHARS = 2 * MAX_TITLE_CHARS  # of a title, before it is one line
SEARCH_S = 3.0  # the longest search, and what it waits for another program's lock
STEPS = 1_000  # of SQLite's program, between two looks at the time: less than a millisecond
MAX_WORDS = 32  # of a query
# Ends between two words: a word that was cut would not be found, and its halves would be shown.
_PASSAGE = re.compile(rf".{{1,{PASSAGE_CHARS}}}(?=\s|\Z)|.{{{PASSAGE_CHARS}}}", re.DOTALL)

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE documents (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL, title TEXT NOT NULL,
    url TEXT NOT NULL);
CREATE VIRTUAL TABLE passages USING fts5 (title, text, tokenize = 'porter unicode61');
PRAGMA user_version = 2;
COMMIT;
"""
# A passage's rowid is its document's id times 1000, plus its number. Words in titles count six times.
_QUERY = """
SELECT documents.title, documents.url, snippet(passages, 1, '', '', '…', 40), bm25(passages, 6.0, 1.0) AS rank
FROM passages JOIN documents ON documents.id = passages.rowid / 1000
WHERE passages MATCH ? ORDER BY rank LIMIT ?
"""


def expressions(query: str) -> list[str]:
    """FTS5 expressions for a query, the strictest first: all words, then any. They are quoted so that nothing is parsed as syntax."""
    telling = [f'"{word}"' for word in telling_words(query)[:MAX_WORDS]]
    return [] if not telling else list(dict.fromkeys((" ".join(telling), " OR ".join(telling))))


class SearchIndex:
    """A connection to the index file; for use by one thread. `anew`: the file could not be read, and there is an empty one instead."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises sqlite3.Error, OSError."""
        self.anew = False
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            try:
                self._db = _open(path)
            except sqlite3.DatabaseError as error:
                if not is_damaged(error):
                    raise
                _delete(path)
                self._db = _open(path)
                self.anew = True

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def search(self, query: str, most: int) -> Found:
        """Best documents first, each once, by its best passage; when its time is over, those that were found so far."""
        until = time.monotonic() + SEARCH_S
        self._db.set_progress_handler(lambda: time.monotonic() > until, STEPS)
        found: dict[str, WebResult] = {}
        try:
            for expression in expressions(query):
                for title, url, snippet, rank in self._db.execute(_QUERY, (expression, most * 8)):
                    found.setdefault(url, WebResult(title, url, one_line(snippet, MAX_SNIPPET_CHARS), _score(rank)))
                if len(found) >= most:
                    break
            whole = True
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
                raise
            whole = False
        finally:
            self._db.set_progress_handler(None, STEPS)
        return Found(sorted(found.values(), key=lambda entry: entry.score, reverse=True)[:most], whole)

    def count(self) -> int:
        """The number of indexed documents."""
        return int(self._db.execute("SELECT count(*) FROM documents").fetchone()[0])

    def check(self) -> None:
        """Look through all of it, beside who searches. Raises sqlite3.Error: also DatabaseError for what no search would stumble over."""
        (told,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
        if told != "ok":
            raise sqlite3.DatabaseError(told)
        self._db.execute("INSERT INTO passages (passages) VALUES ('integrity-check')")
        without = "SELECT id FROM documents EXCEPT SELECT rowid / 1000 FROM passages LIMIT 1"
        if self._db.execute(without).fetchone() is not None:
            raise sqlite3.DatabaseError("it lacks passages of a document")

    def update(self, documents: Iterable[Document], stopping: Event) -> None:
        """Index new and changed documents, and remove deleted ones. `stopping` ends it early and keeps what is done."""
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
        pages, took_s = [], 0.0
        for document in documents:
            if stopping.wait(max(BREATH_S, took_s)):
                return
            began = time.monotonic()
            try:
                pages.append((document, document.read()))
            except (OSError, ValueError):  # deleted or not readable; perhaps another time
                pass
            except Exception:  # strangers' texts: one that cannot be read keeps no other out
                log.exception("a document could not be read for search")
            took_s = time.monotonic() - began
        with self._transaction():
            for document, page in pages:
                self._remove(document.key)
                self._insert(document, page)

    def _insert(self, document: Document, page: Page) -> None:
        title = one_line(_clean(page.title[:MAX_MARKED_CHARS]), MAX_TITLE_CHARS)
        row = self._db.execute(
            "INSERT INTO documents (key, stamp, title, url) VALUES (?, ?, ?, ?)",
            (document.key, document.stamp, title, page.url),
        ).lastrowid
        texts = [found[0] for found in islice(_PASSAGE.finditer(page.text), MAX_PASSAGES)]
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


def is_damaged(error: Exception) -> bool:
    """True if it says something about what is in the file, and not that the file is locked, not readable, or the disk full.

    FTS5 also says so by SQLITE_ERROR, which our own SQL does not get otherwise, and Python, of a text that is no UTF-8, without any code.
    """
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR
    return isinstance(error, sqlite3.DatabaseError)


def delete(path: Path) -> None:
    """Delete a damaged index. Everything in it can be built anew. Raises OSError."""
    with _alone(path):
        _delete(path)


def _delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One opens the file at a time, of all processes: a schema half made looks like another version's, and would be deleted in use."""
    with path.with_name(path.name + "-lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=SEARCH_S)
    try:
        _prepare(db)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    """Prepare the schema. Raises sqlite3.DatabaseError if the file is not ours, or has another version."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")  # data lost in a power cut is rebuilt
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if tables and version != VERSION:
        raise sqlite3.DatabaseError("tables of another version")
    if not tables:
        db.executescript(_SCHEMA)


def _score(rank: float) -> float:
    """A score from 0 to 1. FTS5's bm25 is negative and unbounded, and lower is better."""
    return round(max(0.0, -rank) / (1.0 + max(0.0, -rank)), 3)


def _clean(text: str) -> str:
    """Text without NUL and lone surrogates: SQLite ends texts at the former and refuses the latter."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
