"""The memory's tables. Synchronous; use from one thread at a time."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from heapq import nlargest
from typing import TYPE_CHECKING, Any, TypeVar

from server.embedded.memory.check import flaw_of_pages
from server.embedded.memory.index import WordIndex
from server.embedded.memory.reserve import Reserve
from server.embedded.memory.sqlite_failures import is_full, is_malformed
from server.embedded.memory.words import indexed, key_form, query_words

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    from protos import memory_pb2

T = TypeVar("T")
TABLES = """
CREATE TABLE IF NOT EXISTS items (
  id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, session_id TEXT NOT NULL,
  tags TEXT NOT NULL, metadata TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL, UNIQUE (user_id, key));
CREATE INDEX IF NOT EXISTS items_expire ON items (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS items_newest ON items (user_id, created_at, expires_at);
CREATE TABLE IF NOT EXISTS turns (
  user_id TEXT NOT NULL, session_id TEXT NOT NULL, turn_id TEXT NOT NULL, number INTEGER NOT NULL, role TEXT NOT NULL,
  text TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (user_id, session_id, turn_id));
CREATE INDEX IF NOT EXISTS turns_order ON turns (user_id, session_id, number);
CREATE INDEX IF NOT EXISTS turns_of ON turns (user_id);
"""
# Of the items of one user, and as much again of the conversations: nearly a thousand of the longest. What is indexed takes more of
# the disk than it counts here.
MAX_USER_BYTES = 64_000_000
ROW_BYTES = 512  # that each item or turn counts more than its texts: the row in its table and indexes
# Of what has expired or must make room, beyond which no more is deleted in one go: other calls wait for that. It is more than an item or
# turn can have, so each new one makes at least its own room.
DELETED_AT_ONCE_BYTES = 256 * 1024
INDEXED_AT_ONCE_BYTES = 64 * 1024  # at least one item
# What each user has stored, kept by triggers so that no way of storing or deleting is left out.
STORED = "CREATE TABLE IF NOT EXISTS stored (user_id TEXT PRIMARY KEY, item_bytes INTEGER NOT NULL, turn_bytes INTEGER NOT NULL) WITHOUT ROWID;"
_ITEM_TEXTS = ("key", "value", "session_id", "tags", "metadata")
_TURN_TEXTS = ("session_id", "turn_id", "text")

_LIVE = "items.user_id = ? AND (items.expires_at IS NULL OR items.expires_at > ?)"


def _size(row: str, texts: tuple[str, ...]) -> str:
    """SQL for the bytes of a row: `new`, `old` or a table."""
    return " + ".join([str(ROW_BYTES), *(f"length(CAST({row}.{text} AS BLOB))" for text in texts)])


def _counting(table: str, counter: str, texts: tuple[str, ...]) -> str:
    """SQL for the triggers that count a table's rows in `stored`, and for what it has already."""
    new, old, each = _size("new", texts), _size("old", texts), _size(table, texts)
    known = "INSERT INTO stored VALUES (new.user_id, 0, 0) ON CONFLICT DO NOTHING;"
    added = f"{known} UPDATE stored SET {counter} = {counter} + {new} WHERE user_id = new.user_id;"  # noqa: S608 - constants
    removed = f"UPDATE stored SET {counter} = {counter} - ({old}) WHERE user_id = old.user_id;"  # noqa: S608 - constants
    so_far = f"SELECT sum({each}) FROM {table} WHERE {table}.user_id = stored.user_id"  # noqa: S608 - constants
    return (
        f"CREATE TRIGGER IF NOT EXISTS {table}_added AFTER INSERT ON {table} BEGIN {added} END;"  # noqa: S608 - constants
        f"CREATE TRIGGER IF NOT EXISTS {table}_removed AFTER DELETE ON {table} BEGIN {removed} END;"
        f"CREATE TRIGGER IF NOT EXISTS {table}_changed AFTER UPDATE ON {table} BEGIN {removed} {added} END;"
        f"INSERT INTO stored SELECT DISTINCT user_id, 0, 0 FROM {table} WHERE true ON CONFLICT DO NOTHING;"
        f"UPDATE stored SET {counter} = coalesce(({so_far}), 0);"
    )


_ITEM_SIZES = f"SELECT id, {_size('items', _ITEM_TEXTS)} FROM items"  # noqa: S608 - constants
_TURN_SIZES = f"SELECT rowid, {_size('turns', _TURN_TEXTS)} FROM turns"  # noqa: S608 - constants


class NoRoomError(Exception):
    """The user has stored as much as one may."""


def _first(rows: Iterable[tuple[int, int]], wanted_bytes: int) -> list[int]:
    """The ids of the first rows that have so many bytes together. `rows`: ids and bytes; no more of them are read."""
    ids, so_far = [], 0
    for row_id, size in rows:
        ids.append(row_id)
        so_far += size
        if so_far >= wanted_bytes:
            break
    return ids


def texts_in(value: Any) -> Iterator[str]:
    """All texts, numbers and member names of a JSON value, without recursion, as it may be deep."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, str):
            yield one


def searchable(key: str, value_json: str, tags: list[str]) -> str:
    """The text by which an item is found. Numbers stay as written."""
    value = json.loads(value_json, parse_int=str, parse_float=str)
    return indexed(" ".join([key, *texts_in(value), *tags]))


@dataclass(frozen=True, slots=True)
class FoundItem:
    """A search result. `score`: 0 to 1, the share of the query in the item, with rare words counting more."""

    row: sqlite3.Row
    score: float


class MemoryStore:
    """The database. `clock`: Unix seconds. Raises sqlite3.Error if the file cannot be used; it is left unchanged then."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._reserve = Reserve(path.with_name(path.name + "-reserve"))
        path.touch(mode=0o600)  # private data; SQLite gives its journal files the same mode
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._db.row_factory = sqlite3.Row
            self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + TABLES)
            self._words = WordIndex(self._db)
            if not (self._current() or flaw_of_pages(path, lambda: False)):  # else only what is there is served
                self._make_words()
                self._count_stored()
            # From here on who waits for a lock lets others' calls come between
            self._db.execute("PRAGMA busy_timeout = 0")
        except sqlite3.Error:
            self._db.close()
            raise
        self._reserve.keep()

    def _current(self) -> bool:
        """False for a database of an earlier release, or whose index is not whole. Else nothing is written: another program may have locked it."""
        return not self._words.outdated() and self._counts()

    def _counts(self) -> bool:
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'stored'").fetchone() is not None

    def _make_words(self) -> None:
        """Build the index from the items if it is outdated."""
        if self._words.outdated():
            last: int | None = self.replace_words()
            try:
                while last is not None:
                    last = self.index_some(last)
            except sqlite3.DatabaseError as error:
                if not is_malformed(error):  # else not all items can be read; those that could be are found
                    raise

    def replace_words(self, *, free: bool = True) -> int:
        """Begin the index anew; returns the id behind which items are to be indexed. Until all are, searches find fewer.

        `free`: the old one's pages are used again. If it comes to that at no time, the next start begins again. Two services may do this in one folder.
        """
        self._words.replace(free=free)
        return 0

    def index_some(self, behind: int) -> int | None:
        """Index the next items behind this id; returns the last one's, None once all are indexed."""
        with self._words.transaction():
            ids = _first(self._db.execute(f"{_ITEM_SIZES} WHERE id > ? ORDER BY id", (behind,)), INDEXED_AT_ONCE_BYTES)
            for item_id in ids:
                if not self._words.has(item_id):  # else it was stored meanwhile
                    self._index_anew(item_id)
            if not ids:
                self._words.now_whole()
        return ids[-1] if ids else None

    def _index_anew(self, item_id: int) -> None:
        (row,) = self._read("SELECT * FROM items WHERE id = ?", item_id)
        with suppress(ValueError, TypeError):  # a damaged one is not found, but the others are
            self._db.execute("UPDATE OR IGNORE items SET key = ? WHERE id = ?", (key_form(row["key"]), item_id))
            # the old one if the new one is another item's
            ((key,),) = self._read("SELECT key FROM items WHERE id = ?", item_id)
            tags = json.loads(row["tags"])
            self._words.add(item_id, row["user_id"], tags, searchable(key, row["value"], tags))

    def _read(self, sql: str, *values: float | str) -> list[sqlite3.Row]:
        """Rows. What is no UTF-8, because a disk has changed it, becomes surrogates: nothing that was stored has any."""
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if hasattr(error, "sqlite_errorcode"):  # Python's own error about the text has none
                raise
        self._db.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        try:
            return self._db.execute(sql, values).fetchall()
        finally:
            self._db.text_factory = str

    def _count_stored(self) -> None:
        """Count what users have stored, if a database of an earlier release does not do it yet. Two services may do this at the same time."""
        if not self._counts():
            counting = _counting("items", "item_bytes", _ITEM_TEXTS) + _counting("turns", "turn_bytes", _TURN_TEXTS)
            self._db.executescript(f"BEGIN IMMEDIATE;{STORED}{counting}COMMIT;")

    def stored_bytes(self, user_id: str) -> tuple[int, int]:
        """Of the user's items, including expired ones not yet deleted, and of the turns."""
        row = self._db.execute("SELECT item_bytes, turn_bytes FROM stored WHERE user_id = ?", (user_id,)).fetchone()
        return (0, 0) if row is None else (row["item_bytes"], row["turn_bytes"])

    def _forgetting(self, work: Callable[[], T]) -> T:
        """Delete something. SQLite needs room for that: if there is none, that of the reserve, which is made again of what becomes free."""
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
        self._reserve.give_up()
        try:
            self._shorten_log()
            return work()
        finally:
            self._shorten_log()
            self._reserve.keep()

    def _shorten_log(self) -> None:
        """Write what is in the log into the database, and give its room back."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def reindex(self) -> None:
        """Make the tables' own indexes anew. Raises sqlite3.Error: nothing has changed then."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.execute("REINDEX items")
            self._db.execute("REINDEX turns")
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the database. Everything that was answered is on disk."""
        self._db.close()

    # --- items ---

    def put(self, request: memory_pb2.StoreRequest, key: str) -> float:
        """Store or replace an item; returns when. The item is on disk when this returns. Raises NoRoomError.

        Some of all that has expired is deleted with it. It is invisible anyway.
        """
        now = self._clock()
        tags = list(dict.fromkeys(request.tags))
        row: dict[str, Any] = {
            "user_id": request.user_id,
            "key": key,
            "value": request.value_json,
            "session_id": request.session_id,
            "tags": json.dumps(tags),
            "metadata": request.metadata_json or "{}",
            "created_at": now,
            "expires_at": now + request.ttl_seconds if request.ttl_seconds else None,
        }
        with self._words.transaction():  # first: while the database is locked, nothing is split for each try
            self._delete_some(f"{_ITEM_SIZES} WHERE expires_at <= ? ORDER BY expires_at", now)
            before = self.stored_bytes(row["user_id"])[0]
            self._remove(row["user_id"], row["key"])
            columns = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            cursor = self._db.execute(f"INSERT INTO items ({columns}) VALUES ({values})", row)  # noqa: S608 - names above
            self._words.add(cursor.lastrowid, row["user_id"], tags, searchable(key, row["value"], tags))
            stored = self.stored_bytes(row["user_id"])[0]
            if stored > MAX_USER_BYTES and stored >= before:  # who has more, by an earlier release, may make it less
                raise NoRoomError  # nothing of it is stored
        self._reserve.keep()
        return now

    def purge(self, user_id: str) -> int:
        """Delete some of the user's items that have expired; returns how many, 0 if there are none left."""
        return self._forgetting(lambda: self._purge(user_id))

    def _purge(self, user_id: str) -> int:
        with self._words.transaction():
            expired = f"{_ITEM_SIZES} INDEXED BY items_newest WHERE user_id = ? AND expires_at <= ?"
            return self._delete_some(expired, user_id, self._clock())

    def _delete_some(self, selected: str, *values: float | str) -> int:
        """Delete the first of the items, with their words; returns how many. `selected`: SQL for their ids and bytes."""
        ids = json.dumps(_first(self._db.execute(selected, values), DELETED_AT_ONCE_BYTES))
        self._words.remove(ids)
        return self._db.execute("DELETE FROM items WHERE id IN (SELECT value FROM json_each(?))", (ids,)).rowcount

    def _remove(self, user_id: str, key: str) -> bool:
        row = self._db.execute("SELECT id FROM items WHERE user_id = ? AND key = ?", (user_id, key)).fetchone()
        if row is None:
            return False
        self._words.remove(json.dumps([row["id"]]))
        self._db.execute("DELETE FROM items WHERE id = ?", (row["id"],))
        return True

    def get(self, user_id: str, key: str) -> sqlite3.Row | None:
        """The item, unless it has expired."""
        sql = f"SELECT * FROM items WHERE key = ? AND {_LIVE}"  # noqa: S608 - a constant
        return next(iter(self._read(sql, key, user_id, self._clock())), None)

    def delete(self, user_id: str, key: str) -> bool:
        """Delete an item; False if there was none."""
        return self._forgetting(lambda: self._delete(user_id, key))

    def _delete(self, user_id: str, key: str) -> bool:
        with self._words.transaction():
            was_there = self.get(user_id, key) is not None
            return self._remove(user_id, key) and was_there

    def count(self) -> int:
        """The number of items, including expired ones not yet deleted."""
        return int(self._db.execute("SELECT count(*) FROM items").fetchone()[0])

    # --- search ---

    def search(self, user_id: str, query: str, tags: list[str], limit: int) -> Generator[None, None, list[FoundItem]]:
        """Best matches first; of equal ones, the newest. An empty query finds the newest items with those tags.

        It yields between pieces of work, so that other users' calls can come between: a search among many items takes long. The score is computed from the user's own items only. FTS5's bm25 counts words over all users, which would reveal how often others
        use a word, and has no fixed scale.
        """
        live = self._live(user_id)
        if not query.strip():
            tagged = live.intersection(self._words.having(user_id, tags)) if tags else live
            return [FoundItem(row, 1.0) for row in self._rows(user_id, nlargest(limit, tagged))]
        matches: dict[str, set[int]] = {}
        for word in query_words(query):
            yield
            matches[word] = live.intersection(self._words.having(user_id, tags, word))
        whole = len(live)
        # inverse document frequency, as in BM25 but never negative; a word without any match has the highest weight
        weights = {word: math.log(1 + (whole + 1) / (len(ids) + 0.5)) for word, ids in matches.items()}
        scores: dict[int, float] = {}
        for word, ids in matches.items():
            yield
            for item_id in ids:
                scores[item_id] = scores.get(item_id, 0.0) + weights[word]
        best = nlargest(limit, scores, key=lambda item_id: (round(scores[item_id], 9), item_id))
        total = sum(weights.values())
        return [FoundItem(row, round(scores[row["id"]] / total, 4)) for row in self._rows(user_id, best)]

    def _live(self, user_id: str) -> set[int]:
        """Ids of the user's items, from `items_newest` alone: reading the items would read their values."""
        sql = f"SELECT id FROM items INDEXED BY items_newest WHERE {_LIVE}"  # noqa: S608 - a constant
        return {row["id"] for row in self._db.execute(sql, (user_id, self._clock()))}

    def _rows(self, user_id: str, ids: list[int]) -> list[sqlite3.Row]:
        """Those of the items that are still the user's, in this order. The id of one that is deleted may soon be another's."""
        marks = ", ".join("?" * len(ids))
        sql = f"SELECT * FROM items WHERE {_LIVE} AND id IN ({marks})"  # noqa: S608 - question marks
        rows = {row["id"]: row for row in self._read(sql, user_id, self._clock(), *ids)}
        return [rows[item_id] for item_id in ids if item_id in rows]

    # --- conversations ---

    def put_turn(self, request: memory_pb2.PutTurnRequest) -> float:
        """Append a turn, or replace its text; returns when it was first stored.

        The user's other turns are forgotten when there is no room, the first stored first: nobody can delete them to make some. Who has
        stored much more than that, by an earlier release, comes down to it turn by turn.
        """
        conversation = (request.user_id, request.session_id)
        with self._words.transaction():
            self._db.execute(
                "INSERT INTO turns (user_id, session_id, turn_id, number, role, text, at) VALUES (?, ?, ?,"
                " (SELECT coalesce(max(number), 0) + 1 FROM turns WHERE user_id = ? AND session_id = ?), ?, ?, ?)"
                " ON CONFLICT (user_id, session_id, turn_id) DO UPDATE SET text = excluded.text, role = excluded.role",
                (*conversation, request.turn_id, *conversation, request.role, request.text, self._clock()),
            )
            row = self._db.execute(
                "SELECT rowid, at FROM turns WHERE user_id = ? AND session_id = ? AND turn_id = ?",
                (*conversation, request.turn_id),
            ).fetchone()
            too_many = self.stored_bytes(request.user_id)[1] - MAX_USER_BYTES
            if too_many > 0:
                others = f"{_TURN_SIZES} WHERE user_id = ? AND rowid <> ? ORDER BY rowid"
                rows = self._db.execute(others, (request.user_id, row["rowid"]))
                ids = json.dumps(_first(rows, min(too_many, DELETED_AT_ONCE_BYTES)))
                self._db.execute("DELETE FROM turns WHERE rowid IN (SELECT value FROM json_each(?))", (ids,))
        return float(row["at"])

    def turns(self, user_id: str, session_id: str, limit: int) -> list[sqlite3.Row]:
        """The newest turns, oldest first."""
        sql = "SELECT * FROM turns WHERE user_id = ? AND session_id = ? ORDER BY number DESC LIMIT ?"
        return self._read(sql, user_id, session_id, limit)[::-1]
