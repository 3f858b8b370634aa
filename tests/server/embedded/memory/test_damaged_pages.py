"""Once damage to pages is known, nothing is written that could take a page in use for a free one. Reading goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from protos import memory_pb2 as pb
from server.embedded.memory import database as database_module
from server.embedded.memory.check import Found, Part, check, flaw_of_pages
from server.embedded.memory.database import PagesDamagedError
from server.embedded.memory.service import MemoryService
from server.embedded.memory.store import MemoryStore
from server.embedded.service import EmbeddedConfig
from tests.server.embedded.memory.remembering import item
from tests.server.embedded.memory.test_check import (
    ALL,
    PAGE_BYTES,
    destroy,
    found,
    looked_through,
    path,
    readable,
    retrieved,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["path"]


def free_one_in_use(path: Path, table: str) -> None:
    """A bit of the list of free pages has changed: it names a page of the table."""
    with closing(MemoryStore(path)) as store:
        for number in range(20):
            store.put(item(f'"{"z" * 9_000}"', user_id="v"), f"gone{number}")
        for number in range(20):
            store.delete("v", f"gone{number}")
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    with path.open("r+b") as file:
        pages = file.read()
        cell = int.from_bytes(pages[(root - 1) * PAGE_BYTES :][12:14])
        leaf = pages[(root - 1) * PAGE_BYTES + cell :][:4]  # the first below its root
        trunk = int.from_bytes(pages[32:36])
        number = int.from_bytes(pages[(trunk - 1) * PAGE_BYTES :][4:8])
        file.seek((trunk - 1) * PAGE_BYTES + 8 + 4 * (number - 1))  # the last is taken first
        file.write(leaf)


def changes() -> tuple[Callable[[MemoryStore], object], ...]:
    turn = pb.PutTurnRequest(user_id="bob", session_id="s", turn_id="t", role="user", text="b" * 9_000)
    return (
        lambda store: store.put(item(f'"{"n" * 9_000}"', user_id="bob"), "k"),
        lambda store: store.put_turn(turn),
        lambda store: store.delete("u" * 100, ALL[3]),
        lambda store: store.purge("u" * 100),
    )


@pytest.mark.parametrize("table", ["items", "turns", "stored"])
async def test_nothing_is_written_if_a_page_in_use_is_listed_as_free(path: Path, table: str) -> None:
    free_one_in_use(path, table)
    rows, before = readable(path), path.read_bytes()
    async with looked_through(path) as database:
        for change in changes():
            with pytest.raises(PagesDamagedError):
                await database.change(change)
        await database.index_anew("a search has failed")
        assert database._indexing is None
        for read in (retrieved, found, turns):
            assert await database.run(read) == ALL
    assert path.read_bytes() == before
    assert readable(path) == rows


async def test_what_is_to_be_stored_waits_for_the_look_at_the_pages(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "HELD_S", 60)
    free_one_in_use(path, "turns")
    rows = readable(path)
    service = MemoryService(EmbeddedConfig(path.parent))
    await service.start()
    try:
        with pytest.raises(PagesDamagedError):
            await service._database.change(changes()[0])
        assert service.impaired.startswith("the disk has damaged the memory's database, so nothing can be remembered")
    finally:
        await service.stop()
    assert readable(path) == rows


async def test_a_large_database_holds_nobody_up_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the look has not found by then is found later."""
    monkeypatch.setattr(database_module, "HELD_S", 0)
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(file: Path, unwanted: Callable[[], bool]) -> str:
        asyncio.run_coroutine_threadsafe(looked.wait(), loop).result()
        return flaw_of_pages(file, unwanted)

    monkeypatch.setattr(database_module, "flaw_of_pages", slowly)
    service = MemoryService(EmbeddedConfig(path.parent))
    await service.start()
    assert await service._database.change(lambda store: store.put(item(user_id="bob"), "k"))
    looked.set()
    await service.stop()


@pytest.mark.parametrize("version", [0, 3])
async def test_a_start_writes_no_index_into_damaged_pages(path: Path, version: int) -> None:
    """It would, as after an update."""
    free_one_in_use(path, "items")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA user_version = {version}")
    rows = readable(path)
    async with looked_through(path) as database:
        assert await database.run(retrieved) == ALL
        with pytest.raises(PagesDamagedError):
            await database.change(changes()[0])
    assert readable(path) == rows


async def test_an_index_of_words_with_a_page_that_is_listed_as_free_is_made_anew(path: Path) -> None:
    """Without the old one all is sound."""
    free_one_in_use(path, "words_content")
    rows = readable(path)
    assert check(path, lambda: False).part is Part.WORDS
    async with looked_through(path) as database:
        assert await database.run(found) == ALL
        for number in range(30):
            await database.change(
                partial(MemoryStore.put, request=item(f'"{"n" * 9_000}"', user_id="v"), key=f"n{number}")
            )
    now = readable(path)
    assert all(now[key] == row for key, row in rows.items() if row is not None)
    assert check(path, lambda: False) == Found()


async def test_an_index_of_words_is_not_made_anew_beside_other_damage(path: Path) -> None:
    """SQLite tells of one flaw at a time, and the index's may be the first."""
    free_one_in_use(path, "turns")
    destroy(path, "words_data")
    rows = readable(path)
    assert check(path, lambda: False).part is Part.PAGES
    async with looked_through(path) as database:
        assert database._indexing is None
    assert readable(path) == rows


async def test_a_repaired_database_is_written_to_after_the_next_start(path: Path) -> None:
    free_one_in_use(path, "turns")
    async with looked_through(path) as database:
        assert database.damaged
    with closing(sqlite3.connect(path)) as damaged, closing(sqlite3.connect(path.with_name("new"))) as new:
        for statement in damaged.iterdump():
            if "words" not in statement:
                new.execute(statement)
    path.with_name("new").replace(path)
    for rest in ("-wal", "-shm"):
        path.with_name(path.name + rest).unlink(missing_ok=True)
    async with looked_through(path) as database:
        for change in changes():
            await database.change(change)
        assert await database.run(turns) == ALL
