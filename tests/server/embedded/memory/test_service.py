"""M10 memory over real gRPC: per user, durable, and searchable with any spelling."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from protos import memory_pb2 as pb
from server.embedded.memory import index as index_module
from server.embedded.memory.service import (
    MAX_ANSWER_CHARS,
    MAX_TTL_S,
    MAX_TURN_CHARS,
    MAX_VALUE_BYTES,
    OTHERS_COUNT,
    MemoryService,
)
from server.embedded.memory.store import MemoryStore
from server.embedded.service import EmbeddedConfig, MissingPartError
from server.upstream.breaker import FAULTS
from tests.server.embedded.serving import code_of, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

from tests.server.embedded.memory.remembering import found, item, memory, memory_with_clock, searched


async def test_what_is_stored_comes_back_exactly_after_a_restart(tmp_path: Path) -> None:
    value = '{"n": 12345678901234567890, "f": 1.10, "s": "\\u00e9", "l": [null, true]}'
    async with memory(tmp_path) as stub:
        stored = await stub.Store(item(value, tags=["a", "b"], metadata_json='{"x": 1}', session_id="s1"))
        made = await stub.Store(item(key=""))
    async with memory(tmp_path) as stub:
        found = await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key="colour"))
        assert (await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key=made.key))).value_json == '"blue"'
    assert (found.value_json, list(found.tags), found.metadata_json) == (value, ["a", "b"], '{"x": 1}')
    assert found.created_at == stored.created_at
    assert found.expires_at == ""


async def test_another_users_key_does_not_exist(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        answers = set()
        for user, key in (("eve", "colour"), ("ada", "never"), ("eve", "a\nb"), ("eve", "")):
            answers.add(await refusal(stub.Retrieve(pb.RetrieveRequest(user_id=user, key=key))))
            answers.add(await refusal(stub.Delete(pb.DeleteRequest(user_id=user, key=key))))
        assert {code for code, _ in answers} == {grpc.StatusCode.NOT_FOUND}
        assert len(answers) == 1
        assert await found(stub, "blue", user="eve") == []
        assert await found(stub, "", user="eve") == []
        await stub.Store(item('"red"', user_id="eve"))
        assert (await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key="colour"))).value_json == '"blue"'


async def test_a_score_tells_nothing_of_what_others_keep(tmp_path: Path) -> None:
    query = pb.SearchRequest(user_id="ada", query="blue whale")
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        await stub.Store(item('"a whale"', key="animal"))
        before = [(hit.item.key, hit.score) for hit in (await stub.Search(query)).results]
        for number in range(20):
            await stub.Store(item('"a blue blue thing"', key=f"k{number}", user_id="eve"))
        assert [(hit.item.key, hit.score) for hit in (await stub.Search(query)).results] == before


async def test_storing_again_replaces_and_deleting_forgets(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        await stub.Store(item('"red"'))
        assert len((await stub.Search(pb.SearchRequest(user_id="ada", query="colour"))).results) == 1
        assert not (await stub.Search(pb.SearchRequest(user_id="ada", query="blue"))).results
        await stub.Delete(pb.DeleteRequest(user_id="ada", key="colour"))
        assert not (await stub.Search(pb.SearchRequest(user_id="ada", query="red"))).results


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_id": ""},
        {"user_id": "u" * 257},
        {"session_id": "s" * 257},
        {"key": "a\tb"},
        {"value_json": ""},
        {"value_json": "NaN"},
        {"value_json": '{"a": [-Infinity]}'},
        {"value_json": "[" * 30_000 + "]" * 30_000},
        {"value_json": "[" * 65 + "]" * 65},
        {"value_json": '"' + "é" * (MAX_VALUE_BYTES // 2) + '"'},
        {"metadata_json": '{"a":' * 8_000 + "1" + "}" * 8_000},
        {"metadata_json": "{"},
        {"tags": ["t" * 65]},
        {"ttl_seconds": MAX_TTL_S + 1},
        {"ttl_seconds": 2**64 - 1},
        {"key": "a\nb"},
        {"key": "a/b"},
        {"key": "a\n"},
        {"key": "k" * 257},
        {"value_json": "{"},
        {"value_json": '"' + "x" * 70_000 + '"'},
        {"metadata_json": "[]"},
        {"tags": [""]},
        {"tags": ["t"] * 33},
    ],
)
async def test_wrong_items_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with memory(tmp_path) as stub:
        assert await code_of(stub.Store(item(**wrong))) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "kept",
    [
        {"value_json": '"' + "x" * (MAX_VALUE_BYTES - 2) + '"'},
        {"value_json": "9" * 5_000},
        {"value_json": "[" * 64 + "]" * 64},
        {"value_json": ' {"b": 1, "a": 1e2} '},
        {"key": "ключ 1.a:b,c@d+e-f"},
        {"key": "मेरा पसंदीदा रंग"},
        {"key": "สีที่ชอบ"},
        {"key": "பிடித்த நிறம்"},
        {"key": "what's up? 100 % ☕"},
        {"key": "k" * 256},
        {"tags": ["t"] * 32},
        {"ttl_seconds": MAX_TTL_S},
    ],
)
async def test_items_within_the_limits_are_kept_as_they_are(tmp_path: Path, kept: dict[str, Any]) -> None:
    given = item(**kept)
    async with memory(tmp_path) as stub:
        await stub.Store(given)
        back = await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key=given.key))
    assert (back.key, back.value_json, list(back.tags)) == (given.key, given.value_json, sorted(set(given.tags)))


async def test_calls_without_a_user_or_with_too_much_are_refused(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        for call in (
            stub.Retrieve(pb.RetrieveRequest(key="k")),
            stub.Delete(pb.DeleteRequest(key="k")),
            stub.Search(pb.SearchRequest(query="x")),
            stub.Search(pb.SearchRequest(user_id="ada", query="x" * 1_001)),
            stub.Search(pb.SearchRequest(user_id="ada", tags=["t"] * 33)),
            stub.Context(pb.ContextRequest(session_id="s")),
            stub.PutTurn(pb.PutTurnRequest(user_id="a", session_id="s", turn_id="t", role="robot", text="x")),
            stub.PutTurn(pb.PutTurnRequest(user_id="a", session_id="s", turn_id="t", role="user", text="x" * 20_001)),
            stub.PutTurn(pb.PutTurnRequest(user_id="a", session_id="s" * 257, turn_id="t", role="user", text="x")),
            stub.PutTurn(pb.PutTurnRequest(session_id="s", turn_id="t", role="user", text="x")),
        ):
            assert await code_of(call) is grpc.StatusCode.INVALID_ARGUMENT


async def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        made = await asyncio.gather(*(stub.Store(item(key="")) for _ in range(25)))
        await asyncio.gather(*(stub.Store(item(str(number))) for number in range(25)))
        turns = [
            pb.PutTurnRequest(user_id="ada", session_id="s", turn_id=str(number), role="user", text=str(number))
            for number in range(25)
        ]
        await asyncio.gather(*(stub.PutTurn(turn) for turn in turns))
        kept = await found(stub, "", limit=100)
        said = (await stub.Context(pb.ContextRequest(user_id="ada", session_id="s", limit=100))).turns
    assert set(kept) == {answer.key for answer in made} | {"colour"}
    assert len(kept) == 26
    assert {turn.text for turn in said} == {str(number) for number in range(25)}


async def test_an_answer_is_not_as_long_as_all_that_is_kept(tmp_path: Path) -> None:
    """The gateway's loop would be busy with it for many milliseconds."""
    long = "wörd " * 4_000
    turn_text = "ö" * MAX_TURN_CHARS
    async with memory(tmp_path) as stub:
        for number in range(20):
            await stub.Store(item(json.dumps(long, ensure_ascii=False), key=str(number)))
        for number in range(40):
            await stub.PutTurn(
                pb.PutTurnRequest(user_id="ada", session_id="s", turn_id=str(number), role="user", text=turn_text)
            )
        kept = (await stub.Search(pb.SearchRequest(user_id="ada", query="wörd", limit=100))).results
        turns = (await stub.Context(pb.ContextRequest(user_id="ada", session_id="s", limit=100))).turns
    assert len(kept) == MAX_ANSWER_CHARS // (OTHERS_COUNT * (len(long) + 2))
    assert [turn.turn_id for turn in turns] == [str(number) for number in range(40)][-len(turns) :]
    assert len(turns) == MAX_ANSWER_CHARS // (OTHERS_COUNT * MAX_TURN_CHARS)


async def test_a_conversation_comes_back_in_order_and_a_turn_can_be_cut(tmp_path: Path) -> None:
    def turn(turn_id: str, role: str, text: str, session: str = "s1") -> pb.PutTurnRequest:
        return pb.PutTurnRequest(user_id="ada", session_id=session, turn_id=turn_id, role=role, text=text)

    async with memory(tmp_path) as stub:
        for request in (turn("1", "user", "hi"), turn("2", "assistant", "hello there"), turn("3", "user", "bye")):
            await stub.PutTurn(request)
        await stub.PutTurn(turn("2", "assistant", "hello"))
        await stub.PutTurn(turn("1", "user", "other", session="s2"))
        turns = (await stub.Context(pb.ContextRequest(user_id="ada", session_id="s1"))).turns
        newest = (await stub.Context(pb.ContextRequest(user_id="ada", session_id="s1", limit=1))).turns
        nobody = (await stub.Context(pb.ContextRequest(user_id="eve", session_id="s1"))).turns
        assert await code_of(stub.PutTurn(turn("", "user", "x"))) is grpc.StatusCode.INVALID_ARGUMENT
    assert [(one.role, one.text) for one in turns] == [("user", "hi"), ("assistant", "hello"), ("user", "bye")]
    assert [one.text for one in newest] == ["bye"]
    assert not nobody


def test_what_has_expired_is_gone_at_once_and_swept_out_later(tmp_path: Path) -> None:
    now = 1_000.0
    store = MemoryStore(tmp_path / "m.sqlite3", clock=lambda: now)
    store.put(item(ttl_seconds=10), "colour")
    now += 9.9
    assert store.get("ada", "colour") is not None
    now += 0.2
    assert store.get("ada", "colour") is None
    assert searched(store, "ada", "blue", [], 10) == []
    assert store.count() == 1
    now += 120
    store.put(item(key="other"), "other")
    assert store.count() == 1
    assert [hit.row["key"] for hit in searched(store, "ada", "blue", [], 10)] == ["other"]
    store.close()


async def test_what_has_expired_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    now = 1_000.0
    async with memory_with_clock(tmp_path, lambda: now) as stub:
        await stub.Store(item(ttl_seconds=10, tags=["t"]))
        kept = await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key="colour"))
        assert (kept.created_at, kept.expires_at) == ("1970-01-01T00:16:40.000Z", "1970-01-01T00:16:50.000Z")
        now += 10
        assert (
            await code_of(stub.Retrieve(pb.RetrieveRequest(user_id="ada", key="colour"))) is grpc.StatusCode.NOT_FOUND
        )
        assert await code_of(stub.Delete(pb.DeleteRequest(user_id="ada", key="colour"))) is grpc.StatusCode.NOT_FOUND
        assert await found(stub, "blue") == await found(stub, "", tags=["t"]) == []
        await stub.Store(item('"red"'))
        assert await found(stub, "red blue") == ["colour"]


async def test_what_has_expired_hides_nothing_from_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "MOST_MATCHES", 3)
    now = 1_000.0
    async with memory_with_clock(tmp_path, lambda: now) as stub:
        await stub.Store(item(key="kept"))
        for number in range(3):
            await stub.Store(item(key=f"k{number}", ttl_seconds=5))
        now += 5
        assert await found(stub, "blue") == ["kept"]


async def test_a_broken_file_is_left_alone_and_the_reason_told(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite3"
    path.write_bytes(b"this is no database, and may be somebody's" * 100)
    before = path.read_bytes()
    service = MemoryService(EmbeddedConfig(tmp_path))
    with pytest.raises(MissingPartError, match="move it away"):
        await service.start()
    await service.stop()
    assert path.read_bytes() == before


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    service = MemoryService(EmbeddedConfig(tmp_path / "never" / "made"))
    with pytest.raises(MissingPartError, match="cannot be used"):
        await service.start()
    await service.stop()


async def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_two_services_may_start_in_one_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one makes its tables right after this one has looked for them."""
    path = tmp_path / "m.sqlite3"
    others: list[MemoryStore] = []

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            looked = super().execute(sql, *values)
            if "sqlite_master" in sql and not others:
                monkeypatch.undo()
                others.append(MemoryStore(path))
            return looked

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Connection))
    store = MemoryStore(path)
    store.put(item(), "colour")
    assert [other.get("ada", "colour") is not None for other in others] == [True]
    assert store.stored_bytes("ada") == others[0].stored_bytes("ada") != (0, 0)
    for one in (store, *others):
        one.close()


async def test_a_database_of_an_older_make_is_indexed_anew(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item('"my favourite whale"'))
    with sqlite3.connect(tmp_path / "memory.sqlite3") as old:
        old.execute("DROP TABLE words")
        old.execute("CREATE VIRTUAL TABLE words USING fts5 (text)")
        old.execute("PRAGMA user_version = 0")
    old.close()
    async with memory(tmp_path) as stub:
        assert await found(stub, "favorite whales") == ["colour"]


class SmallStore(MemoryStore):
    """On a disk with room for a few pages more."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        super().__init__(path, clock)
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        self._db.execute(f"PRAGMA max_page_count = {pages + 2}")


class RemountedStore(MemoryStore):
    """On a disk that takes one item, and then no writes."""

    def put(self, request: pb.StoreRequest, key: str) -> float:
        created_at = super().put(request, key)
        self._db.execute("PRAGMA query_only = ON")
        return created_at


@pytest.mark.parametrize(
    ("store", "told"),
    [
        (SmallStore, "the disk is full, so nothing new can be remembered"),
        (RemountedStore, "the disk takes no writes, so nothing new can be remembered"),
    ],
)
async def test_what_is_kept_can_be_read_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: type[MemoryStore], told: str
) -> None:
    """Each refused write is no fault of the service either: faults would close it to readers too."""
    monkeypatch.setattr("server.embedded.memory.database.MemoryStore", store)
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        for _ in range(10):
            status, words = await refusal(stub.Store(item('"' + "x" * 60_000 + '"', key="more")))
            assert (status, words) == (grpc.StatusCode.RESOURCE_EXHAUSTED, told)
            assert (await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key="colour"))).value_json == '"blue"'
            assert await found(stub, "blue") == ["colour"]
    assert status.name not in FAULTS
