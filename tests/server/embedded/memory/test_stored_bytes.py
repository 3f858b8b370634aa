"""One user's items and conversations do not fill the disk of all."""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import grpc
import pytest

from protos import memory_pb2 as pb
from server.embedded.memory import store as store_module
from server.embedded.memory.service import (
    MAX_ID_CHARS,
    MAX_TAG_CHARS,
    MAX_TAGS,
    MAX_TURN_CHARS,
    MAX_VALUE_BYTES,
    NO_ROOM,
)
from server.embedded.memory.store import DELETED_AT_ONCE_BYTES, ROW_BYTES, MemoryStore, NoRoomError
from server.upstream.breaker import FAULTS
from tests.server.embedded.memory.remembering import item, memory, memory_with_clock
from tests.server.embedded.serving import refusal

if TYPE_CHECKING:
    from pathlib import Path

ROOM_BYTES = 10_000
LONG = '"' + "x" * 3_000 + '"'


@pytest.fixture
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_USER_BYTES", ROOM_BYTES)


def turn(number: int, text: str = "hello", session: str = "s1") -> pb.PutTurnRequest:
    return pb.PutTurnRequest(user_id="ada", session_id=session, turn_id=f"t{number}", role="user", text=text)


@pytest.mark.usefixtures("_little_room")
async def test_who_has_stored_much_stores_no_more_until_something_is_deleted(tmp_path: Path) -> None:
    told = (grpc.StatusCode.RESOURCE_EXHAUSTED, NO_ROOM)
    assert NO_ROOM == "you have stored as much as one user may, 64 megabytes: delete something first"
    async with memory(tmp_path) as stub:
        for number in range(2):
            await stub.Store(item(LONG, key=f"k{number}"))
        assert await refusal(stub.Store(item(LONG, key="k2"))) == told
        assert await refusal(stub.Store(item('"' + "x" * 9_000 + '"', key="k1"))) == told
        kept = await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key="k1"))
        assert kept.value_json == LONG  # what was to be replaced is still there
        await stub.Store(item(LONG, key="k1"))  # the same again takes no more room
        await stub.Store(item(LONG, key="k2", user_id="eve"))
        await stub.Delete(pb.DeleteRequest(user_id="ada", key="k0"))
        await stub.Store(item(LONG, key="k2"))
    assert told[0].name not in FAULTS


@pytest.mark.usefixtures("_little_room")
def test_thousands_of_tiny_items_count_what_their_rows_take(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path / "m.sqlite3")
    with suppress(NoRoomError):
        for number in range(ROOM_BYTES):
            store.put(item("1", key=str(number)), str(number))
    assert ROOM_BYTES // ROW_BYTES - 2 <= store.count() <= ROOM_BYTES // ROW_BYTES
    store.close()


@pytest.mark.usefixtures("_little_room")
def test_old_turns_make_room_for_new_ones(tmp_path: Path) -> None:
    now = 1_000.0
    store = MemoryStore(tmp_path / "m.sqlite3", clock=lambda: now)
    for number in range(200):
        now += 1
        store.put_turn(turn(number, "x" * 100))
        store.put_turn(turn(number, "said again"))
    turns = store.turns("ada", "s1", 100)
    assert 0 < store.stored_bytes("ada")[1] <= ROOM_BYTES
    assert turns[-1]["turn_id"] == "t199"
    assert store.stored_bytes("ada")[1] == sum(ROW_BYTES + len(f"s1{row['turn_id']}{row['text']}") for row in turns)
    store.close()


def test_what_expires_makes_room(tmp_path: Path) -> None:
    now = 1_000.0
    store = MemoryStore(tmp_path / "m.sqlite3", clock=lambda: now)
    store.put(item(ttl_seconds=10), "colour")
    assert store.stored_bytes("ada")[0] == ROW_BYTES + len('colour"blue"[]{}')
    now += 120
    store.put(item(user_id="eve"), "colour")
    assert store.stored_bytes("ada") == (0, 0)
    store.close()


@pytest.mark.usefixtures("_little_room")
def test_what_has_expired_takes_no_room_from_new_items(tmp_path: Path) -> None:
    now = 1_000.0
    store = MemoryStore(tmp_path / "m.sqlite3", clock=lambda: now)
    for number in range(2):
        store.put(item(LONG, ttl_seconds=5), f"k{number}")
    with pytest.raises(NoRoomError):
        store.put(item(LONG), "new")
    now += 5  # long before expired items are deleted in any case
    store.put(item(LONG), "new")
    assert store.get("ada", "new") is not None
    assert store.count() == 1
    store.close()


@pytest.mark.usefixtures("_little_room")
def test_the_turn_that_is_stored_is_never_the_one_forgotten(tmp_path: Path) -> None:
    now = 1_000.0
    store = MemoryStore(tmp_path / "m.sqlite3", clock=lambda: now)
    for number in range(3):
        now += 1
        store.put_turn(turn(number, "x" * 2_500))
    now -= 1_000  # the clock was set back: the next turns seem the oldest
    for number in range(3, 6):
        store.put_turn(turn(number, "x" * 2_500))
        assert [row["turn_id"] for row in store.turns("ada", "s1", 100)][-1] == f"t{number}"
    store.put_turn(turn(5, "x" * 9_800))  # nor if it was there and is longer now
    assert [row["turn_id"] for row in store.turns("ada", "s1", 100)] == ["t5"]
    store.close()


@pytest.mark.usefixtures("_little_room")
def test_turns_are_forgotten_in_the_order_they_were_stored(tmp_path: Path) -> None:
    now = 1_000.0
    store = MemoryStore(tmp_path / "m.sqlite3", clock=lambda: now)
    for number in range(6):
        now -= 1
        store.put_turn(turn(number, "x" * 2_500))
    assert [row["turn_id"] for row in store.turns("ada", "s1", 100)] == ["t3", "t4", "t5"]
    store.close()


def test_who_has_stored_too_much_by_an_earlier_release_comes_down_turn_by_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other calls wait for what a call deletes, so it does not delete all of it."""
    store = MemoryStore(tmp_path / "m.sqlite3")
    for number in range(40):
        store.put_turn(turn(number, "x" * 2_500, session="old"))
    monkeypatch.setattr(store_module, "MAX_USER_BYTES", ROOM_BYTES)
    monkeypatch.setattr(store_module, "DELETED_AT_ONCE_BYTES", 7_000)
    left = [len(store.turns("ada", "old", 100))]
    while store.stored_bytes("ada")[1] > ROOM_BYTES:
        store.put_turn(turn(len(left), session="new"))
        left.append(len(store.turns("ada", "old", 100)))
    deleted = [before - after for before, after in pairwise(left)]
    assert set(deleted[:-1]) == {3}  # the first that have 7,000 bytes together
    assert 0 < left[-1] < 4
    store.close()


async def test_what_has_expired_is_deleted_in_steps_and_takes_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    async with memory_with_clock(tmp_path, lambda: now) as stub:
        for user in ("eve", "ada"):
            for number in range(30):
                await stub.Store(item(LONG, key=f"k{number}", ttl_seconds=5, user_id=user))
        monkeypatch.setattr(store_module, "MAX_USER_BYTES", ROOM_BYTES)
        monkeypatch.setattr(store_module, "DELETED_AT_ONCE_BYTES", 7_000)
        now += 5
        store = MemoryStore(tmp_path / "memory.sqlite3", clock=lambda: now)
        await stub.Store(item(user_id="bob"))
        assert store.count() == 61 - 2
        await stub.Store(item(LONG))  # in several steps, between which others have their turn
        assert store.stored_bytes("ada")[0] <= ROOM_BYTES
        kept = store.stored_bytes("eve")[0]
        assert kept > 20 * len(LONG)
        await stub.Store(item(LONG))
        assert 0 < kept - store.stored_bytes("eve")[0] < 3 * len(LONG)
        store.close()


def test_each_new_one_makes_more_room_than_it_takes() -> None:
    """So what a user has stored never grows beyond the limit."""
    ids = 2 * MAX_ID_CHARS * 4
    tags = len(json.dumps(["\U0001f389" * MAX_TAG_CHARS] * MAX_TAGS))
    largest = ROW_BYTES + ids + max(2 * MAX_VALUE_BYTES + tags, MAX_TURN_CHARS * 4)
    assert largest < DELETED_AT_ONCE_BYTES


def test_a_database_of_an_earlier_release_is_counted_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite3"
    store = MemoryStore(path)
    store.put(item(), "colour")
    store.put(item('"ä"', user_id="eve"), "colour")
    store.put_turn(turn(1))
    counted = [store.stored_bytes(user) for user in ("ada", "eve", "bob")]
    store.close()
    with sqlite3.connect(path) as old:
        for (trigger,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            old.execute(f"DROP TRIGGER {trigger}")
        old.execute("DROP TABLE stored")
    old.close()
    store = MemoryStore(path)
    assert [store.stored_bytes(user) for user in ("ada", "eve", "bob")] == counted
    assert counted[2] == (0, 0)
    store.close()


def test_who_has_stored_too_much_may_replace_it_by_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(tmp_path / "m.sqlite3")
    for number in range(3):
        store.put(item(LONG), f"k{number}")
    monkeypatch.setattr(store_module, "MAX_USER_BYTES", 3_000)
    store.put(item("1"), "k0")
    for again in (LONG, "1"):  # "k0" is 1 by now
        with pytest.raises(NoRoomError):
            store.put(item(again), "k0")
    store.close()
