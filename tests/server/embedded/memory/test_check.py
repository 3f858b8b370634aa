"""Damage is found before anybody meets it. Indexes are made anew; damaged tables are told, and nothing is taken from them."""

from __future__ import annotations

import sqlite3
import time
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from protos import memory_pb2 as pb
from server.embedded.memory.check import Found, check
from server.embedded.memory.database import Database
from server.embedded.memory.service import MemoryService
from server.embedded.memory.store import MemoryStore
from server.embedded.service import EmbeddedConfig
from tests.server.embedded.memory.remembering import item, searched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NUMBER = 120
PAGE_BYTES = 4_096
ALL = [f"k{number}" for number in range(NUMBER)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database whose tables and indexes have some pages each."""
    file = tmp_path / "memory.sqlite3"
    with closing(MemoryStore(file)) as store:
        store._db.execute("PRAGMA synchronous = OFF")
        for key in ALL:
            store.put(item(f'"blue {"x" * 200}"', user_id="u" * 100, session_id="s" * 100, ttl_seconds=9_999), key)
            turn = pb.PutTurnRequest(user_id="u" * 100, session_id="s" * 100, turn_id=key, role="user", text="y" * 200)
            store.put_turn(turn)
    return file


def destroy(path: Path, name: str) -> None:
    """A sector of the disk with the beginning of a page of the table or index: the first below its root, if it has several."""
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE_BYTES)
        page = file.read(PAGE_BYTES)
        if page[0] in (2, 5):  # it has others below it
            cell = int.from_bytes(page[12:14])
            root = int.from_bytes(page[cell : cell + 4])
        file.seek((root - 1) * PAGE_BYTES)
        file.write(bytes(512))


@asynccontextmanager
async def looked_through(path: Path) -> AsyncIterator[Database]:
    database = Database(path, time.time, "memory")
    await database.open()
    try:
        assert database._checking is not None
        await database._checking
        if database._indexing is not None:
            await database._indexing
        yield database
    finally:
        await database.close()


def change_entry(path: Path, index: str) -> None:
    """The disk has changed a bit in an entry of the index, which can be read as before."""
    entry = b"A\xda" if index == "items_expire" else b"uuuu"  # a time, or a part of the user's id
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE_BYTES)
        place = (root - 1) * PAGE_BYTES + file.read(PAGE_BYTES).rindex(entry)
        file.seek(place)
        file.write(bytes([entry[0] ^ 1]))


def retrieved(store: MemoryStore) -> list[str]:
    return [key for key in ALL if store.get("u" * 100, key) is not None]


def found(store: MemoryStore) -> list[str]:
    return sorted((hit.row["key"] for hit in searched(store, "u" * 100, "blue", [], NUMBER)), key=ALL.index)


def turns(store: MemoryStore) -> list[str]:
    return [row["turn_id"] for row in store.turns("u" * 100, "s" * 100, NUMBER)]


def readable(path: Path) -> dict[tuple[str, int], Any]:
    """The rows that can be read one by one."""
    rows = {}
    with closing(sqlite3.connect(path)) as db:
        for table in ("items", "turns"):
            for row_id in range(1, NUMBER + 10):
                with suppress(sqlite3.DatabaseError):
                    sql = f"SELECT * FROM {table} NOT INDEXED WHERE rowid = ?"
                    rows[table, row_id] = db.execute(sql, (row_id,)).fetchone()
    return rows


async def test_a_healthy_database_stays_as_it_is(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with looked_through(path) as database:
        assert database._indexing is None
    assert not caplog.records


@pytest.mark.parametrize("index", ["items_newest", "items_expire", "sqlite_autoindex_items_1", "turns_order"])
async def test_an_index_that_does_not_agree_with_its_table_is_made_anew(
    path: Path, index: str, caplog: pytest.LogCaptureFixture
) -> None:
    change_entry(path, index)
    rows = readable(path)
    async with looked_through(path) as database:
        for read in (retrieved, found, turns):
            assert await database.run(read) == ALL
    assert f"index {index}" in caplog.text
    assert check(path, lambda: False) == Found()
    assert readable(path) == rows


async def test_damage_that_a_call_meets_first_is_mended_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.embedded.memory.database.MENDED_S", 60)
    monkeypatch.setattr("server.embedded.memory.database.AGAIN_S", 0)
    service = MemoryService(EmbeddedConfig(path.parent))
    await service.start()
    assert service._database._checking is not None
    await service._database._checking
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        index = db.execute("SELECT * FROM sqlite_master WHERE name = 'items_expire'").fetchone()
        db.execute("DELETE FROM sqlite_master WHERE name = 'items_expire'")
    with closing(sqlite3.connect(path)) as db, db:  # as if the index had not been written
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE items SET expires_at = expires_at + 1 WHERE key = 'k1'")
        db.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", index)
    assert await service._change(cast("Any", None), lambda store: store.delete("u" * 100, "k1"), "")
    await service.stop()
    assert check(path, lambda: False) == Found()


async def test_a_database_that_is_locked_is_looked_through_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_entry(path, "turns_of")
    monkeypatch.setattr("server.embedded.memory.database.AGAIN_S", 0)
    locked = sqlite3.OperationalError("database is locked")
    locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
    failures = [locked, locked]

    def checked(file: Path, unwanted: Callable[[], bool]) -> Found:
        if failures:
            raise failures.pop()
        return check(file, unwanted)

    monkeypatch.setattr("server.embedded.memory.database.check", checked)
    async with looked_through(path):
        assert check(path, lambda: False) == Found()


@pytest.mark.parametrize("part", ["items", "turns", "stored", "turns_of", "sqlite_autoindex_items_1"])
async def test_damaged_pages_are_told_and_what_can_be_read_stays(
    path: Path, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    destroy(path, part)
    rows, before = readable(path), path.read_bytes()
    for _ in range(2):
        caplog.clear()
        async with looked_through(path) as database:
            await database.look_again()
            with suppress(sqlite3.DatabaseError):
                await database.run(lambda store: store.get("u" * 100, ALL[-1]))
        (told,) = caplog.records
        assert told.getMessage().startswith(f"memory's database {path} is damaged (")
        assert told.getMessage().endswith(f"sqlite3 {path} .recover | sqlite3 {path}.recovered")
    assert path.read_bytes() == before
    assert readable(path) == rows


async def test_an_index_of_words_that_cannot_be_read_is_made_anew(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next start says nothing of the old one's pages, which are lost."""
    destroy(path, "words_data")
    for _ in range(2):
        caplog.clear()
        async with looked_through(path) as database:
            assert await database.run(found) == ALL
    assert not caplog.records


async def test_a_new_index_of_words_frees_no_page_that_others_have_too(path: Path) -> None:
    """A page of the old one was written over with a page of the items, so both have what hangs on it."""
    big = item(f'"blue {"x" * 9_000}"', user_id="u" * 100)
    with closing(MemoryStore(path)) as store:
        for number in range(9):
            store.put(big, f"big{number}")
    pages = path.read_bytes()
    each = [pages[at : at + PAGE_BYTES] for at in range(0, len(pages), PAGE_BYTES)]
    with closing(sqlite3.connect(path)) as db:
        (of_words,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'words_content'").fetchone()
        (of_items,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'items'").fetchone()
    last = [int.from_bytes(each[root - 1][8:12]) for root in (of_words, of_items)]  # the pages with the last rows
    each[last[0] - 1] = each[last[1] - 1]
    path.write_bytes(b"".join(each))
    rows = readable(path)
    async with looked_through(path) as database:
        assert database._indexing is not None
        for number in range(9):
            await database.run(partial(MemoryStore.put, request=big, key=f"n{number}"))
    assert {key: row for key, row in readable(path).items() if key in rows} == rows


async def test_an_index_of_words_stays_if_the_items_cannot_all_be_read(path: Path) -> None:
    """It could not be made of them, and has what it has."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM words_content WHERE id < 9")
    destroy(path, "items")
    async with looked_through(path) as database:
        assert database._indexing is None


async def test_a_start_that_cannot_index_all_items_serves_those_that_it_can_read(path: Path) -> None:
    destroy(path, "items")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version = 0")
    async with looked_through(path) as database:
        assert await database.run(turns) == ALL
        assert await database.run(lambda store: store.get("u" * 100, ALL[-1])) is not None


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM words WHERE rowid < 9",
        "DELETE FROM words_content WHERE id < 9",
        "UPDATE words_content SET c2 = 'red' WHERE id < 9",
        "UPDATE words_data SET block = x'00' WHERE id = 10",
        "DELETE FROM words_data WHERE id > 10",
    ],
)
async def test_an_index_out_of_step_with_its_table_is_made_anew(path: Path, damage: str) -> None:
    """Nobody has to search or store anything for that."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(damage)
    async with looked_through(path) as database:
        assert database._indexing is not None
        assert await database.run(found) == ALL


async def test_a_database_of_which_nothing_can_be_read_is_replaced_by_none(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(bytes(PAGE_BYTES - 100))
    before = path.read_bytes()
    database = Database(path, time.time, "memory")
    with pytest.raises(sqlite3.DatabaseError):
        await database.open()
    await database.close()
    assert path.read_bytes() == before
