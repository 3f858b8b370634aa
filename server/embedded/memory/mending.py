"""What a disk has damaged in memory's database: found out before anybody meets it, and mended as far as it can be read.

A damaged database is not written to any more. What can be read of it is copied into a new one, which takes its place; the damaged one
is kept beside it. Its indexes are made anew of the rows, so damage in them loses nothing.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.embedded.memory.index import WordIndex
from server.embedded.memory.sqlite_failures import BUSY_S, failure, is_damage, is_malformed
from server.embedded.memory.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The check of the words' index locks the database against writing: half a second for so much, and callers wait a second for a lock.
MOST_CHECKED_BYTES = 128 * 1024 * 1024
STEPS = 10_000  # of SQLite's machine, some milliseconds, after which a check sees that nobody wants it any more
COPIED_AT_ONCE = 500  # rows, until one of them cannot be read
# Ids that are tried behind the last readable row if nothing tells how many there are.
TRIED_BEHIND = 100_000
# In the order in which they are asked for the last id, and for the number of rows. Any of them may be damaged.
_SOURCES = {
    "items": ("NOT INDEXED", "INDEXED BY items_newest", "INDEXED BY sqlite_autoindex_items_1"),
    "turns": ("NOT INDEXED", "INDEXED BY turns_order", "INDEXED BY turns_of"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a check has found; empty texts if nothing. `database`: the file is damaged; `words`: only the index of words is, or lacks items."""

    database: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Mended:
    """What has become of a damaged database. `aside`: where it is kept; `copied` and `known`: rows that were read, and that there were, if known."""

    aside: Path
    copied: dict[str, int]
    known: dict[str, int | None]

    def told(self) -> str:
        """In words, for the log."""
        of_each = [f"{number} of {_number(self.known[table])} {table}" for table, number in self.copied.items()]
        return f"{' and '.join(of_each)} could be read, and are kept. The damaged database is {self.aside}"


def _number(known: int | None) -> str:
    return "an unknown number of" if known is None else str(known)


def check(path: Path, unwanted: Callable[[], bool]) -> Found:
    """Read all of the database, beside those who use it. Raises sqlite3.Error if it cannot be done now, or is `unwanted`."""
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as db:
        db.set_progress_handler(unwanted, STEPS)
        try:
            told = [row[0] for row in db.execute("PRAGMA integrity_check(3)")]
        except sqlite3.DatabaseError as error:
            if not is_malformed(error):
                raise
            return Found(database=str(error))
        if all("FTS5 table" in line for line in told):  # SQLite 3.44 and later look into that, too
            return Found(words=told[0])
        if told != ["ok"]:
            return Found(database="; ".join(" ".join(line.split()) for line in told))
        return Found(words=_flaw_of_words(db))


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


def mend(path: Path, aside: Path) -> Mended:
    """Put a new database of what can be read in the place of the damaged one, which is kept as `aside`. Its index of words is empty.

    Raises sqlite3.Error, OSError: everything is as it was then. Nobody may have it open, here or elsewhere.
    """
    new = path.with_name(f"{path.name}-new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(new, timeout=0, isolation_level=None)) as db:
            copied, known = _copy(db, path)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        _keep(path, aside)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return Mended(aside, copied, known)


def _copy(db: sqlite3.Connection, path: Path) -> tuple[dict[str, int], dict[str, int | None]]:
    """Fill a new database."""
    db.executescript("PRAGMA synchronous = OFF;" + TABLES)  # it is written to the disk at the end
    words = WordIndex(db)
    with words.transaction():
        words.empty()
        words.now_whole()
    # Of what is attached, too: another program would go on with the damaged one
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("ATTACH ? AS damaged", (str(path),))
    (busy, *_) = db.execute("PRAGMA damaged.wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise failure("another program uses it", sqlite3.SQLITE_BUSY)
    known = {table: _asked(db, table, "count(*)") for table in _SOURCES}
    copied = {table: _copy_rows(db, table) for table in _SOURCES}
    if not any(copied.values()) and None in known.values():  # an empty one would help nobody
        raise failure("nothing of it can be read", sqlite3.SQLITE_CORRUPT)
    return copied, known


def _asked(db: sqlite3.Connection, table: str, what: str) -> int | None:
    """Ask the table, else its indexes."""
    for source in _SOURCES[table]:
        try:
            found = db.execute(f"SELECT {what} FROM damaged.{table} {source}").fetchone()[0]  # noqa: S608 - constants
        except sqlite3.DatabaseError as error:
            if not is_malformed(error):
                raise
        else:
            return int(found or 0)
    return None


def _copy_rows(db: sqlite3.Connection, table: str) -> int:
    """Copy the rows that can be read, by their ids; returns how many. What cannot be read is stepped over id by id.

    Each piece is a transaction: SQLite commits none in which it met damage.
    """
    of_table = f"FROM damaged.{table} NOT INDEXED WHERE rowid > ?"
    last, copied, behind, at_once = _asked(db, table, "max(rowid)"), 0, 0, COPIED_AT_ONCE
    most = last
    while most is None or behind < most:
        try:
            next_ids = f"SELECT max(rowid) FROM (SELECT rowid {of_table} ORDER BY rowid LIMIT ?)"  # noqa: S608 - constants
            to = db.execute(next_ids, (behind, at_once)).fetchone()[0]
            if to is None:
                break
            copying = f"INSERT OR IGNORE INTO main.{table} SELECT * {of_table} AND rowid <= ?"
            copied += db.execute(copying, (behind, to)).rowcount
            behind, at_once = to, COPIED_AT_ONCE
            most = last
        except sqlite3.DatabaseError as error:
            if not is_malformed(error):
                raise
            if at_once > 1:
                at_once = 1
                continue
            behind += 1
            most = behind + TRIED_BEHIND if most is None else most
    return copied


def _keep(path: Path, aside: Path) -> None:
    try:
        os.link(path, aside)
    except OSError:  # a file system without such links
        shutil.copy2(path, aside)
