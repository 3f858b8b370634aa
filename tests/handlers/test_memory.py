"""Memory over HTTP."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from server.errors import ERRORS
from streaming.ports import ConversationTurn, ServiceError
from tests.support.rest import document, problem, running

if TYPE_CHECKING:
    from pathlib import Path

    from tornado.httpclient import HTTPResponse

STORE = "/api/v1/memory/store"
ITEM = "/api/v1/memory/retrieve/favourite%20colour"


@pytest.mark.parametrize("value", ["blue", 5, 1.5, True, None, [1, {"a": []}], {"deep": {"er": [None]}}])
async def test_any_json_value_comes_back(tmp_path: Path, value: Any) -> None:
    async with running(tmp_path) as gw:
        body = {
            "key": "favourite colour", "value": value, "tags": ["preference"], "metadata": {"from": "me"},
            "session_id": "kitchen", "ttl_seconds": 60,
        }  # fmt: skip
        stored = await gw.fetch("POST", STORE, body)
        told = document(await gw.fetch("GET", ITEM))
    assert stored.code == 201
    assert document(stored) == {"key": "favourite colour", "created_at": "2026-01-01T00:00:00Z"}
    assert told == {
        "key": "favourite colour",
        "value": value,
        "session_id": "kitchen",
        "tags": ["preference"],
        "metadata": {"from": "me"},
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": None,
    }


async def test_a_key_is_made_when_none_is_given(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        assert document(await gw.fetch("POST", STORE, {"value": 1}))["key"] == "made"


async def test_a_value_is_stored_and_forgotten_once_for_each_idempotency_key(tmp_path: Path) -> None:
    body, delete = {"key": "favourite colour", "value": "blue"}, ITEM.replace("retrieve", "delete")
    async with running(tmp_path) as gw:
        first, again = [await gw.fetch("POST", STORE, body, headers={"Idempotency-Key": "s-1"}) for _ in range(2)]
        assert (first.code, again.code, again.body) == (201, 201, first.body)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert len(gw.script.contexts) == 1
        other = await gw.fetch("POST", STORE, body | {"value": "red"}, headers={"Idempotency-Key": "s-1"})
        assert problem(other) == (422, "IDEMPOTENCY_KEY_REUSED")
        forgotten = [await gw.fetch("DELETE", delete, headers={"Idempotency-Key": "d-1"}) for _ in range(2)]
        assert [answer.code for answer in forgotten] == [204, 204]
        assert problem(await gw.fetch("DELETE", delete)) == (404, "NOT_FOUND")


async def test_another_users_key_does_not_exist(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        await gw.fetch("POST", STORE, {"key": "favourite colour", "value": "blue"})
        stranger = await gw.fetch("GET", ITEM, user="eve")
        deleted = await gw.fetch("DELETE", ITEM.replace("retrieve", "delete"), user="eve")
        assert problem(stranger) == problem(deleted) == (404, "NOT_FOUND")
        assert (await gw.fetch("GET", ITEM)).code == 200


async def test_forgetting(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        await gw.fetch("POST", STORE, {"key": "favourite colour", "value": "blue"})
        forgotten = await gw.fetch("DELETE", ITEM.replace("retrieve", "delete"))
        assert (forgotten.code, forgotten.body) == (204, b"")
        assert "Content-Type" not in forgotten.headers
        assert problem(await gw.fetch("GET", ITEM)) == (404, "NOT_FOUND")


async def test_search(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        await gw.fetch("POST", STORE, {"key": "a", "value": "blue"})
        told = document(await gw.fetch("POST", "/api/v1/memory/search", {"query": "blue", "limit": 5, "tags": ["x"]}))
    assert [(hit["key"], hit["value"], hit["score"]) for hit in told["results"]] == [("a", "blue", 0.5)]


async def test_conversation(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.turns = [
            ConversationTurn("user", "hello"),
            ConversationTurn("assistant", "hi", "2026-01-01T00:00:00Z"),
        ]
        told = document(await gw.fetch("GET", "/api/v1/memory/context/kitchen?limit=1"))
    assert told == {
        "session_id": "kitchen",
        "turns": [{"role": "assistant", "text": "hi", "at": "2026-01-01T00:00:00Z"}],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"value": 1, "key": ""},
        {"value": 1, "key": "a/b"},
        {"value": 1, "key": "a\n"},
        {"value": 1, "key": "x" * 257},
        {"value": 1, "ttl_seconds": 0},
        {"value": 1, "ttl_seconds": "60"},
        {"value": 1, "tags": ["x"] * 33},
        {"value": 1, "tags": "x"},
        {"value": 1, "metadata": []},
    ],
)
async def test_what_cannot_be_remembered(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with running(tmp_path) as gw:
        assert problem(await gw.fetch("POST", STORE, wrong)) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("key", ["a/b", "a\n", "x" * 257])
async def test_a_wrong_key_gets_the_same_words_everywhere(tmp_path: Path, key: str) -> None:
    words = "a key has 1 to 256 characters, no slash and no control character"
    async with running(tmp_path) as gw:
        answers = [
            await gw.fetch("POST", STORE, {"value": 1, "key": key}),
            await gw.fetch("GET", f"/api/v1/memory/retrieve/{quote(key, safe='')}"),
            await gw.fetch("DELETE", f"/api/v1/memory/delete/{quote(key, safe='')}"),
        ]
        for answer in answers:
            assert problem(answer) == (422, "VALIDATION_ERROR")
            assert document(answer)["errors"][0]["detail"] == words


@pytest.mark.parametrize(
    "key", ["\u092e\u0947\u0930\u093e \u0930\u0902\u0917", "\u0e2a\u0e35\u0e17\u0e35\u0e48", "caf\u00e9"]
)
async def test_keys_of_other_scripts_are_kept_composed(tmp_path: Path, key: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", STORE, {"value": 1, "key": unicodedata.normalize("NFD", key)})
        assert (answer.code, document(answer)["key"]) == (201, key)


async def test_what_a_full_memory_refused_may_be_stored_later_with_the_same_key(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:

        async def ask() -> int:
            body = {"key": "colour", "value": "blue"}
            return (await gw.fetch("POST", STORE, body, headers={"Idempotency-Key": "s-1"})).code

        gw.script.failing["memory"] = ServiceError("RESOURCE_EXHAUSTED", "the disk is full", service="memory")
        assert await ask() == 429
        gw.script.failing["memory"] = ServiceError("DEADLINE_EXCEEDED", "who knows", service="memory")
        assert await ask() == 504
        del gw.script.failing["memory"]
        assert await ask() == 504  # it may have been stored


async def test_an_error_that_its_key_keeps_says_so_the_first_time_too(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:

        async def ask(**headers: str) -> HTTPResponse:
            return await gw.fetch("POST", STORE, {"key": "colour", "value": "blue"}, headers=headers)

        gw.script.failing["memory"] = ServiceError("UNAVAILABLE", "it went away", service="memory", retry_after_ms=2000)
        answers = [await ask(**{"Idempotency-Key": "s-1"}) for _ in range(2)]
        without_a_key = await ask()
    for answer in answers:
        assert answer.code == 503
        assert document(answer)["retryable"] is False
        assert document(answer)["detail"].endswith(
            "this Idempotency-Key keeps this answer: take a new one to try again"
        )
        assert "Retry-After" not in answer.headers
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true"]
    assert without_a_key.headers["Retry-After"] == "2"
    assert "retryable" not in document(without_a_key)


@pytest.mark.parametrize("code", sorted(code for code, kind in ERRORS.items() if kind.retryable))
@pytest.mark.parametrize("of", ["memory", "gateway"])
async def test_a_key_whose_request_failed_is_free_or_the_failure_is_final(tmp_path: Path, code: str, of: str) -> None:
    await _fails_twice(tmp_path, ServiceError(code, "it failed", service=of))


async def test_so_it_is_when_the_gateway_waited_in_vain(tmp_path: Path) -> None:
    failed = await _fails_twice(tmp_path, TimeoutError())
    assert (failed["code"], failed["retryable"]) == ("DEADLINE_EXCEEDED", False)


async def _fails_twice(tmp_path: Path, failure: Exception) -> dict[str, Any]:
    async with running(tmp_path) as gw:
        gw.script.failing["memory"] = failure
        body, key = {"key": "colour", "value": "blue"}, {"Idempotency-Key": "s-1"}
        first, again = [await gw.fetch("POST", STORE, body, headers=key) for _ in range(2)]
        kept = again.headers.get("Idempotency-Replayed") == "true"
    assert kept == (document(first).get("retryable") is False)
    assert document(again)["code"] == document(first)["code"]
    failed: dict[str, Any] = document(first)
    return failed
