"""Records of sessions in a real Redis: kept, claimed once, refused to those who lost them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from server.shared.redis_link import RedisLink
from server.shared.session_records import CLAIMED, ENTERED, SessionRecords
from server.shared.state import RedisState
from streaming.jarvis.journal import Head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import RedisServer

ADA = Head("ada", "token-1", 12.5)


@asynccontextmanager
async def records(url: str, life_s: float = 60.0) -> AsyncIterator[tuple[SessionRecords, list[tuple[str, Any]]]]:
    told: list[tuple[str, Any]] = []
    async with asyncio.TaskGroup() as group:
        link = RedisLink(url, group, lambda: None)
        state = RedisState(link)
        state.subscribe(lambda kind, news: told.append((kind, news)))
        probe = group.create_task(link.probe())
        yield SessionRecords(link, state, life_s), told
        probe.cancel()
        await link.close()


async def begin(store: SessionRecords, owner: str = "a", head: Head = ADA) -> str:
    return await store.write("kitchen", owner, head, {"core": "{}", "t1": "one", "t2": "two"}, [], "begin")


async def test_a_record_is_kept_changed_and_claimed(redis_url: str) -> None:
    async with records(redis_url) as (store, told):
        assert await begin(store) == "kept"
        assert await store.write("kitchen", "a", ADA, {"core": "[1]", "t3": "thrée"}, ["t1"], "update") == "kept"
        fields = await store.claim("kitchen", "b", "ada", "token-1")
        assert fields == {"owner": "a", "opened_at": "12.5", "core": "[1]", "t2": "two", "t3": "thrée"}
        assert told == [(CLAIMED, {"session_id": "kitchen", "owner": "a"})]
        assert await store.write("kitchen", "a", ADA, {"core": "late"}, [], "update") == "taken"
        assert await store.write("kitchen", "b", ADA, {"core": "[2]"}, [], "update") == "kept"


async def test_a_record_is_nobodys_but_its_users(redis_url: str) -> None:
    async with records(redis_url) as (store, told):
        await begin(store)
        assert await store.claim("kitchen", "b", "bob", "token-1") is None
        assert await store.claim("kitchen", "b", "ada", "token-2") is None
        assert await store.claim("attic", "b", "ada", "token-1") is None
        assert await begin(store, "c", Head("bob", "token-3", 0.0)) == "foreign"
        assert told == []


async def test_another_socket_of_the_session_is_told_and_leaves_the_old_record_to_be_resumed(redis_url: str) -> None:
    async with records(redis_url) as (store, told):
        await begin(store)
        assert await begin(store, "b", Head("ada", "token-2", 0.0)) == "kept"
        assert told == [(ENTERED, {"session_id": "kitchen", "owner": "b"})]
        assert await store.claim("kitchen", "c", "ada", "token-1") is not None


async def test_what_was_forgotten_is_written_whole(redis_url: str) -> None:
    async with records(redis_url) as (store, _told):
        assert await store.write("kitchen", "a", ADA, {"core": "{}"}, [], "update") == "lost"
        assert await store.write("kitchen", "a", ADA, {"core": "{}"}, [], "whole") == "kept"
        await store.forget("kitchen", "b", "token-1")
        assert await store.claim("kitchen", "b", "ada", "token-1") is not None
        await store.forget("kitchen", "b", "token-1")
        assert await store.claim("kitchen", "c", "ada", "token-1") is None


async def test_thousands_of_messages_fit_one_record(redis_url: str) -> None:
    async with records(redis_url) as (store, _told):
        many = {f"t{number}": "x" for number in range(9_000)}  # more than Lua unpacks at once
        assert await store.write("kitchen", "a", ADA, many, [], "begin") == "kept"
        assert await store.write("kitchen", "a", ADA, {"core": "{}"}, list(many), "update") == "kept"
        assert set(await store.claim("kitchen", "b", "ada", "token-1") or {}) == {"owner", "opened_at", "core"}


async def test_of_many_that_claim_each_gets_it_from_the_one_before(redis_url: str) -> None:
    async with records(redis_url) as (store, _told):
        await begin(store)
        found = await asyncio.gather(*(store.claim("kitchen", f"r{number}", "ada", "token-1") for number in range(20)))
        owners = [fields["owner"] for fields in found if fields]
        assert len(set(owners)) == len(owners) == 20
        written = [await store.write("kitchen", f"r{n}", ADA, {"core": "{}"}, [], "update") for n in range(20)]
        assert written.count("kept") == 1


async def test_a_record_ends_by_itself(redis_url: str) -> None:
    async with records(redis_url, life_s=0.05) as (store, _told):
        await begin(store)
        await asyncio.sleep(0.15)
        assert await store.claim("kitchen", "b", "ada", "token-1") is None


async def test_a_redis_that_stumbles_is_asked_again_and_one_that_is_gone_is_not_waited_for(
    own_redis: RedisServer,
) -> None:
    async with records(own_redis.url) as (store, _told):
        await begin(store)
        own_redis.freeze()
        assert await store.write("kitchen", "a", ADA, {"core": "x"}, [], "update") == "lost"
        asyncio.get_running_loop().call_later(0.5, own_redis.thaw)
        fields = await store.claim("kitchen", "b", "ada", "token-1")
        assert fields is not None
        own_redis.stop()
        assert await store.write("kitchen", "b", ADA, {"core": "x"}, [], "update") == "lost"
        assert await store.claim("kitchen", "c", "ada", "token-1") is None
        await store.forget("kitchen", "b", "token-1")
