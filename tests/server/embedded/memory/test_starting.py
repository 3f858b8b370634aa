"""A healthy database that cannot be opened just now is opened later, and nobody is told to move it away."""

from __future__ import annotations

import errno
import os
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from protos import memory_pb2 as pb
from protos import memory_pb2_grpc
from server.embedded import host as host_module
from server.embedded.host import EmbeddedServices
from server.embedded.memory.service import MemoryService
from server.embedded.service import EmbeddedConfig, MissingPartError, NotYetError
from tests.server.embedded.memory.remembering import item, memory
from tests.server.embedded.serving import refusal

if TYPE_CHECKING:
    from pathlib import Path

    from protos.memory_pb2_grpc import MemoryAsyncStub


async def test_a_locked_database_is_opened_when_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item())
    other = sqlite3.connect(tmp_path / "memory.sqlite3", isolation_level=None)
    other.execute("PRAGMA user_version = 0")  # of an earlier release, which is to be changed
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0))
    monkeypatch.setattr(host_module, "START_AGAIN_S", 0.01)
    host = EmbeddedServices({"memory": "127.0.0.1:0"}, EmbeddedConfig(tmp_path))
    addresses = await host.bind()
    down = (await host.start())["memory"]
    assert "another program uses it, and nothing in it is damaged" in down
    assert "move it away" not in down
    async with grpc.aio.insecure_channel(addresses["memory"]) as channel:
        opened: MemoryAsyncStub = memory_pb2_grpc.MemoryStub(channel)
        wanted = pb.RetrieveRequest(user_id="ada", key="colour")
        assert await refusal(opened.Retrieve(wanted)) == (grpc.StatusCode.UNAVAILABLE, down)
        other.execute("ROLLBACK")
        other.close()
        assert host.services[0]._starting_again is not None
        await host.services[0]._starting_again
        assert host.services[0].reason == ""
        assert (await opened.Retrieve(wanted)).value_json == '"blue"'
    await host.stop()


async def test_a_service_that_is_still_tried_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.embedded.memory.database.MemoryStore", refusing(failed("SQLITE_FULL")))
    host = EmbeddedServices({"memory": "127.0.0.1:0"}, EmbeddedConfig(tmp_path))
    await host.bind()
    assert "the disk is full" in (await host.start())["memory"]
    await host.stop()
    assert host.services[0]._starting_again is not None
    assert host.services[0]._starting_again.cancelled()


def failed(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(name)
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


def refusing(error: Exception) -> Any:
    def store(*_: object) -> None:
        raise error

    return store


@pytest.mark.parametrize(
    ("error", "later", "advised"),
    [
        (failed("SQLITE_BUSY"), True, False),
        (failed("SQLITE_BUSY_RECOVERY"), True, False),
        (failed("SQLITE_FULL"), True, False),
        (failed("SQLITE_IOERR_WRITE"), True, False),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), True, False),
        (failed("SQLITE_CANTOPEN"), False, False),
        (failed("SQLITE_READONLY"), False, False),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), False, False),
        (failed("SQLITE_CORRUPT"), False, True),
        (failed("SQLITE_NOTADB"), False, True),
    ],
)
async def test_only_a_damaged_file_is_to_be_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, later: bool, advised: bool
) -> None:
    monkeypatch.setattr("server.embedded.memory.database.MemoryStore", refusing(error))
    service = MemoryService(EmbeddedConfig(tmp_path))
    with pytest.raises(MissingPartError, match="cannot be used") as refused:
        await service.start()
    await service.stop()
    assert isinstance(refused.value, NotYetError) is later
    assert ("move it away" in str(refused.value)) is advised
