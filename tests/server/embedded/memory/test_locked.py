"""Another program that has locked the database holds up only what is to be written, and that for a short time."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc

from protos import memory_pb2 as pb
from server.upstream.breaker import FAULTS
from tests.server.embedded.memory.remembering import found, item, memory
from tests.server.embedded.serving import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from protos.memory_pb2_grpc import MemoryAsyncStub

COLOUR = pb.RetrieveRequest(user_id="ada", key="colour")
TURN = pb.PutTurnRequest(user_id="ada", session_id="s", turn_id="t", role="user", text="hello")

KEPT = ['"blue"', "colour", "hello"]


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    other = sqlite3.connect(directory / "memory.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def looked_up(stub: MemoryAsyncStub) -> list[str]:
    turns = (await stub.Context(pb.ContextRequest(user_id="ada", session_id="s"))).turns
    value = (await stub.Retrieve(COLOUR)).value_json
    return [value, *await found(stub, "blue"), *(turn.text for turn in turns)]


async def test_a_locked_database_is_read_and_what_was_to_be_written_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.embedded.memory.service.BUSY_S", 600)
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        await stub.PutTurn(TURN)
        with locked(tmp_path):
            writes: list[Any] = [
                stub.Store(item('"green"', key="leaf")),
                stub.Delete(pb.DeleteRequest(user_id="ada", key="colour")),
                stub.PutTurn(TURN),
            ]
            for _ in range(3):
                assert await looked_up(stub) == KEPT
            assert not any(write.done() for write in writes)
        for write in writes:
            await write
        assert await found(stub, "") == ["leaf"]


async def test_a_write_says_that_another_program_is_in_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is no fault of the service: faults would close it to readers too."""
    monkeypatch.setattr("server.embedded.memory.service.BUSY_S", 0)
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        await stub.PutTurn(TURN)
        with locked(tmp_path):
            for write, so in (
                (stub.Store(item('"red"')), "nothing new can be remembered"),
                (stub.PutTurn(TURN), "nothing new can be remembered"),
                (stub.Delete(pb.DeleteRequest(user_id="ada", key="colour")), "nothing can be forgotten"),
            ):
                status, words = await refusal(write)
                assert words == f"another program has locked the memory's database for more than 1 s, so {so} just now"
                assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert status.name not in FAULTS
            assert await looked_up(stub) == KEPT


async def test_a_locked_database_is_opened_to_be_read(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        await stub.PutTurn(TURN)
    with locked(tmp_path):
        async with memory(tmp_path) as stub:
            assert await looked_up(stub) == KEPT
