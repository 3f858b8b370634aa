from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ApiError
from server.shared.idempotency import IdempotencyKey, IdempotencyStore
from server.shared.in_process_state import Expiring, LocalState, Shared
from server.shared.redis_link import PATIENT_TIMEOUT_S
from server.shared.state import RedisState
from tests.server.redis_support import replica, running_link, until_heard, until_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.shared.state import State
    from tests.conftest import RedisServer


@asynccontextmanager
async def opened(kind: str, url: str) -> AsyncIterator[State]:
    if kind == "local":
        yield LocalState()
    else:
        async with running_link(url) as link:
            yield RedisState(link)


both = pytest.mark.parametrize("kind", ["local", "redis"])


@both
async def test_a_value_lives_for_its_time(kind: str, redis_url: str) -> None:
    async with opened(kind, redis_url) as state:
        assert await state.get("k") is None
        assert await state.put("k", "grüße", 60)
        assert await state.get("k") == "grüße"
        await state.put("k", "short", 0.02)
        await asyncio.sleep(0.03)
        assert await state.get("k") is None


@both
async def test_only_new_is_true_for_one(kind: str, redis_url: str) -> None:
    async with opened(kind, redis_url) as state:
        claims = await asyncio.gather(*(state.put("k", str(n), 60, only_new=True) for n in range(20)))
        assert sum(claims) == 1
        assert await state.get("k") == str(claims.index(True))


@both
async def test_a_value_is_taken_once(kind: str, redis_url: str) -> None:
    async with opened(kind, redis_url) as state:
        await state.put("ticket", "ada", 60)
        taken = await asyncio.gather(*(state.take("ticket") for _ in range(10)))
        assert sorted(taken, key=str) == [None] * 9 + ["ada"] or taken.count("ada") == 1
        assert taken.count(None) == 9


@both
async def test_replace_needs_the_old_value(kind: str, redis_url: str) -> None:
    async with opened(kind, redis_url) as state:
        assert not await state.replace("k", "a", "b", 60)
        await state.put("k", "a", 60)
        assert not await state.replace("k", "x", "b", 60)
        done = await asyncio.gather(*(state.replace("k", "a", f"b{n}", 60) for n in range(10)))
        assert sum(done) == 1
        assert await state.get("k") == f"b{done.index(True)}"


@both
async def test_what_is_revoked_is_known_at_once(kind: str, redis_url: str) -> None:
    async with opened(kind, redis_url) as state:
        assert not state.revoked("t", "f")
        assert not await state.revocation("t", "f")
        await state.revoke("f", time.time() + 60)
        assert state.revoked("t", "f")
        assert await state.revocation("t", "f")
        assert not await state.revocation("other")


async def test_another_replica_s_revocation_is_seen_in_the_round_trip_even_without_its_news(redis_url: str) -> None:
    async with running_link(redis_url) as a, running_link(redis_url) as b:
        here, there = RedisState(a), RedisState(b)
        await there.revoke("t", time.time() + 60)
        assert not here.revoked("t")
        assert await here.revocation("t")


async def test_revocations_of_the_time_without_news_are_told_once(redis_url: str) -> None:
    """By whatever shows them first: sockets of such tokens are open."""
    async with running_link(redis_url) as link:
        state = RedisState(link)
        told: list[str] = []
        state.subscribe(lambda _kind, news: told.append(news["token_id"]))
        await link.call("ZADD", "jarvis:revoked", time.time() + 60, "t", time.time() + 60, "f")
        assert await state.revocation("other", "f")
        assert told == ["f"]
        for _ in range(2):
            await state.load_revoked()
        assert told == ["f", "t"]


async def test_news_reach_every_replica_once(redis_url: str) -> None:
    async with replica(redis_url) as here, replica(redis_url) as there:
        heard: list[tuple[str, str, str]] = []
        arrived = asyncio.Event()
        here.subscribe(lambda kind, news: heard.append(("here", kind, news.get("by", ""))))
        there.subscribe(lambda kind, news: heard.append(("there", kind, news.get("by", ""))))
        there.subscribe(lambda kind, _news: arrived.set() if kind == "last" else None)
        await here.publish("logout", by="ada")
        assert ("here", "logout", "ada") in heard  # without waiting for the way back
        await here.publish("last")
        await arrived.wait()
        await until_heard(here)
        assert heard.count(("here", "logout", "ada")) == 1
        assert heard.count(("there", "logout", "ada")) == 1


async def test_a_revocation_is_told_to_replicas_that_listen_and_found_by_those_that_come(redis_url: str) -> None:
    async with replica(redis_url) as here, replica(redis_url) as there:
        told = asyncio.Event()
        there.subscribe(lambda kind, news: told.set() if (kind, news.get("token_id")) == ("revoked", "t") else None)
        await here.revoke("t", time.time() + 60)
        await told.wait()
        assert there.revoked("t")
        async with replica(redis_url) as late:
            while not late.revoked("t"):
                await asyncio.sleep(0.002)


async def test_a_listener_that_fails_keeps_nothing_from_the_others() -> None:
    state = LocalState()
    heard: list[str] = []

    def broken(_kind: str, _news: object) -> None:
        raise RuntimeError

    state.subscribe(broken)
    stop = state.subscribe(lambda kind, _news: heard.append(kind))
    await state.publish("one")
    stop()
    await state.publish("two")
    assert heard == ["one"]


async def test_while_redis_is_lost_this_process_goes_on_alone_and_tells_later(own_redis: RedisServer) -> None:
    async with replica(own_redis.url) as here, replica(own_redis.url) as there:
        await here.put("before", "1", 60)
        own_redis.freeze()
        began = time.perf_counter()
        assert await here.ping() is None
        assert await here.put("claim", "mine", 60, only_new=True)
        assert not await here.put("claim", "yours", 60, only_new=True)
        assert await here.take("claim") == "mine"
        await here.revoke("t", time.time() + 60)
        assert await here.revocation("t")
        assert not await here.revocation("other")
        # One of seven questions noticed that it hangs, which costs so long
        assert time.perf_counter() - began < 4 * PATIENT_TIMEOUT_S
        own_redis.thaw()
        await until_up(here._link)
        await until_up(there._link)
        while not await there.revocation("t"):
            await asyncio.sleep(0.01)
        assert await here.get("before") == "1"
        assert await here.ping() is not None


async def test_news_are_heard_again_after_redis_was_killed(own_redis: RedisServer) -> None:
    async with replica(own_redis.url) as here, replica(own_redis.url) as there:
        own_redis.stop()
        await here.publish("lost")
        own_redis.start()
        await until_up(here._link)
        await until_up(there._link)
        await until_heard(here)
        await until_heard(there)
        news: list[str] = []
        there.subscribe(lambda kind, _news: news.append(kind))
        await here.publish("found")
        while "found" not in news:
            await asyncio.sleep(0.002)
        assert "lost" not in news


async def test_values_go_to_memory_when_redis_is_full(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link:
        state = RedisState(link)
        await link.call("CONFIG", "SET", "maxmemory", "1", patient=True)
        await state.put("k", "v", 60)
        assert await state.get("k") == "v"
        assert link.up


async def test_a_value_in_redis_replaces_an_older_one_in_memory(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link:
        state = RedisState(link)
        await link.call("CONFIG", "SET", "maxmemory", "1", patient=True)
        await state.put("k", "older", 60)
        await link.call("CONFIG", "SET", "maxmemory", "0", patient=True)
        await state.put("k", "newer", 60)
        assert await state.take("k") == "newer"
        assert await state.get("k") is None


async def test_values_go_to_memory_when_redis_takes_no_writes(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link:
        state = RedisState(link)
        await link.call("CONFIG", "SET", "min-replicas-to-write", "1", patient=True)
        assert await state.put("k", "v", 60, only_new=True)
        assert await state.get("k") == "v"


@pytest.mark.parametrize("how", ["frozen", "full"])
async def test_what_became_of_a_value_while_redis_was_away_counts_afterwards_everywhere(
    own_redis: RedisServer, how: str
) -> None:
    async with running_link(own_redis.url) as link, running_link(own_redis.url) as other:
        here, there = RedisState(link), RedisState(other)
        for key in ("answered", "released", "moved"):
            assert await here.put(key, "claimed", 60, only_new=True)
        if how == "frozen":
            own_redis.freeze()
        else:
            await link.call("CONFIG", "SET", "maxmemory", "1", patient=True)
        await here.put("answered", "the answer", 60)
        await here.put("moved", "the answer", 60)
        assert await here.put("running", "claimed", 60, only_new=True)
        if how == "frozen":  # a full one takes deletions
            await here.take("released")
            own_redis.thaw()
        else:
            assert await here.take("released") == "claimed"
            await link.call("CONFIG", "SET", "maxmemory", "0", patient=True)
        await until_up(link)
        await until_up(other)
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(here.tell_late(), name="tell late")
            while await there.get("running") is None:
                await asyncio.sleep(0.02)
            telling.cancel()
        assert not await there.put("running", "claimed twice", 60, only_new=True)
        assert await here.get("answered") == await there.get("answered") == "the answer"
        assert await here.put("released", "claimed again", 60, only_new=True)
        assert await here.take("moved") == "the answer"
        assert await there.get("moved") is None


async def test_what_is_told_late_takes_no_claim_from_another_replica(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link, running_link(own_redis.url) as other:
        here, there = RedisState(link), RedisState(other)
        await link.call("CONFIG", "SET", "maxmemory", "1", patient=True)
        assert await here.put("k", "here", 60, only_new=True)
        await link.call("CONFIG", "SET", "maxmemory", "0", patient=True)
        assert await there.put("k", "there", 60, only_new=True)
        await here._tell_values()
        assert await there.get("k") == await here.get("k") == "there"
        assert not await here.put("k", "again", 60, only_new=True)


async def test_a_value_that_redis_refuses_stays_here_and_holds_up_no_others(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link:
        state = RedisState(link)
        await link.call("CONFIG", "SET", "maxmemory", "1", patient=True)
        for key in ("refused", "taken"):
            await state.put(key, "v", 60)
        await link.call("CONFIG", "SET", "maxmemory", "0", patient=True)
        submit = link.submit

        def refusing(*command: str | bytes | float, patient: bool = False) -> asyncio.Future[object]:
            refuse = command[:2] == ("SET", "jarvis:refused")
            return submit(*(("NO", "SUCH") if refuse else command), patient=patient)

        link.submit = refusing  # type: ignore[method-assign]
        await state._tell_values()
        assert await link.call("GET", "jarvis:taken") == b"v"
        assert await state.get("refused") == "v"


async def test_many_revocations_are_loaded_in_steps(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        until = time.time() + 60
        await link.call("ZADD", "jarvis:revoked", *(part for n in range(5000) for part in (until, f"t{n}")))
        await link.call("ZADD", "jarvis:revoked", time.time() - 1, "over")
        state = RedisState(link)
        await state.load_revoked()
        assert all(state.revoked(f"t{n}") for n in range(5000))
        assert not state.revoked("over")


async def test_a_refused_look_at_the_revocations_ends_no_loop(redis_url: str) -> None:
    """Proxies in front of Redis refuse commands while they cannot reach it."""
    async with running_link(redis_url) as link, asyncio.TaskGroup() as group:
        await link.call("CONFIG", "RESETSTAT")
        await link.call("SET", "jarvis:revoked", "of the wrong type")
        state = RedisState(link)
        listening = group.create_task(state.listen(), name="listen")
        while b"WRONGTYPE" not in await link.call("INFO", "errorstats", patient=True):
            await asyncio.sleep(0.002)
        await link._tell_back()
        await link.call("UNLINK", "jarvis:revoked")
        await until_heard(state)
        assert not listening.done()
        listening.cancel()


@given(
    st.lists(st.tuples(st.sampled_from(["put", "pop", "wait"]), st.sampled_from("abc"), st.integers(1, 9)), max_size=50)
)
def test_expiring_values_are_like_a_dict_with_ends(steps: list[tuple[str, str, int]]) -> None:
    values: Expiring[int] = Expiring()
    model: dict[str, tuple[int, int]] = {}
    now = 0
    for number, (step, key, seconds) in enumerate(steps):
        if step == "put":
            values.put(key, number, now + seconds, now)
            model[key] = (now + seconds, number)
        elif step == "pop":
            ends, value = model.pop(key, (0, 0))
            assert values.pop(key, now) == (value if ends > now else None)
        else:
            now += seconds
        living = {name: value for name, (ends, value) in model.items() if ends > now}
        assert {name: value for name, _, value in values.items(now)} == living
        assert {name: values.get(name, now) for name in living} == living


def test_too_many_values_push_out_those_that_end_first() -> None:
    values: Expiring[int] = Expiring(max_entries=10)
    for number in range(100):
        values.put(f"k{number}", number, 1000.0 + number % 50, 0.0)
    assert len(values) == 10
    for _ in range(1000):
        values.put("again", 1, 2000.0, 0.0)
    assert len(values) == 10
    assert len(values._ends) < 100


def test_long_values_push_out_those_that_end_first() -> None:
    values: Expiring[str] = Expiring(max_chars=100)
    for number in range(10):
        values.put(str(number), "x" * 30, 100.0 + number, now=0.0)
    assert [key for key, _, _ in values.items(0.0)] == ["7", "8", "9"]
    for _ in range(10):
        values.put("9", "x" * 40, 200.0, now=0.0)  # replaced, not added
    assert [key for key, _, _ in values.items(0.0)] == ["7", "8", "9"]
    values.pop("8", 0.0)
    values.put("a", "x" * 30, 300.0, now=0.0)
    assert [key for key, _, _ in values.items(0.0)] == ["7", "9", "a"]
    values.put("too long", "x" * 101, 400.0, now=0.0)
    assert len(values) == 0


async def test_answers_kept_for_a_day_push_out_no_tickets() -> None:
    state = LocalState(max_entries=10)
    await state.put("ticket:a", "ada", 30.0)
    for number in range(20):
        await state.put(f"idempotency:{number}", "{}", 86_400.0, only_new=True)
    assert await state.get("ticket:a") == "ada"
    assert await state.get("idempotency:0") is None
    assert await state.take("idempotency:19") == "{}"


def test_who_fills_the_room_loses_only_their_own_answers() -> None:
    room = Shared(max_chars=1_000)
    room.put("a", "x" * 100, 50.0, 0.0, "ada")  # would expire first
    for number in range(100):
        room.put(str(number), "x" * 100, 100.0 + number, 0.0, "eve")
    assert room.get("a", 0.0) is not None
    assert [key for key, _, _ in room.items(0.0)] == ["a", *map(str, range(91, 100))]
    for _ in range(1_000):
        room.put("b", "x" * 90, 200.0, 0.0, "ada")  # replaced, not added
        assert room.pop("b", 0.0)
    assert len(room._heaviest) < 100
    room.put("too long", "x" * 1_001, 400.0, 0.0, "eve")
    assert [key for key, _, _ in room.items(0.0)] == ["a"]
    room.put("b", "x", 500.0, 60.0, "ada")
    assert [key for key, _, _ in room.items(60.0)] == ["b"]
    assert (room._owned, room._owner) == ({"ada": {"b": None}}, {"b": "ada"})


async def test_answers_secrets_and_questions_have_one_share_of_the_room() -> None:
    state = LocalState(max_entries=10)
    await state.put("confirmation:a", "{}", 60.0, owner="ada")
    for number in range(20):
        await state.put(f"secret:{number}", "{}", 60.0, owner="eve")
        await state.put(f"idempotency:{number}", "{}", 60.0, owner="eve")
    assert await state.get("confirmation:a") == "{}"
    assert await state.get("secret:14") is None


async def test_many_answers_of_one_user_push_out_nobody_elses() -> None:
    store = IdempotencyStore(LocalState(max_entries=10))
    await store.claim(IdempotencyKey("ada", "k", "asked"))
    for number in range(50):
        await store.claim(IdempotencyKey("eve", str(number), "asked"))
    with pytest.raises(ApiError) as refused:
        await store.claim(IdempotencyKey("ada", "k", "asked"))
    assert refused.value.code == "IDEMPOTENCY_IN_PROGRESS"
