"""Damage is found before anybody meets it. What can be read is kept, and it is told what cannot be."""

from __future__ import annotations

import sqlite3
import time
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest

from protos import memory_pb2 as pb
from server.embedded.memory.database import Database
from server.embedded.memory.mending import Found
from server.embedded.memory.store import MemoryStore
from tests.server.embedded.memory.remembering import item, memory, searched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
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
        if database._mending is not None:
            await database._mending
        if database._indexing is not None:
            await database._indexing
        yield database
    finally:
        await database.close()


def retrieved(store: MemoryStore) -> list[str]:
    return [key for key in ALL if store.get("u" * 100, key) is not None]


def found(store: MemoryStore) -> list[str]:
    return sorted((hit.row["key"] for hit in searched(store, "u" * 100, "blue", [], NUMBER)), key=ALL.index)


def turns(store: MemoryStore) -> list[str]:
    return [row["turn_id"] for row in store.turns("u" * 100, "s" * 100, NUMBER)]


def damaged(path: Path) -> list[Path]:
    return list(path.parent.glob("memory.sqlite3-damaged-*"))


async def test_a_healthy_database_stays_as_it_is(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with looked_through(path) as database:
        assert (database._mending, database._indexing) == (None, None)
    assert not caplog.records


@pytest.mark.parametrize(
    "index", ["items_newest", "items_expire", "sqlite_autoindex_items_1", "turns_order", "turns_of", "words_content"]
)
async def test_damage_in_an_index_loses_nothing(path: Path, index: str, caplog: pytest.LogCaptureFixture) -> None:
    destroy(path, index)
    before = path.read_bytes()
    async with looked_through(path) as database:
        for read in (retrieved, found, turns):
            assert await database.run(read) == ALL
        await database.run(lambda store: store.put(item(user_id="bob"), "k"))
        assert (await database.run(lambda store: store.stored_bytes("u" * 100)))[0] > NUMBER * 200
    assert f"{NUMBER} of {NUMBER} items and {NUMBER} of {NUMBER} turns could be read" in caplog.text
    assert [one.read_bytes() for one in damaged(path)] == [before]
    assert {one.stat().st_mode & 0o777 for one in (path, *damaged(path))} == {0o600}


@pytest.mark.parametrize("table", ["items", "turns"])
async def test_of_a_damaged_table_all_is_kept_that_can_be_read(
    path: Path, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    destroy(path, table)
    async with looked_through(path) as database:
        kept = {"items": await database.run(retrieved), "turns": await database.run(turns)}
        assert await database.run(found) == kept["items"]
    assert NUMBER - 20 < len(kept[table]) < NUMBER
    assert kept[table] == ALL[-len(kept[table]) :]
    told = " and ".join(f"{len(keys)} of {NUMBER} {name}" for name, keys in kept.items())
    assert f"{told} could be read, and are kept. The damaged database is {damaged(path)[0]}" in caplog.text


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
    assert not damaged(path)


async def test_damage_that_a_call_meets_first_is_mended_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destroy(path, "sqlite_autoindex_items_1")
    monkeypatch.setattr("server.embedded.memory.database.check", lambda *_: Found())
    monkeypatch.setattr("server.embedded.memory.database.MENDED_S", 60)
    async with memory(path.parent) as stub:
        for key in ALL[:3]:
            answer = await stub.Retrieve(pb.RetrieveRequest(user_id="u" * 100, key=key))
            assert answer.value_json.startswith('"blue')
    assert len(damaged(path)) == 1


async def test_a_database_that_another_program_has_open_stays(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    destroy(path, "turns_of")
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT count(*) FROM items").fetchone()
        async with looked_through(path) as database:
            assert await database.run(retrieved) == ALL
    assert "could not be mended: " in caplog.text
    assert not list(path.parent.glob("*-new*"))
    assert not damaged(path)


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
