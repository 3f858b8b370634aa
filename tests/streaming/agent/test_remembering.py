"""Memory as an executor: what a store has replaced."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streaming.agent.remembering import MemoryExecutor
from streaming.ports import CallContext, MemoryItem, ServiceError, StoreItem, TaskResult

CONTEXT = CallContext(user_id="u1", roles=("user",), session_id="s1", request_id="r1")


class Kept:
    """A memory with one item, or with what happens instead of its being read."""

    def __init__(self, item: MemoryItem | ServiceError | None) -> None:
        self.item = item
        self.stored: list[Any] = []

    async def retrieve(self, _key: str, _context: object) -> MemoryItem:
        if isinstance(self.item, ServiceError):
            raise self.item
        assert self.item is not None, "nothing is looked up without a key"
        return self.item

    async def store(self, item: StoreItem, _context: object) -> tuple[str, str]:
        self.stored.append(item.value)
        return item.key or "made", "2026-01-01T00:00:00Z"


def kept(value: Any, expires_at: str = "") -> MemoryItem:
    return MemoryItem("k", value, "", (), {}, "2026-01-01T00:00:00Z", expires_at)


def broken(code: str) -> ServiceError:
    return ServiceError(code, "no", service="memory")


def told(memory: Any, **parameters: Any) -> dict[str, Any]:
    async def body() -> dict[str, Any]:
        async for event in MemoryExecutor(memory).execute("t", "store", {"value": "Tom", **parameters}, CONTEXT):
            assert isinstance(event, TaskResult)
            return event.result
        raise AssertionError

    return asyncio.run(body())


@pytest.mark.parametrize(
    ("there", "replaced"),
    [
        (broken("NOT_FOUND"), {}),
        (kept("Tom"), {"known": True, "replaced": "Tom"}),
        (kept("Ann"), {"known": False, "replaced": "Ann"}),
        (kept(["Ann"]), {"known": False, "replaced": None}),
        (kept("Ann", "2027-01-01T00:00:00Z"), {"known": False, "replaced": None}),
        (broken("DATA_LOSS"), {"known": False, "replaced": None}),
    ],
)
def test_a_store_tells_what_it_has_replaced(there: MemoryItem | ServiceError, replaced: dict[str, Any]) -> None:
    memory = Kept(there)
    assert told(memory, key="k") == {"key": "k", "created_at": "2026-01-01T00:00:00Z", **replaced}
    assert memory.stored == ["Tom"]


def test_what_has_no_key_replaces_nothing() -> None:
    assert told(Kept(None)).keys() == {"key", "created_at"}


def test_nothing_is_stored_unless_it_is_known_what_is_replaced() -> None:
    memory = Kept(broken("UNAVAILABLE"))
    with pytest.raises(ServiceError, match="UNAVAILABLE"):
        told(memory, key="k")
    assert memory.stored == []
