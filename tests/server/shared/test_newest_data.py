"""What Redis confirmed and then lost: it was full, read-only or gone, or another one took over that had not heard of it yet."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from server.errors import ApiError
from server.shared import recent, state
from server.shared.idempotency import IdempotencyKey, IdempotencyStore, StoredAnswer
from server.shared.in_process_state import ANSWERS
from server.shared.recent import Recent
from server.shared.state import RedisState
from server.shared.store_epoch import StoreEpoch
from tests.server.redis_support import running_link, until_up
from tests.server.shared.test_redis_link import CountingWire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from server.shared.redis_link import RedisLink
    from tests.conftest import RedisServer

    Fault = Callable[[RedisLink, RedisServer], Awaitable[None]]

ANSWER = StoredAnswer(200, "application/json", "{}")
KEY, OTHER = IdempotencyKey("ada", "k", "request"), IdempotencyKey("ada", "other", "request")


@asynccontextmanager
async def telling(url: str) -> AsyncIterator[tuple[RedisState, StoreEpoch]]:
    """A replica's state, which tells late, and its epoch, which beats when a test says so."""
    async with running_link(url) as link, asyncio.TaskGroup() as group:
        shared = RedisState(link)
        epoch = StoreEpoch(link, "here")
        epoch.on_news.append(shared.write_anew)
        await epoch.beat()
        loop = group.create_task(shared.tell_late(), name="tell late")
        try:
            yield shared, epoch
        finally:
            loop.cancel()


async def refused_as(store: IdempotencyStore, key: IdempotencyKey) -> str:
    with pytest.raises(ApiError) as refused:
        await store.claim(key)
    return refused.value.code


async def full(link: RedisLink, _server: RedisServer) -> None:
    await link.call("CONFIG", "SET", "maxmemory", "1", patient=True)


async def emptied(_link: RedisLink, server: RedisServer) -> None:
    server.flush()


async def gone(link: RedisLink, server: RedisServer) -> None:
    server.stop()
    while link.up:
        await asyncio.gather(link.submit("PING"), return_exceptions=True)


@pytest.mark.parametrize("fault", [full, emptied, gone])
async def test_what_runs_or_ran_here_does_not_run_again_here(own_redis: RedisServer, fault: Fault) -> None:
    async with running_link(own_redis.url) as link:
        store = IdempotencyStore(RedisState(link))
        assert await store.claim(KEY) is None
        assert await store.claim(OTHER) is None
        await store.keep(OTHER, ANSWER)
        await fault(link, own_redis)
        assert await refused_as(store, KEY) == "IDEMPOTENCY_IN_PROGRESS"
        assert await store.claim(OTHER) == ANSWER
        await store.keep(KEY, ANSWER)
        assert await store.claim(KEY) == ANSWER
        await store.release(KEY)  # nothing is held any more


async def test_a_full_redis_still_tells_other_replicas_what_ran(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as here, running_link(own_redis.url) as there:
        asked, other = IdempotencyStore(RedisState(here)), IdempotencyStore(RedisState(there))
        assert await asked.claim(KEY) is None
        await asked.keep(KEY, ANSWER)
        await full(here, own_redis)
        assert await other.claim(KEY) == ANSWER
        assert await other.claim(OTHER) is None


async def test_a_released_claim_is_free_here_too(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        store = IdempotencyStore(RedisState(link))
        assert await store.claim(KEY) is None
        await store.release(KEY)
        assert await store.claim(KEY) is None


async def test_all_sign_outs_are_stored_again_in_a_redis_that_lost_them(own_redis: RedisServer) -> None:
    """A replica that starts later asks Redis only."""
    async with telling(own_redis.url) as (here, epoch):
        await here.revoke("of now", time.time() + 60)
        here._local.note_revoked("heard of", time.time() + 60)
        own_redis.flush()
        await epoch.beat()
        async with running_link(own_redis.url) as link:
            started = RedisState(link)
            while [await started.revocation(token) for token in ("of now", "heard of")] != [True, True]:
                await asyncio.sleep(0.01)
            assert started.revoked("of now", "heard of")


async def test_what_was_claimed_or_taken_just_before_is_told_again(own_redis: RedisServer) -> None:
    """Another Redis takes over, which has still what was taken, and has not what was claimed, answered or signed out."""
    async with telling(own_redis.url) as (here, epoch), running_link(own_redis.url) as link:
        there = RedisState(link)
        await here.put("ticket", "ada", 60)
        assert await here.take("ticket") == "ada"
        assert await here.put("answered", "1", 60, only_new=True)
        assert await here.put("withdrawn", "mine", 60, only_new=True)
        await here.remove("withdrawn", "mine")
        store = IdempotencyStore(here)
        assert await store.claim(KEY) is None
        await here.revoke("t", time.time() + 60)
        own_redis.flush()
        await link.call("SET", "jarvis:ticket", "ada")
        await epoch.beat()
        while await link.call("EXISTS", "jarvis:ticket") or not await link.call("EXISTS", f"jarvis:{KEY.name}"):
            await asyncio.sleep(0.01)
        assert await there.take("ticket") is None
        assert not await there.put("answered", "1", 60, only_new=True)
        assert await there.put("withdrawn", "theirs", 60, only_new=True)
        assert await refused_as(IdempotencyStore(there), KEY) == "IDEMPOTENCY_IN_PROGRESS"
        assert await there.revocation("t")


async def test_many_are_told_again_together(own_redis: RedisServer) -> None:
    """One after the other would take as many ways to Redis and back."""
    async with telling(own_redis.url) as (here, epoch), running_link(own_redis.url) as link:
        counting = CountingWire(here._link)
        for number in range(300):
            assert await here.put(f"claim{number}", "mine", 60, only_new=True)
        own_redis.flush()
        counting.sizes.clear()
        await epoch.beat()
        while not await link.call("EXISTS", "jarvis:claim299"):
            await asyncio.sleep(0.01)
        assert sum(counting.sizes) >= 300
        assert len(counting.sizes) < 30


async def test_an_answer_replaces_the_claim_that_an_older_redis_still_has(own_redis: RedisServer) -> None:
    """Else every replica would say for a day that the request still runs."""
    async with telling(own_redis.url) as (here, epoch), running_link(own_redis.url) as link:
        store = IdempotencyStore(here)
        assert await store.claim(KEY) is None
        claim = await link.call("GET", f"jarvis:{KEY.name}")
        await store.keep(KEY, ANSWER)
        own_redis.flush()
        await link.call("SET", f"jarvis:{KEY.name}", claim)
        await epoch.beat()
        while "status" not in json.loads(await link.call("GET", f"jarvis:{KEY.name}")):
            await asyncio.sleep(0.01)
        assert await IdempotencyStore(RedisState(link)).claim(KEY) == ANSWER


async def test_a_claim_of_another_replica_is_not_taken_from_it(own_redis: RedisServer) -> None:
    async with telling(own_redis.url) as (here, epoch), running_link(own_redis.url) as link:
        assert await here.put("answered", "here", 60, only_new=True)
        own_redis.flush()
        assert await RedisState(link).put("answered", "there", 60, only_new=True)
        await epoch.beat()
        await asyncio.gather(here._tell_values(), here.put("later", "", 60))
        assert await link.call("GET", "jarvis:answered") == b"there"


def test_only_the_newest_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_RECENT", 2)
    now, told = 0.0, list[str]()
    noted = Recent(lambda: now)
    for name in ("a", "b", "c", "d"):
        noted.note(name, partial(told.append, name))
    noted.drop("d")
    noted.drop("never noted")
    noted.tell_again()
    assert told == ["c"]
    now = recent.RECENT_S
    noted.tell_again()
    assert told == ["c"]


async def test_a_copy_is_kept_no_longer_than_somebody_asks_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "COPY_S", 0.0)
    async with running_link(redis_url) as link:
        shared = RedisState(link)
        assert await shared.put("k", "v", 60, only_new=True)
        assert await shared._copies.get("k") is None
        assert not await shared.put("k", "v", 60, only_new=True)


async def test_copies_have_so_much_room(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis still has what is over."""
    monkeypatch.setattr(state, "COPIES_CHARS", 100)
    async with running_link(redis_url) as link:
        shared = RedisState(link)
        names = [f"{ANSWERS}{n}" for n in range(3)]
        for name in names:
            assert await shared.put(name, "x" * 50, 60, owner="ada")
        assert [await shared._copies.get(name) is not None for name in names] == [False, True, True]
        assert not await shared.put(names[0], "again", 60, only_new=True)


@pytest.mark.parametrize("closes", [False, True], ids=["asked for", "closed"])
async def test_what_was_asked_for_while_redis_was_away_is_there_afterwards_unless_closed(
    own_redis: RedisServer, closes: bool
) -> None:
    """Who was told "cannot be looked up just now" asks again. A question that was withdrawn meanwhile is over."""
    async with running_link(own_redis.url) as link, running_link(own_redis.url) as other:
        here, there = RedisState(link), RedisState(other)
        await here.put("ticket", "ada", 60)
        own_redis.freeze()
        assert await here.ping() is None
        assert await here.take("ticket", closes=closes) is None
        own_redis.thaw()
        await until_up(link)
        await until_up(other)
        await here._tell_values()
        assert await there.get("ticket") == (None if closes else "ada")
        assert await here.take("ticket") == (None if closes else "ada")


async def test_what_redis_did_not_have_yet_can_be_taken_although_it_was_lost_again(own_redis: RedisServer) -> None:
    """The replica that issued a ticket while Redis was away tells it later than another one is asked for it."""
    async with telling(own_redis.url) as (here, epoch), running_link(own_redis.url) as link:
        assert await here.take("ticket") is None
        await RedisState(link).put("ticket", "ada", 60)
        own_redis.flush()
        await link.call("SET", "jarvis:ticket", "ada")
        await epoch.beat()
        await here._recall()
        assert await here.take("ticket") == "ada"
