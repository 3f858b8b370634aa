"""What is to be forgotten is forgotten when the disk is full, too."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING

import grpc
import pytest

from protos import memory_pb2 as pb
from server.embedded.memory import reserve as reserve_module
from server.embedded.memory.reserve import Reserve
from server.embedded.memory.store import MemoryStore
from tests.server.embedded.memory.remembering import item, memory
from tests.server.embedded.serving import code_of, refusal

if TYPE_CHECKING:
    from pathlib import Path

COLOUR = pb.DeleteRequest(user_id="ada", key="colour")
FILE = "memory.sqlite3-reserve"


class FullStore(MemoryStore):
    """On a disk that is full as long as the reserve is there, or `others` have taken its room."""

    path: Path
    others = False

    def _need_room(self) -> None:
        if self.others or (self.path / FILE).exists():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    def _delete(self, user_id: str, key: str) -> bool:
        self._need_room()
        return super()._delete(user_id, key)

    def _purge(self, user_id: str) -> int:
        self._need_room()
        return super()._purge(user_id)


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[FullStore]:
    monkeypatch.setattr("server.embedded.memory.database.MemoryStore", FullStore)
    monkeypatch.setattr(FullStore, "path", tmp_path, raising=False)
    monkeypatch.setattr(FullStore, "others", False)
    return FullStore


@pytest.mark.usefixtures("full")
async def test_an_item_is_deleted_from_a_full_disk_and_there_is_a_reserve_again(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        for key in ("colour", "shape"):
            await stub.Store(item(key=key))
        for key in ("colour", "shape"):
            assert (tmp_path / FILE).stat().st_size == reserve_module.RESERVE_BYTES
            await stub.Delete(pb.DeleteRequest(user_id="ada", key=key))
            assert await code_of(stub.Retrieve(pb.RetrieveRequest(user_id="ada", key=key))) is grpc.StatusCode.NOT_FOUND
            assert (tmp_path / "memory.sqlite3-wal").stat().st_size == 0


def test_so_is_what_has_expired(tmp_path: Path, full: type[FullStore]) -> None:
    now = [1_000.0]
    store = full(tmp_path / "memory.sqlite3", lambda: now[0])
    store.put(item(ttl_seconds=60), "colour")
    now[0] += 61
    assert (store.purge("ada"), store.count()) == (1, 0)
    store.close()


async def test_a_disk_without_any_room_is_told(
    tmp_path: Path, full: type[FullStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        monkeypatch.setattr(full, "others", True)
        status, words = await refusal(stub.Delete(COLOUR))
        assert (status, words) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk is full, so nothing can be forgotten")
        monkeypatch.setattr(full, "others", False)
        await stub.Delete(COLOUR)


def test_a_reserve_is_whole_and_private_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / FILE
    reserve = Reserve(path)
    path.write_bytes(b"half made")
    reserve.keep()
    assert path.stat().st_size == reserve_module.RESERVE_BYTES
    reserve.give_up()
    reserve.give_up()
    reserve.keep()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    reserve.give_up()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=reserve_module.RESERVE_BYTES - 1))
    reserve.keep()
    assert not path.exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10**9))

    def refuse(_count: int) -> bytes:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "urandom", refuse)
    reserve.keep()
    assert not path.exists()
