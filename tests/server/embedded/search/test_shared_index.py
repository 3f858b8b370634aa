"""Two services that start in one new folder use one index."""

from __future__ import annotations

import fcntl
import sqlite3
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Any

import pytest

from server.embedded.search import index as search_index
from server.embedded.search.index import SearchIndex

if TYPE_CHECKING:
    from pathlib import Path


def test_a_schema_half_made_is_not_another_version_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, comers, inodes = tmp_path / "index", Semaphore(0), []
    prepare, lock = search_index._prepare, fcntl.flock

    def prepare_slowly(db: sqlite3.Connection) -> None:
        monkeypatch.setattr(search_index, "_prepare", prepare)
        db.execute("CREATE TABLE documents (x)")  # as when the other one comes in the midst of it
        other.start()
        for _ in range(2):
            assert comers.acquire(timeout=30)
        db.execute("DROP TABLE documents")
        prepare(db)

    def noticed(file: Any, how: int) -> None:
        comers.release()
        lock(file, how)

    def open_other() -> None:
        SearchIndex(path).close()
        inodes.append(path.stat().st_ino)

    monkeypatch.setattr(search_index, "_prepare", prepare_slowly)
    monkeypatch.setattr("fcntl.flock", noticed)
    other = Thread(target=open_other)
    first = SearchIndex(path)
    inodes.append(path.stat().st_ino)
    other.join()
    assert first.count() == 0
    first.close()
    assert inodes == [path.stat().st_ino] * 2


def test_the_schema_is_made_at_once_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search_index._SCHEMA
    monkeypatch.setattr(search_index, "_SCHEMA", whole.replace("PRAGMA user_version", "broken; PRAGMA user_version"))
    with pytest.raises(sqlite3.OperationalError, match="broken"):
        SearchIndex(tmp_path / "index")
    monkeypatch.setattr(search_index, "_SCHEMA", whole)
    inode = (tmp_path / "index").stat().st_ino
    index = SearchIndex(tmp_path / "index")
    assert (index.count(), (tmp_path / "index").stat().st_ino) == (0, inode)
    index.close()


def test_an_index_that_is_locked_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "index"
    SearchIndex(path).close()
    inode = path.stat().st_ino
    monkeypatch.setattr(search_index, "SEARCH_S", 0.0)
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            SearchIndex(path)
        holder.execute("ROLLBACK")
    holder.close()
    assert path.stat().st_ino == inode
