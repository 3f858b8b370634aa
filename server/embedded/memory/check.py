"""What a disk has damaged in memory's database, found out before anybody meets it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from server.embedded.memory.index import WordIndex
from server.embedded.memory.sqlite_failures import BUSY_S, is_damage, is_malformed

if TYPE_CHECKING:
    from collections.abc import Callable
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
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as db:
        db.set_progress_handler(unwanted, STEPS)
        told = _flaw(db, "1")
        # An index of words that could not be deleted has left pages, which harm nobody. SQLite tells of other damage to pages first.
        if told.endswith("is never used"):
            told = _flaw_of_tables(db)
        if _OF_AN_INDEX.fullmatch(told):
            return Found(Part.INDEXES, told)
        if told and _flaw_of_tables(db):
            return Found(Part.PAGES, told, pages=True)
        of_newer = "FTS5 table" in told  # SQLite 3.44 looks into the index of words, too
        of_words = _flaw_of_words(db) or (told if of_newer else "")
        if of_words:
            return Found(Part.WORDS, of_words, pages=bool(told) and not of_newer)
        return Found(Part.PAGES, told, pages=True) if told else Found()


def _flaw(db: sqlite3.Connection, what: str) -> str:
    """The first that SQLite tells of. `what`: a table, or how much it tells of all."""
    try:
        told = str(db.execute(f"PRAGMA integrity_check({what})").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if not is_malformed(error):
            raise
        return str(error)
    return "" if told == "ok" else " ".join(told.removeprefix("*** in database main ***").split())


def _flaw_of_tables(db: sqlite3.Connection) -> str:
    return next(filter(None, (_flaw(db, table) for table in _TABLES)), "")


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
