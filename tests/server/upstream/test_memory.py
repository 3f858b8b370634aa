from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from protos import memory_pb2
from streaming.ports import ConversationTurn, MemoryHit, MemoryItem, ServiceError, StoreItem
from tests.server.upstream.observing import CALLER
from tests.support.services import FakeServices, Fault

if TYPE_CHECKING:
    from tests.support.services import Call

ODD_VALUES: list[Any] = [None, 0, 1.0, 12345678901234567890, 0.1, 'ü\n"', [], {}, {"b": [1, {"a": None}]}, 1e300]


async def keep_one(fakes: FakeServices) -> None:
    """A memory of one item: what was stored last comes back."""
    kept = memory_pb2.StoreRequest()

    async def store(call: Call) -> None:
        kept.CopyFrom(await call.read())
        await call.write(memory_pb2.StoreResponse(key=kept.key or "made", created_at="2026-01-01T00:00:00Z"))

    async def retrieve(call: Call) -> None:
        await call.read()
        await call.write(
            memory_pb2.Item(
                key=kept.key,
                value_json=kept.value_json,
                session_id=kept.session_id,
                tags=kept.tags,
                metadata_json=kept.metadata_json,
                created_at="2026-01-01T00:00:00Z",
            )
        )

    fakes.memory.on("Store", store)
    fakes.memory.on("Retrieve", retrieve)


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
async def test_any_json_value_comes_back_as_it_was_given(value: Any) -> None:
    async with FakeServices("memory") as fakes, fakes.upstream() as upstream:
        await keep_one(fakes)
        memory = upstream.services.memory
        item = StoreItem(value, "k", ("a", "b"), {"n": 10**25, "deep": [value]}, 60)
        assert await memory.store(item, CALLER) == ("k", "2026-01-01T00:00:00Z")
        back = await memory.retrieve("k", CALLER)
        request = fakes.memory.calls[0].requests[0]
    assert back == MemoryItem("k", value, "s-1", ("a", "b"), item.metadata, "2026-01-01T00:00:00Z", "")
    assert type(back.value) is type(value)
    assert (request.user_id, request.session_id, request.ttl_seconds) == ("u-1", "s-1", 60)


@pytest.mark.parametrize("value", [math.nan, object(), "\ud800", {1: {2, 3}}], ids=["nan", "object", "text", "set"])
async def test_what_is_no_json_is_the_callers_mistake(value: Any) -> None:
    async with FakeServices("memory") as fakes, fakes.upstream() as upstream:
        with pytest.raises(ServiceError, match="INVALID_ARGUMENT"):
            await upstream.services.memory.store(StoreItem(value), CALLER)
        assert fakes.memory.calls == []


@pytest.mark.parametrize(
    ("value_json", "metadata_json"), [("", ""), ("{", ""), ("NaN", ""), ("1", "[]"), ("[" * 100_000, "")]
)
async def test_a_stored_text_that_is_no_json_is_the_services_fault(value_json: str, metadata_json: str) -> None:
    async with FakeServices("memory") as fakes, fakes.upstream() as upstream:
        fakes.memory.answer("Retrieve", memory_pb2.Item(value_json=value_json, metadata_json=metadata_json))
        with pytest.raises(ServiceError, match="INTERNAL"):
            await upstream.services.memory.retrieve("k", CALLER)


async def test_storing_is_sent_again_only_when_it_replaces() -> None:
    async with FakeServices("memory") as fakes, fakes.upstream() as upstream:
        await keep_one(fakes)
        fakes.memory.faults.append(Fault(grpc.StatusCode.UNAVAILABLE))
        assert (await upstream.services.memory.store(StoreItem(1, "k"), CALLER))[0] == "k"
        fakes.memory.faults.append(Fault(grpc.StatusCode.UNAVAILABLE))
        with pytest.raises(ServiceError, match="UNAVAILABLE"):
            await upstream.services.memory.store(StoreItem(1), CALLER)
        assert len(fakes.memory.calls) == 3


async def test_not_found_is_passed_on_and_deleting_works() -> None:
    async with FakeServices("memory") as fakes, fakes.upstream() as upstream:
        fakes.memory.faults.append(Fault(grpc.StatusCode.NOT_FOUND, "no such key"))
        with pytest.raises(ServiceError, match="NOT_FOUND: no such key"):
            await upstream.services.memory.retrieve("k", CALLER)
        fakes.memory.answer("Delete", memory_pb2.DeleteResponse())
        await upstream.services.memory.delete("k", CALLER)
        assert fakes.memory.calls[1].requests[0] == memory_pb2.DeleteRequest(user_id="u-1", key="k")


async def test_search() -> None:
    async with FakeServices("memory") as fakes, fakes.upstream() as upstream:
        item = memory_pb2.Item(key="k", value_json='"blue"', expires_at="2027-01-01T00:00:00Z")
        fakes.memory.answer("Search", memory_pb2.SearchResponse(results=[memory_pb2.Hit(item=item, score=0.5)]))
        hits = await upstream.services.memory.search("colour", 3, ["t"], CALLER)
        request = fakes.memory.calls[0].requests[0]
        with pytest.raises(ServiceError, match="INVALID_ARGUMENT"):
            await upstream.services.memory.search("colour", -1, [], CALLER)
    assert hits == [MemoryHit(MemoryItem("k", "blue", "", (), {}, "", "2027-01-01T00:00:00Z"), 0.5)]
    assert request == memory_pb2.SearchRequest(user_id="u-1", query="colour", limit=3, tags=["t"])


async def test_the_conversation() -> None:
    async with FakeServices("memory") as fakes, fakes.upstream() as upstream:
        fakes.memory.answer("PutTurn", memory_pb2.PutTurnResponse(at="x"))
        turns = [memory_pb2.StoredTurn(role="user", text="hi", at="2026-01-01T00:00:00Z", turn_id="t")]
        fakes.memory.answer("Context", memory_pb2.ContextResponse(turns=turns))
        await upstream.services.memory.put_turn("t", "user", "hi", CALLER)
        assert await upstream.services.memory.conversation("other", 5, CALLER) == [
            ConversationTurn("user", "hi", "2026-01-01T00:00:00Z", "t")
        ]
        put, asked = (call.requests[0] for call in fakes.memory.calls)
    assert put == memory_pb2.PutTurnRequest(user_id="u-1", session_id="s-1", turn_id="t", role="user", text="hi")
    assert asked == memory_pb2.ContextRequest(user_id="u-1", session_id="other", limit=5)
