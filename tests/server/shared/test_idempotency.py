"""One key, one request, one answer."""

from __future__ import annotations

import asyncio

import pytest

from server.errors import ApiError
from server.shared.idempotency import IdempotencyStore, StoredAnswer, fingerprint
from server.shared.state import LocalState

ANSWER = StoredAnswer(200, "application/json", '{"a":1}')
ASKED = fingerprint("executor.search", {"query": "tea", "max_results": 5})


def test_a_fingerprint_is_of_the_request_and_not_of_its_spelling() -> None:
    assert fingerprint("a", {"x": 1, "y": {"b": 2, "a": 3}}) == fingerprint("a", {"y": {"a": 3, "b": 2}, "x": 1})
    assert fingerprint("a", {"x": 1}) != fingerprint("b", {"x": 1})
    assert fingerprint("a", {"x": 1}) != fingerprint("a", {"x": "1"})


async def test_the_answer_is_kept_for_its_user() -> None:
    store = IdempotencyStore(LocalState())
    assert await store.begin("ada", "k", ASKED) is None
    await store.store("ada", "k", ASKED, ANSWER)
    assert await store.begin("ada", "k", ASKED) == ANSWER
    assert await store.begin("eve", "k", ASKED) is None


async def test_only_one_of_many_runs() -> None:
    store = IdempotencyStore(LocalState())
    ended = await asyncio.gather(*(store.begin("ada", "k", ASKED) for _ in range(10)), return_exceptions=True)
    assert ended.count(None) == 1
    assert {error.code for error in ended if isinstance(error, ApiError)} == {"IDEMPOTENCY_IN_PROGRESS"}


async def test_another_request_with_the_same_key() -> None:
    store = IdempotencyStore(LocalState())
    await store.begin("ada", "k", ASKED)
    with pytest.raises(ApiError) as refused:
        await store.begin("ada", "k", fingerprint("executor.search", {"query": "coffee"}))
    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"


async def test_a_released_key_is_free() -> None:
    store = IdempotencyStore(LocalState())
    await store.begin("ada", "k", ASKED)
    await store.release("ada", "k")
    assert await store.begin("ada", "k", ASKED) is None


async def test_users_and_keys_do_not_run_together() -> None:
    store = IdempotencyStore(LocalState())
    assert await store.begin("ad", "ak", ASKED) is None
    assert await store.begin("ada", "k", ASKED) is None
