"""The memory's tables. Synchronous; one thread at a time."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from protos import memory_pb2

SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
  id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, session_id TEXT NOT NULL,
  tags TEXT NOT NULL, metadata TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL, UNIQUE (user_id, key));
CREATE INDEX IF NOT EXISTS items_expire ON items (expires_at) WHERE expires_at IS NOT NULL;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, tokenize = 'porter unicode61');
CREATE TABLE IF NOT EXISTS turns (
  user_id TEXT NOT NULL, session_id TEXT NOT NULL, turn_id TEXT NOT NULL, number INTEGER NOT NULL, role TEXT NOT NULL,
  text TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (user_id, session_id, turn_id));
CREATE INDEX IF NOT EXISTS turns_order ON turns (user_id, session_id, number);
"""
PURGE_S = 60.0  # expired items are invisible at once, and swept out so often

# British to American, so that what was said one way is found the other way
_SPELLINGS = (
    (re.compile(r"\b(col|fav|hon|hum|lab|neighb|flav|harb|rum|behavi)our"), r"\1or"),
    (re.compile(r"\b(cent|theat|met|lit|fib)re\b"), r"\1er"),
    (re.compile(r"\b(\w{3,})is(e|ed|es|ing|ation)\b"), r"\1iz\2"),
    (re.compile(r"\bgrey\b"), "gray"),
    (re.compile(r"\bprogramme\b"), "program"),
    (re.compile(r"\b(trave|cance|labe|mode)ll(ed|ing|er)\b"), r"\1l\2"),
)
_WORD = re.compile(r"\w+")


def folded(text: str) -> str:
    """Lower case, American spelling."""
    text = text.lower()
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    return text


def fts_query(text: str) -> str:
    """Any of the words, each quoted: raw text would be read as FTS5's query language."""
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(_WORD.findall(folded(text))))


class MemoryStore:
    """`clock` gives unix seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + SCHEMA)
        self._purged_at = 0.0

    def close(self) -> None:
        """Everything answered is on disk already."""
        self._db.close()

    def put(self, request: memory_pb2.StoreRequest, key: str) -> float:
        """Remember; returns when."""
        now = self._clock()
        expires_at = now + request.ttl_seconds if request.ttl_seconds else None
        tags = json.dumps(list(request.tags))
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._purge(now)
            self._remove(request.user_id, key)
            cursor = self._db.execute(
                "INSERT INTO items (user_id, key, value, session_id, tags, metadata, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    request.user_id,
                    key,
                    request.value_json,
                    request.session_id,
                    tags,
                    request.metadata_json or "{}",
                    now,
                    expires_at,
                ),
            )
            text = folded(" ".join([key, request.value_json, *request.tags, request.metadata_json]))
            self._db.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (cursor.lastrowid, text))
        return now

    def _purge(self, now: float) -> None:
        if now - self._purged_at >= PURGE_S:
            self._purged_at = now
            self._db.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM items WHERE expires_at <= ?)", (now,))
            self._db.execute("DELETE FROM items WHERE expires_at <= ?", (now,))

    def _remove(self, user_id: str, key: str) -> bool:
        row = self._db.execute("SELECT id FROM items WHERE user_id = ? AND key = ?", (user_id, key)).fetchone()
        if row is None:
            return False
        self._db.execute("DELETE FROM words WHERE rowid = ?", (row["id"],))
        self._db.execute("DELETE FROM items WHERE id = ?", (row["id"],))
        return True

    def get(self, user_id: str, key: str) -> sqlite3.Row | None:
        """One item, unless it has expired."""
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM items WHERE user_id = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)",
            (user_id, key, self._clock()),
        ).fetchone()
        return row

    def delete(self, user_id: str, key: str) -> bool:
        """Forget; False when there was nothing."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            was_there = self.get(user_id, key) is not None
            return self._remove(user_id, key) and was_there

    def count(self) -> int:
        """Items kept, expired ones too until they are swept out."""
        return int(self._db.execute("SELECT count(*) FROM items").fetchone()[0])

    def search(self, user_id: str, query: str, tags: list[str], limit: int) -> list[tuple[sqlite3.Row, float]]:
        """(item, score), best first; an empty query finds the newest with those tags.

        bm25 has no scale of its own: a score is relative to the best match, which has 1.
        """
        wanted = fts_query(query)
        live = "items.user_id = ? AND (items.expires_at IS NULL OR items.expires_at > ?)"
        having = "".join(" AND EXISTS (SELECT 1 FROM json_each(items.tags) WHERE value = ?)" for _ in tags)
        if wanted:
            sql = (
                "SELECT items.*, bm25(words) AS rank FROM words JOIN items ON items.id = words.rowid"  # noqa: S608 - no input
                f" WHERE words MATCH ? AND {live}{having} ORDER BY rank LIMIT ?"
            )
            rows = self._db.execute(sql, (wanted, user_id, self._clock(), *tags, limit)).fetchall()
        else:
            sql = f"SELECT items.*, -1.0 AS rank FROM items WHERE {live}{having} ORDER BY created_at DESC LIMIT ?"  # noqa: S608
            rows = self._db.execute(sql, (user_id, self._clock(), *tags, limit)).fetchall()
        best = rows[0]["rank"] if rows else -1.0
        return [(row, round(row["rank"] / best, 4)) for row in rows]

    def put_turn(self, request: memory_pb2.PutTurnRequest) -> float:
        """Add a turn, or replace its words in place; returns when it was said."""
        now = self._clock()
        conversation = (request.user_id, request.session_id)
        with self._db:
            self._db.execute(
                "INSERT INTO turns (user_id, session_id, turn_id, number, role, text, at) VALUES (?, ?, ?,"
                " (SELECT coalesce(max(number), 0) + 1 FROM turns WHERE user_id = ? AND session_id = ?), ?, ?, ?)"
                " ON CONFLICT (user_id, session_id, turn_id) DO UPDATE SET text = excluded.text, role = excluded.role",
                (*conversation, request.turn_id, *conversation, request.role, request.text, now),
            )
        return now

    def turns(self, user_id: str, session_id: str, limit: int) -> list[sqlite3.Row]:
        """The newest, oldest first."""
        rows = self._db.execute(
            "SELECT * FROM turns WHERE user_id = ? AND session_id = ? ORDER BY number DESC LIMIT ?",
            (user_id, session_id, limit),
        ).fetchall()
        return rows[::-1]
