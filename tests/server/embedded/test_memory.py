"""M10 memory over real gRPC: per user, durable, searchable however it is spelt."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from protos import memory_pb2 as pb
from protos import memory_pb2_grpc
from server.embedded.host import Host
from server.embedded.memory_store import MemoryStore, folded
from server.embedded.service import EmbeddedConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from protos.memory_pb2_grpc import MemoryAsyncStub


@asynccontextmanager
async def memory(directory: Path) -> AsyncIterator[MemoryAsyncStub]:
    host = Host({"memory": "127.0.0.1:0"}, EmbeddedConfig(directory))
    addresses = await host.bind()
    assert await host.start() == {}
    async with grpc.aio.insecure_channel(addresses["memory"]) as opened:
        stub: MemoryAsyncStub = memory_pb2_grpc.MemoryStub(opened)
        yield stub
    await host.stop()


def item(value: str = '"blue"', **fields: Any) -> pb.StoreRequest:
    given: dict[str, Any] = {"user_id": "ada", "key": "colour", "value_json": value, **fields}
    return pb.StoreRequest(**given)


async def code_of(call: object) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call  # type: ignore[misc] # any call
    code: grpc.StatusCode = refused.value.code()
    return code


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
        for user, key in (("eve", "colour"), ("ada", "never")):
            assert await code_of(stub.Retrieve(pb.RetrieveRequest(user_id=user, key=key))) is grpc.StatusCode.NOT_FOUND
            assert await code_of(stub.Delete(pb.DeleteRequest(user_id=user, key=key))) is grpc.StatusCode.NOT_FOUND
        assert not (await stub.Search(pb.SearchRequest(user_id="eve", query="blue"))).results
        await stub.Store(item('"red"', user_id="eve"))
        assert (await stub.Retrieve(pb.RetrieveRequest(user_id="ada", key="colour"))).value_json == '"blue"'


async def test_storing_again_replaces_and_deleting_forgets(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item())
        await stub.Store(item('"red"'))
        assert len((await stub.Search(pb.SearchRequest(user_id="ada", query="colour"))).results) == 1
        assert not (await stub.Search(pb.SearchRequest(user_id="ada", query="blue"))).results
        await stub.Delete(pb.DeleteRequest(user_id="ada", key="colour"))
        assert not (await stub.Search(pb.SearchRequest(user_id="ada", query="red"))).results


@pytest.mark.parametrize("query", ["favorite colors", "FAVOURITE COLOUR", 'colour" OR (', "colour*", "neighbor colour"])
async def test_search_folds_spelling_and_takes_words_as_words(tmp_path: Path, query: str) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item('"my favourite colour is blue"', key="k1"))
        await stub.Store(item('"something else"', key="k2"))
        results = (await stub.Search(pb.SearchRequest(user_id="ada", query=query))).results
    assert [hit.item.key for hit in results] == ["k1"]
    assert 0 < results[0].score <= 1


async def test_all_tags_have_to_be_there(tmp_path: Path) -> None:
    async with memory(tmp_path) as stub:
        await stub.Store(item(key="one", tags=["a"]))
        await stub.Store(item(key="two", tags=["a", "b"]))
        found = (await stub.Search(pb.SearchRequest(user_id="ada", query="blue", tags=["a", "b"]))).results
        newest = (await stub.Search(pb.SearchRequest(user_id="ada", tags=["a"]))).results
    assert [hit.item.key for hit in found] == ["two"]
    assert [hit.item.key for hit in newest] == ["two", "one"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_id": ""},
        {"key": "a\nb"},
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
    assert store.search("ada", "blue", [], 10) == []
    assert not store.delete("ada", "colour")
    now += 120
    store.put(item(key="other"), "other")
    assert store.count() == 1


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("colour", "color"),
        ("favourites", "favorites"),
        ("theatre", "theater"),
        ("organise", "organize"),
        ("grey", "gray"),
        ("travelling", "traveling"),
    ],
)
def test_spellings_are_folded(british: str, american: str) -> None:
    assert folded(british) == folded(american) == american
