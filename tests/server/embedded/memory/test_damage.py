"""What a disk has changed is told, and takes nothing else with it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import grpc
import pytest

from protos import memory_pb2 as pb
from server.upstream.breaker import FAULTS
from tests.server.embedded.memory.remembering import found, item, memory
from tests.server.embedded.serving import refusal

if TYPE_CHECKING:
    from pathlib import Path

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
