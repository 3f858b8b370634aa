"""Records of sessions in a real Redis: stored, claimed once, and refused to replicas that lost them."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from server.shared import session_records, store_epoch
from server.shared.redis_link import RedisLink
from server.shared.session_records import BEGUN_ANEW, CLAIMED, SessionRecords
from server.shared.state import REVOKED, RedisState
from server.shared.store_epoch import GAP_S, StoreEpoch
from streaming.jarvis.journal import DECIDE, Change, SessionHead, WriteOutcome, Writer
from tests.server.redis_support import running_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from server.shared.redis_urls import RedisCommand
    from tests.conftest import RedisServer

ADA = SessionHead("ada", "token-1", 12.5, "e1")


@asynccontextmanager
async def records(url: str, life_s: float = 60.0) -> AsyncIterator[tuple[SessionRecords, list[tuple[str, Any]]]]:
    told: list[tuple[str, Any]] = []
    async with asyncio.TaskGroup() as group:
        link = RedisLink(url, group, lambda: None)
        state = RedisState(link)
        state.subscribe(lambda kind, news: told.append((kind, news)))
        probe = group.create_task(link.probe())
        yield SessionRecords(link, StoreEpoch(link, "r"), state, life_s), told
        probe.cancel()
        await link.close()


async def whole(
    store: SessionRecords,
    owner: str = "a",
    head: SessionHead = ADA,
    *,
    term: int = 0,
    version: int = 1,
    order: int = 0,
    **fields: str,
) -> WriteOutcome:
    change = Change({"core": "{}", "t1": "one", "t2": "two"}, [], whole=True, version=version, builds_on=0, order=order)
    return await store.write("kitchen", Writer(owner, term), head, change)


async def update(
    store: SessionRecords, writer: Writer, version: int, gone: Sequence[str] = (), order: int = 0, **fields: str
) -> str:
    change = Change(fields, gone, False, version, version - 1, order)
    return (await store.write("kitchen", writer, ADA, change)).written


A, B = Writer("a"), Writer("b", 1)


async def begin(store: SessionRecords, owner: str = "a", head: SessionHead = ADA, order: int = 0) -> str:
    return (await whole(store, owner, head, order=order)).written


@pytest.mark.parametrize("revoked", ["token", "family"])
async def test_a_session_whose_token_was_signed_out_is_not_claimed(redis_url: str, revoked: str) -> None:
    async with records(redis_url) as (store, told):
        ids = '["token", "family"]'
        change = Change({"core": "{}", "signed_out_by": ids}, [], whole=True, version=1, builds_on=0, order=0)
        await store.write("kitchen", A, ADA, change)
        async with running_link(redis_url) as link:  # of another replica, whose news this one does not hear
            await link.call("ZADD", REVOKED, time.time() + 600, revoked)
        assert await store.claim("kitchen", "b", "ada", "token-1", "a") == "ours"
        assert told == [("revoked", {"token_id": revoked, "until": told[0][1]["until"]})]  # whose listeners end it here
        assert await store.claim("kitchen", "b", "ada", "token-1", "") == "unknown"
        assert await store.claim("kitchen", "c", "ada", "token-1", "") == "unknown"
        async with running_link(redis_url) as link:
            left = await link.call("KEYS", "jarvis:session:*")
        assert sorted(left) == [b"jarvis:session:{kitchen}:user"]


async def test_a_record_is_kept_changed_and_claimed(redis_url: str) -> None:
    async with records(redis_url) as (store, told):
        assert await begin(store) == "kept"
        assert await update(store, A, 2, ["t1"], core="[1]", t3="thrée") == "kept"
        assert await store.claim("kitchen", "b", "ada", "token-1", "a") == "ours"
        fields = await store.claim("kitchen", "b", "ada", "token-1", "c")
        numbers = {"claims": "1", "version": "2", "order": "0", "epoch": "e1"}
        assert fields == {"owner": "a", "opened_at": "12.5", "core": "[1]", "t2": "two", "t3": "thrée", **numbers}
        assert told == [(CLAIMED, {"session_id": "kitchen", "owner": "a"})]
        assert await update(store, A, 3, core="late") == "taken"
        assert await update(store, B, 3, core="[2]") == "kept"


async def test_a_client_that_comes_back_waits_for_one_round_trip(redis_url: str) -> None:
    async with records(redis_url) as (store, told):
        await begin(store)
        await store.claim("kitchen", "b", "ada", "token-1", "a")  # Redis knows the script from here on
        batches: list[list[str]] = []
        run = store._link._wire.run

        async def counted(commands: Sequence[RedisCommand]) -> list[Any]:
            batches.append([str(command[0]) for command in commands])
            return await run(commands)

        store._link._wire.run = counted  # type: ignore[method-assign]
        assert not isinstance(await store.claim("kitchen", "c", "ada", "token-1", ""), str)
        assert told[-1] == (CLAIMED, {"session_id": "kitchen", "owner": "a"})
        assert len(batches) == 1, batches


async def test_in_a_cluster_the_store_is_asked_before_the_record(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisLink, "one_server", False)
    monkeypatch.setattr(session_records, "REWRITTEN_WITHIN_S", 0.2)
    async with records(redis_url) as (store, _told):
        await begin(store)
        await store._link.call("FLUSHALL")
        assert await store.claim("kitchen", "b", "ada", "token-1", "") == "unknown"
        assert (await whole(store, version=2)).written == "kept"
        assert await store.claim("kitchen", "b", "ada", "token-1", "a") == "ours"
        assert not isinstance(await store.claim("kitchen", "b", "ada", "token-1", ""), str)


async def test_a_record_is_nobodys_but_its_users(redis_url: str) -> None:
    async with records(redis_url) as (store, told):
        await begin(store)
        assert await store.claim("kitchen", "b", "bob", "token-1", "") == "unknown"
        assert await store.claim("kitchen", "b", "ada", "token-2", "") == "unknown"
        assert await store.claim("attic", "b", "ada", "token-1", "") == "unknown"
        assert await begin(store, "c", SessionHead("bob", "token-3", 0.0, "e3")) == "foreign"
        assert told == []


async def test_the_epoch_that_the_client_uses_makes_the_others_unusable(redis_url: str) -> None:
    async with records(redis_url) as (store, told):
        first, second = ADA, SessionHead("ada", "token-2", 0.0, "e2")
        order = (await whole(store, "a", first, order=DECIDE)).order
        assert order > 1_700_000_000_000
        assert (await whole(store, "b", second)).written == "kept"
        assert await update(store, A, 2, order=order, core="1") == "kept"  # the new one may still be given up
        assert told == []
        assert (await whole(store, "b", second, order=DECIDE, version=2)).order > order
        assert told == [(BEGUN_ANEW, {"session_id": "kitchen"})]
        assert await update(store, A, 3, order=order, core="2") == "superseded"
        assert await store.claim("kitchen", "c", "ada", "token-1", "a") == "superseded"
        assert await store.claim("kitchen", "c", "ada", "token-2", "a") != "superseded"


async def test_what_was_forgotten_is_written_whole(redis_url: str) -> None:
    async with records(redis_url) as (store, _told):
        assert await update(store, A, 2, core="{}") == "lost"
        assert await begin(store) == "kept"
        assert await update(store, A, 3, core="{}") == "lost"  # an older one was put back
        await store.forget("kitchen", B, "token-1")
        assert await store.claim("kitchen", "b", "ada", "token-1", "") != "unknown"
        await store.forget("kitchen", B, "token-1")
        assert await store.claim("kitchen", "c", "ada", "token-1", "") == "unknown"


async def test_in_a_redis_that_forgot_a_claim_the_later_writer_wins(redis_url: str) -> None:
    async with records(redis_url) as (store, _told):
        await begin(store)
        assert await update(store, B, 2, core="{}") == "lost"
        assert (await whole(store, "b", term=1)).written == "kept"
        assert await update(store, A, 2, core="{}") == "taken"
        assert (await whole(store, "a", version=9)).written == "taken"


async def test_thousands_of_messages_fit_one_record(redis_url: str) -> None:
    async with records(redis_url) as (store, _told):
        many = {f"t{number}": "x" for number in range(9_000)}  # more than Lua unpacks at once
        assert (await store.write("kitchen", A, ADA, Change(many, [], True, 1, 0, 0))).written == "kept"
        assert await update(store, A, 2, list(many), core="{}") == "kept"
        found = await store.claim("kitchen", "b", "ada", "token-1", "")
        assert set(found) == {"owner", "opened_at", "core", "claims", "version", "order", "epoch"}


async def test_of_many_that_claim_each_gets_it_from_the_one_before(redis_url: str) -> None:
    async with records(redis_url) as (store, _told):
        await begin(store)
        found = await asyncio.gather(
            *(store.claim("kitchen", f"r{number}", "ada", "token-1", "") for number in range(20))
        )
        owners = [fields["owner"] for fields in found if not isinstance(fields, str)]
        assert len(set(owners)) == len(owners) == 20
        written = [await update(store, Writer(f"r{n}", 20), 2, core="{}") for n in range(20)]
        assert written.count("kept") == 1


async def test_a_record_ends_by_itself(redis_url: str) -> None:
    async with records(redis_url, life_s=0.05) as (store, _told):
        await begin(store)
        await asyncio.sleep(0.15)
        assert await store.claim("kitchen", "b", "ada", "token-1", "") == "unknown"


async def test_a_redis_that_stumbles_is_asked_again_and_one_that_is_gone_is_not_waited_for(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_epoch, "GAP_S", 60.0)
    async with records(own_redis.url) as (store, _told):
        await begin(store)
        own_redis.freeze()
        assert await update(store, A, 2, core="x") == "lost"
        asyncio.get_running_loop().call_later(0.5, own_redis.thaw)
        assert await store.claim("kitchen", "b", "ada", "token-1", "") != "unknown"
        own_redis.stop()
        assert await update(store, B, 2, core="x") == "lost"
        assert await store.claim("kitchen", "c", "ada", "token-1", "") == "unreachable"
        await store.forget("kitchen", B, "token-1")


# --- the store's epoch ---


async def test_a_record_that_may_be_old_is_claimed_only_when_it_was_written_anew(own_redis: RedisServer) -> None:
    async with records(own_redis.url) as (store, _told):
        await begin(store)
        own_redis.freeze()
        await asyncio.sleep(GAP_S)  # of which Redis knows only by its clock
        own_redis.thaw()
        assert await store.claim("kitchen", "b", "ada", "token-1", "") == "unknown"
        assert (await whole(store, version=2)).written == "kept"
        assert await store.claim("kitchen", "b", "ada", "token-1", "") != "unknown"


async def test_a_session_that_got_a_new_token_in_an_outage_is_waited_for(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_records, "REWRITTEN_WITHIN_S", 60.0)
    async with asyncio.TaskGroup() as group, records(redis_url) as (store, _told):
        await begin(store)
        await store._link.call("FLUSHALL")
        await store._epoch.beat()  # Redis is back, and its replica has not written yet
        claiming = group.create_task(store.claim("kitchen", "b", "ada", "token-9", ""))
        await asyncio.sleep(0.2)
        assert (await whole(store, head=SessionHead("ada", "token-9", 12.5, "e1"), version=2)).written == "kept"
        assert not isinstance(await claiming, str)
        monkeypatch.setattr(session_records, "REWRITTEN_WITHIN_S", 0.1)
        assert await store.claim("kitchen", "b", "ada", "token-8", "") == "unknown"  # not waited for for ever


async def test_a_redis_that_was_started_with_old_data_holds_nothing_to_claim(own_redis: RedisServer) -> None:
    async with records(own_redis.url) as (store, _told):
        await begin(store)
        await asyncio.to_thread(own_redis.save)
        await update(store, A, 2, core="newer")
        own_redis.stop()
        own_redis.start()
        assert await store.claim("kitchen", "b", "ada", "token-1", "") == "unknown"
        assert await update(store, A, 3, core="newest") == "lost"
        assert (await whole(store, version=4)).written == "kept"
        assert await store.claim("kitchen", "b", "ada", "token-1", "") != "unknown"


async def renewed(store: SessionRecords, token: str, former: str, version: int) -> str:
    """Written under a new token by A, which could not write for a while."""
    change = Change({"core": token}, [], whole=True, version=version, builds_on=1, order=0, former=former)
    return (await store.write("kitchen", A, SessionHead("ada", token, 12.5, "e1"), change)).written


async def test_a_client_that_missed_its_new_tokens_finds_the_record_by_an_old_one(redis_url: str) -> None:
    async with records(redis_url) as (store, told):
        await begin(store)
        assert await renewed(store, "token-8", "token-1", 2) == "kept"
        assert await renewed(store, "token-9", "token-8", 3) == "kept"
        assert await store.claim("kitchen", "b", "bob", "token-1", "") == "unknown"
        assert await store.claim("kitchen", "b", "ada", "token-1", "a") == "ours"
        found = await store.claim("kitchen", "b", "ada", "token-1", "")
        assert not isinstance(found, str)
        assert (found["core"], found["owner"]) == ("token-9", "a")
        assert told == [(CLAIMED, {"session_id": "kitchen", "owner": "a"})]
        assert await update(store, B, 4, core="{}") == "kept"  # under the token that the client knows
        assert await store.claim("kitchen", "b", "ada", "token-9", "b") == "ours"


async def test_who_wrote_the_record_under_the_new_token_learns_that_it_was_claimed_by_the_old_one(
    redis_url: str,
) -> None:
    async with records(redis_url) as (store, _told):
        await begin(store)
        assert await renewed(store, "token-9", "token-1", 2) == "kept"
        assert not isinstance(await store.claim("kitchen", "b", "ada", "token-1", ""), str)
        fresh = SessionHead("ada", "token-9", 12.5, "e1")
        late = Change({"core": "{}"}, [], whole=False, version=3, builds_on=2, order=0)
        assert (await store.write("kitchen", A, fresh, late)).written == "taken"
        assert await renewed(store, "token-9", "", 4) == "taken"
        assert await renewed(store, "token-10", "token-9", 5) == "taken"  # and after another outage
        await store.forget("kitchen", A, "token-9")
        assert await store.claim("kitchen", "b", "ada", "token-1", "b") == "ours"


async def test_replicas_agree_on_the_epoch_and_know_who_lives(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with records(redis_url) as (one, _), records(redis_url) as (two, _):
        first, second = one._epoch, StoreEpoch(two._link, "s")
        news: list[str] = []
        second.on_news.append(lambda: news.append(second.name))
        assert await first.beat() == await second.beat()
        assert news == []
        await one._link.call("FLUSHALL")
        names = {await first.beat(), await second.beat()}
        assert news == list(names)
        assert await first.lives("s")
        monkeypatch.setattr(store_epoch, "LIFE_S", 0.01)
        await second.beat()
        while await first.lives("s"):
            await asyncio.sleep(0.01)
