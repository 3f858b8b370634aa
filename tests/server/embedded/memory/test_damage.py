"""What a disk has changed is told, and takes nothing else with it."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos import memory_pb2 as pb
from protos import memory_pb2_grpc
from server.upstream.breaker import FAULTS
from tests.server.embedded.memory.remembering import found, item, memory
from tests.server.embedded.serving import channel, refusal

if TYPE_CHECKING:
    from pathlib import Path

BLUE = pb.StoreRequest(user_id="bob", key="sea", value_json='"blue"')
UTF8 = "CAST(x'22ff22' AS TEXT)"  # a string of one byte that is no text


def changed(directory: Path, *statements: str) -> None:
    with sqlite3.connect(directory / "memory.sqlite3") as disk:
        for statement in statements:
            disk.execute(statement)
    disk.close()


@pytest.mark.parametrize(
    "damage",
    [
        f"value = {UTF8}",
        "value = '\"blue'",
        "tags = '[\"t\"x'",
        "tags = '[1]'",
        f"tags = {UTF8}",
        "metadata = '{'",
        f"session_id = {UTF8}",
        "created_at = -1e300",
        "created_at = 'now'",
    ],
)
async def test_a_damaged_item_is_told_and_the_others_are_found(tmp_path: Path, damage: str) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item(tags=["t"]))
        await stub.Store(item('"blue, too"', key="sky", tags=["t"]))
        changed(tmp_path, f"UPDATE items SET {damage} WHERE key = 'colour'")
        status, words = await refusal(stub.Retrieve(pb.RetrieveRequest(user_id="ada", key="colour")))
        assert status.name not in FAULTS  # they would close the memory to its user
        assert (status, words[:34]) == (grpc.StatusCode.DATA_LOSS, "what was stored cannot be read: th")
        assert await found(stub, "blue") == await found(stub, "") == ["sky"]
        assert (await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key="sky"))).value_json == '"blue, too"'
        await stub.Store(item('"green"', key="leaf"))
        await stub.Delete(pb.DeleteRequest(user_id="ada", key="colour"))
        await stub.Store(item())
        assert sorted(await found(stub, "blue")) == ["colour", "sky"]


@pytest.mark.parametrize("damage", [f"text = {UTF8}", f"turn_id = {UTF8}", "at = 'now'"])
async def test_a_damaged_turn_is_left_out(tmp_path: Path, damage: str) -> None:
    async with memory(tmp_path) as stub:
        for name in ("t1", "t2"):
            await stub.PutTurn(
                pb.PutTurnRequest(user_id="ada", session_id="s", turn_id=name, role="user", text=f"text of {name}")
            )
        changed(tmp_path, f"UPDATE turns SET {damage} WHERE turn_id = 't1'")
        turns = (await stub.Context(pb.ContextRequest(user_id="ada", session_id="s"))).turns
        assert [turn.text for turn in turns] == ["text of t2"]


@pytest.mark.parametrize("damage", [f"value = {UTF8}", f"key = {UTF8}", "tags = '['"])
async def test_a_damaged_item_does_not_keep_the_others_from_a_new_index(tmp_path: Path, damage: str) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        await stub.Store(item('"blue, too"', key="sky"))
    changed(
        tmp_path,
        f"UPDATE items SET {damage} WHERE key = 'colour'",
        "PRAGMA user_version = 0",
    )
    async with memory(tmp_path) as stub:
        assert await found(stub, "blue") == ["sky"]


def zeroed(directory: Path, table: str) -> None:
    """A sector of the disk has lost what was in it: the beginning of a table."""
    path = directory / "memory.sqlite3"
    with sqlite3.connect(path) as disk:
        disk.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = disk.execute("PRAGMA page_size").fetchone()
        (page,) = disk.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    disk.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(512))


async def test_damaged_pages_are_no_fault_that_closes_the_memory_to_others(tmp_path: Path) -> None:
    turn = pb.PutTurnRequest(user_id="ada", session_id="s", turn_id="t", role="user", text="hello")
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        await stub.PutTurn(turn)
    zeroed(tmp_path, "turns")
    async with memory(tmp_path) as stub:
        calls = (
            stub.PutTurn(turn),
            stub.Context(pb.ContextRequest(user_id="ada", session_id="s")),
            stub.Store(BLUE),
            stub.Delete(pb.DeleteRequest(user_id="ada", key="colour")),
        )
        for call in calls:
            status, words = await refusal(call)
            assert status.name not in FAULTS
            assert words.startswith("the disk has damaged the memory's database, so nothing ")
        assert await found(stub, "blue") == ["colour"]


async def test_the_health_tells_of_damaged_pages(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item())
    zeroed(tmp_path, "turns")
    async with channel("memory", tmp_path) as opened:
        await refusal(memory_pb2_grpc.MemoryStub(opened).Store(BLUE))
        call = health_pb2_grpc.HealthStub(opened).Check(health_pb2.HealthCheckRequest())
        assert (await call).status == health_pb2.HealthCheckResponse.SERVING
        told = dict(await call.trailing_metadata())["x-health-impaired"]
        assert str(told).startswith("the disk has damaged the memory's database, so nothing can be remembered")


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM words_data",
        "DELETE FROM words_data WHERE id > 10",
        "DELETE FROM words_config",
        "DROP TABLE words_data",
        "DROP TABLE words",
    ],
)
@pytest.mark.parametrize("first", ["search", "store", "delete"])
async def test_a_damaged_index_of_words_is_made_anew_while_the_service_runs(
    tmp_path: Path, damage: str, first: str
) -> None:
    async with memory(tmp_path) as stub:
        for key in ("a", "b", "c"):
            await stub.Store(item('"blue"', key=key))
        changed(tmp_path, damage)
        if first == "store":
            await stub.Store(BLUE)
        elif first == "delete":
            await stub.Delete(pb.DeleteRequest(user_id="ada", key="a"))
        else:
            assert await found(stub, "blue") == ["c", "b", "a"]
        await stub.Store(item('"blue"', key="d"))
        await stub.Delete(pb.DeleteRequest(user_id="ada", key="b"))
        assert await found(stub, "blue") == (["d", "c"] if first == "delete" else ["d", "c", "a"])
        assert await found(stub, "blue", user="bob") == (["sea"] if first == "store" else [])


@pytest.mark.parametrize("first", ["store", "delete"])
async def test_an_index_that_has_forgotten_its_words_is_made_anew_with_the_next_change(
    tmp_path: Path, first: str
) -> None:
    """Searches find nothing in it, and no fault."""
    async with memory(tmp_path) as stub:
        for key in ("a", "b", "c"):
            await stub.Store(item('"blue"', key=key))
        changed(tmp_path, "UPDATE words_data SET block = x'00' WHERE id = 10")
        if first == "store":
            await stub.Store(item('"blue"', key="a"))
        else:
            await stub.Delete(pb.DeleteRequest(user_id="ada", key="c"))
        assert await found(stub, "blue") == (["a", "c", "b"] if first == "store" else ["b", "a"])


@pytest.mark.parametrize("table", ["words_data", "words_idx", "words_content", "words_docsize", "words_config"])
async def test_an_index_that_cannot_even_be_deleted_is_made_anew(tmp_path: Path, table: str) -> None:
    async with memory(tmp_path) as stub:
        for key in ("a", "b"):
            await stub.Store(item('"blue"', key=key))
    zeroed(tmp_path, table)
    async with memory(tmp_path) as stub:
        await stub.Store(item('"blue"', key="c"))
        assert await found(stub, "blue") == ["c", "b", "a"]
        await stub.Delete(pb.DeleteRequest(user_id="ada", key="a"))
    async with memory(tmp_path) as stub:
        assert await found(stub, "blue") == ["c", "b"]


async def test_nobody_waits_for_all_of_a_new_index_and_no_item_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items are stored and deleted meanwhile; a database that another program has locked is waited for."""
    monkeypatch.setattr("server.embedded.memory.store.INDEXED_AT_ONCE_BYTES", 1)
    monkeypatch.setattr("server.embedded.memory.database.MENDED_S", 0)
    async with memory(tmp_path) as stub:
        for number in range(9):
            await stub.Store(item('"blue"', key=f"k{number}"))
        changed(tmp_path, "DELETE FROM words_data")
        with suppress(grpc.aio.AioRpcError):  # or before there is any of it
            assert len(await found(stub, "blue")) < 9
        stored = False
        while not stored:
            with suppress(grpc.aio.AioRpcError):  # likewise
                await stub.Store(item('"blue"', key="k9"))
                stored = True
        await stub.Delete(pb.DeleteRequest(user_id="ada", key="k8"))
        wanted = [f"k{number}" for number in (9, 7, 6, 5, 4, 3, 2, 1, 0)]
        while await found(stub, "blue") != wanted:
            pass
