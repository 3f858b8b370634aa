"""What a disk has damaged in memory's database, found out before anybody meets it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from server.embedded.memory.index import WordIndex
from server.embedded.memory.sqlite_failures import BUSY_S, is_damage, is_malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The check of the words' index locks the database against writing: half a second for so much, and callers wait a second for a lock.
MOST_CHECKED_BYTES = 128 * 1024 * 1024
STEPS = 10_000  # of SQLite's machine, some milliseconds, after which a check sees that nobody wants it any more
_TABLES = ("items", "turns", "stored")
# Rows and an index do not agree, but all pages can be read: SQLite tells of others first.
_OF_AN_INDEX = re.compile(r"(row|rowid|wrong|non-unique) .* index \w+")


class Part(StrEnum):
    """What is damaged. WORDS: only the index of words, which may also lack items. INDEXES: tables' own ones do not agree with them."""

    NOTHING = "nothing"
    WORDS = "words"
    INDEXES = "indexes"
    PAGES = "pages"


@dataclass(frozen=True, slots=True)
class Found:
    """What a check has found, in SQLite's words. `pages`: pages are damaged, so that two tables may have the same one: nothing is to be freed."""

    part: Part = Part.NOTHING
    words: str = ""
    pages: bool = False


def check(path: Path, unwanted: Callable[[], bool]) -> Found:
    """Read all of the database, beside those who use it. Raises sqlite3.Error if it cannot be done now, or is `unwanted`."""
    with _looking(path, unwanted) as db:
        told = _flaw(db, "integrity_check")
        of_newer = "FTS5 table" in told  # SQLite 3.44 looks into the index of words, too
        if told and not of_newer and not _OF_AN_INDEX.fullmatch(told):
            beside = _flaw_beside_words(db)
            if not beside:
                return Found(Part.WORDS, told, pages=True)
            told = beside
        if _OF_AN_INDEX.fullmatch(told):
            return Found(Part.INDEXES, told)
        if told and not of_newer:
            return Found(Part.PAGES, told, pages=True)
        of_words = _flaw_of_words(db) or told
        return Found(Part.WORDS, of_words) if of_words else Found()


def flaw_of_pages(path: Path, unwanted: Callable[[], bool]) -> str:
    """What is wrong with the pages, in SQLite's words: a page may be free and in use. This takes a fifth of the time of the whole check."""
    with _looking(path, unwanted) as db:
        return _flaw(db, "quick_check")


@contextmanager
def _looking(path: Path, unwanted: Callable[[], bool]) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as db:
        db.set_progress_handler(unwanted, STEPS)
        yield db


def _flaw(db: sqlite3.Connection, how: str) -> str:
    """The first that SQLite tells of: damaged pages before rows and indexes that do not agree.

    An index of words that could not be deleted has left pages that are never used, which harm nobody. SQLite tells of them behind all other
    pages, so that only the tables' rows are left to look at then.
    """
    told = _told(db, how, "1")
    if not told.endswith("never used"):
        return told
    return next(filter(None, (_told(db, how, table) for table in _TABLES)), "")


def _told(db: sqlite3.Connection, how: str, what: str) -> str:
    """`what`: a table, or how much it tells of all."""
    try:
        told = str(db.execute(f"PRAGMA {how}({what})").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if not is_malformed(error):
            raise
        return str(error)
    return "" if told == "ok" else " ".join(told.removeprefix("*** in database main ***").split())


def _flaw_beside_words(db: sqlite3.Connection) -> str:
    """What is wrong with all but the index of words: it is forgotten for that, in a transaction that is taken back."""
    db.execute("BEGIN IMMEDIATE")
    try:
        WordIndex(db).forget()
        return _flaw(db, "integrity_check")
    except sqlite3.DatabaseError as error:
        if not is_malformed(error):
            raise
        return str(error)
    finally:
        db.execute("ROLLBACK")


def _flaw_of_words(db: sqlite3.Connection) -> str:
    """What is wrong with the index of words, which the other check sees as data like any other."""
    if WordIndex(db).outdated():  # it is being made
        return ""
    try:
        sql = "SELECT id FROM items WHERE json_valid(value) AND json_valid(tags) EXCEPT SELECT id FROM words_content LIMIT 1"
        if db.execute(sql).fetchone() is not None:
            return "it lacks items"
        pages, size = db.execute("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size").fetchone()
        if pages * size <= MOST_CHECKED_BYTES:
            db.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    return ""
