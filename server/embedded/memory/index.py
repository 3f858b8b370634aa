"""The full-text index of the items' words, which is made of them and can be made anew at any time."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from server.embedded.memory.sqlite_failures import is_damage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA_VERSION = 4  # of this table, which is made anew if older; since version 3, keys are NFC
_WORDS = (  # marks are parts of words: in Hindi and Thai, vowels are marks
    "CREATE VIRTUAL TABLE words USING fts5 "
    """(owner, tags, text, tokenize = "porter unicode61 remove_diacritics 2 categories 'L* N* M* Co'")"""
)
MOST_MATCHES = 10_000  # of one word that are compared, the newest: a user may have any number of items


class WordsDamagedError(Exception):
    """The index cannot be used: the disk has changed it."""


def _token(name: str) -> str:
    """Of a user or a tag, one word for the index, so that a search only reads what one user has with these tags."""
    return "t" + hashlib.sha256(name.encode()).hexdigest()[:24]


class WordIndex:
    """The index in this database. Its methods, if they say nothing else, belong into a transaction, and raise WordsDamagedError."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One that may change the index, at its end at the latest. Raises sqlite3.Error, WordsDamagedError."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            yield
            self._on_words("COMMIT")

    def outdated(self) -> bool:
        """True if it was made by an earlier release, or is not whole."""
        return bool(self._db.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION)

    def empty(self) -> None:
        """Make it without any words."""
        self._on_words("DROP TABLE IF EXISTS words")
        self._db.execute(_WORDS)
        self._db.execute("PRAGMA user_version = 0")

    def now_whole(self) -> None:
        """All items are in it."""
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def replace(self, *, free: bool) -> None:
        """Make it without any words, however damaged it is; with a transaction of its own. Raises sqlite3.Error.

        What cannot even be dropped, or is not to be freed, is forgotten: its pages stay in the file, and are never used again.
        """
        try:
            if free:
                with self.transaction():
                    self.empty()
                return
        except WordsDamagedError:
            pass
        with self.transaction():
            self.forget()
            self.empty()

    def forget(self) -> None:
        """Delete it, and none of its pages."""
        try:
            self._db.execute("PRAGMA writable_schema = ON")
            self._db.execute("DELETE FROM sqlite_master WHERE name = 'words' OR tbl_name GLOB 'words_*'")
            self._db.execute("PRAGMA writable_schema = RESET")
        finally:
            self._db.execute("PRAGMA writable_schema = OFF")

    def add(self, item_id: int | None, user_id: str, tags: Sequence[str], text: str) -> None:
        """Add an item's words."""
        row = (item_id, _token(user_id), " ".join(map(_token, tags)), text)
        self._on_words("INSERT INTO words (rowid, owner, tags, text) VALUES (?, ?, ?, ?)", *row)

    def remove(self, ids: str) -> None:
        """Remove items' words. `ids`: JSON."""
        self._on_words("DELETE FROM words WHERE rowid IN (SELECT value FROM json_each(?))", ids)

    def has(self, item_id: int) -> bool:
        """True if the item's words are in it."""
        return bool(self._on_words("SELECT rowid FROM words WHERE rowid = ?", item_id))

    def having(self, user_id: str, tags: Sequence[str], word: str = "") -> list[int]:
        """Ids of the user's newest items with all the tags, and the word. It is quoted, because FTS5 would parse raw text as its query language.

        Needs no transaction. Each condition is one term of the index, so this reads no more of it than the user has items: a beginning of
        terms would be looked for among all users' terms. The index is asked alone: joined with the items, SQLite asked it once for each
        item of the user, 11 s for 3,000 and 32 words.
        """
        wanted = [f"owner : {_token(user_id)}", *(f"tags : {_token(tag)}" for tag in tags)]
        if word:
            wanted.append(f'text : "{word}"')
        sql = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?"
        return [row[0] for row in self._on_words(sql, " AND ".join(wanted), MOST_MATCHES)]

    def _on_words(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise WordsDamagedError(str(error)) from error
            raise
