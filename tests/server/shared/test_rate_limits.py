from __future__ import annotations

import asyncio
import gc
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.shared.rate_limits import (
    FORGET_AT_ONCE,
    FORGET_EVERY_S,
    SCRIPT_SHA,
    LocalWindow,
    RateLimiter,
    _Admissions,
    rate_key,
)
from server.shared.redis_errors import RedisDownError
from server.shared.state import RedisState
from tests.server.redis_support import running_link, until_up
from tests.server.shared.test_redis_link import CountingWire
from tests.support import virtual_time

if TYPE_CHECKING:
    from tests.conftest import RedisServer

WINDOW_S = 60.0


async def test_redis_admits_the_limit_and_says_how_it_stands(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        limiter = RateLimiter(link)
        began = time.time()
        taken = [await limiter.check("u", 3, WINDOW_S) for _ in range(3)]
        refused = await limiter.check("u", 3, WINDOW_S)
        assert [(d.allowed, d.remaining, d.backend) for d in taken] == [(True, left, "redis") for left in (2, 1, 0)]
        assert (refused.allowed, refused.remaining, refused.limit) == (False, 0, 3)
        assert began + WINDOW_S - 0.01 <= refused.reset_at <= time.time() + WINDOW_S
        assert 0 < refused.retry_after_s <= WINDOW_S
        assert (await limiter.check("other", 3, WINDOW_S)).allowed


async def test_a_refused_request_costs_nothing(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        limiter = RateLimiter(link)
        for _ in range(50):
            await limiter.check("u", 2, WINDOW_S)
        assert await link.call("ZCARD", "jarvis:limit:u") == 2
        assert 0 < await link.call("PTTL", "jarvis:limit:u") <= WINDOW_S * 1000


async def test_redis_is_not_asked_again_while_a_refusal_holds(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        now = 1000.0
        counted: list[tuple[str, str]] = []
        limiter = RateLimiter(
            link, on_decision=lambda result, backend: counted.append((result, backend)), clock=lambda: now
        )
        await limiter.check("u", 1, WINDOW_S)
        first = await limiter.check("u", 1, WINDOW_S)
        counting = CountingWire(link)
        now += 1
        again = await limiter.check("u", 1, WINDOW_S)
        assert (again.allowed, again.remaining, again.limit, again.backend) == (False, 0, 1, "redis")
        assert again.retry_after_s == pytest.approx(first.retry_after_s - 1)
        known = limiter.known_refusal("u", 1, WINDOW_S)
        assert known is not None
        assert known.retry_after_s == again.retry_after_s
        assert counting.sizes == []
        assert counted == [("allowed", "redis"), *[("refused", "redis")] * 3]
        assert limiter.known_refusal("u", 2, WINDOW_S) is None  # a token with other roles, which may do more
        assert (await limiter.check("u", 2, WINDOW_S)).allowed
        assert (await limiter.check("v", 1, WINDOW_S)).allowed
        now += WINDOW_S
        await limiter.check("u", 1, WINDOW_S)
        assert counting.sizes == [1, 1, 1]


async def test_nor_about_a_lower_limit_of_the_same_user(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        limiter = RateLimiter(link)
        for _ in range(3):
            await limiter.check("u", 2, WINDOW_S)
        counting = CountingWire(link)
        for limit in (1, 2, 1, 2):  # two tokens of different roles, in turn
            assert not (await limiter.check("u", limit, WINDOW_S)).allowed
        assert counting.sizes == []


async def test_a_lower_limit_has_room_later(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        limiter = RateLimiter(link)
        for _ in range(2):
            await limiter.check("u", 2, WINDOW_S)
            await asyncio.sleep(0.02)  # Redis' clock goes on between the two
        lower = await limiter.check("u", 1, WINDOW_S)
        higher = await limiter.check("u", 2, WINDOW_S)
        again = limiter.known_refusal("u", 1, WINDOW_S)
        assert again is not None
        assert higher.retry_after_s < again.retry_after_s <= lower.retry_after_s


async def test_room_returns_when_the_decision_said(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        limiter = RateLimiter(link)
        assert (await limiter.check("u", 1, 1.5)).allowed
        refused = await limiter.check("u", 1, 1.5)
        await asyncio.sleep(refused.retry_after_s + 0.002)
        assert (await limiter.check("u", 1, 1.5)).allowed


async def test_a_lowered_limit_waits_for_enough_to_leave(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        limiter = RateLimiter(link)
        resets = [(await limiter.check("u", 5, WINDOW_S)).reset_at for _ in range(5)]
        refused = await limiter.check("u", 2, WINDOW_S)
        assert refused.remaining == 0
        assert refused.reset_at > resets[0]  # the fourth of five has to leave, not only the first


async def test_what_goes_on_at_another_replica_is_counted_once(redis_url: str) -> None:
    """By its name, and also if the window is full by then."""
    async with running_link(redis_url) as link, running_link(redis_url) as other:
        here, there = RateLimiter(link), RateLimiter(other)
        assert (await here.check("u", 2, WINDOW_S, "a turn")).remaining == 1
        again = await there.check("u", 2, WINDOW_S, "a turn")
        assert (again.allowed, again.remaining) == (True, 1)
        assert (await there.check("u", 2, WINDOW_S)).allowed
        again = await there.check("u", 2, WINDOW_S, "a turn")
        assert (again.allowed, again.remaining) == (True, 0)
        assert not (await there.check("u", 2, WINDOW_S, "another turn")).allowed


async def test_many_connections_on_several_replicas_never_admit_one_too_many(redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(running_link(redis_url)) for _ in range(8)]
        limiters = [RateLimiter(link) for link in links]
        asked = [limiters[n % 8].check("u", 100, WINDOW_S) for n in range(800)]
        decisions = await asyncio.gather(*asked)
        assert sum(d.allowed for d in decisions) == 100
        assert {d.backend for d in decisions} == {"redis"}
        assert sorted(d.remaining for d in decisions if d.allowed) == list(range(100))


async def test_no_window_at_any_time_holds_more_than_the_limit(redis_url: str) -> None:
    limit, window_s = 20, 0.25
    admitted: list[tuple[float, float]] = []

    async def caller(limiter: RateLimiter, until: float) -> None:
        while (asked_at := time.perf_counter()) < until:
            decision = await limiter.check("u", limit, window_s)
            assert decision.backend == "redis"
            if decision.allowed:
                admitted.append((asked_at, time.perf_counter()))
            await asyncio.sleep(0.002)

    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(running_link(redis_url)) for _ in range(3)]
        limiters = [RateLimiter(link) for link in links]
        until = time.perf_counter() + 1.2
        await asyncio.gather(*(caller(limiters[n % 3], until) for n in range(30)))
    assert len(admitted) > 3 * limit  # several windows were filled
    # Redis decided between asking and answering: what lies wholly within a window was within it for Redis, too
    for start, _ in admitted:
        inside = [1 for asked_at, answered_at in admitted if asked_at >= start and answered_at < start + window_s]
        assert len(inside) <= limit


async def test_decisions_of_one_tick_share_a_round_trip_with_revocations(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        limiter, state = RateLimiter(link), RedisState(link)
        await limiter.check("warm", 10, WINDOW_S)
        counting = CountingWire(link)

        async def request(name: str) -> bool:
            revoked = state.revocation("token", "family")
            decision = await limiter.check(name, 10, WINDOW_S)
            return decision.allowed and not await revoked

        assert all(await asyncio.gather(*(request(f"u{n}") for n in range(10))))
        assert counting.sizes == [20]


async def test_a_restarted_redis_is_given_the_script_again(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        limiter = RateLimiter(link)
        await link.call("SCRIPT", "FLUSH")
        decisions = await asyncio.gather(*(limiter.check("u", 3, WINDOW_S) for _ in range(5)))
        assert sum(d.allowed for d in decisions) == 3
        assert {d.backend for d in decisions} == {"redis"}
        assert await link.call("SCRIPT", "EXISTS", SCRIPT_SHA) == [1]


async def test_a_frozen_redis_is_replaced_and_used_again(own_redis: RedisServer) -> None:
    counted: list[tuple[str, str]] = []
    async with running_link(own_redis.url) as link:
        limiter = RateLimiter(link, on_decision=lambda result, backend: counted.append((result, backend)))
        for _ in range(6):
            assert (await limiter.check("u", 10, WINDOW_S)).backend == "redis"
        own_redis.freeze()
        decision = await limiter.check("u", 10, WINDOW_S)
        assert (decision.backend, decision.allowed) == ("local", True)
        more = [await limiter.check("u", 10, WINDOW_S) for _ in range(10)]
        # the six that Redis had admitted through this process still count
        assert sum(d.allowed for d in more) == 3
        assert counted.count(("allowed", "local")) == 4
        assert counted.count(("refused", "local")) == 7
        own_redis.thaw()
        await until_up(link)
        # Redis knows of six only; we know of ten
        assert not (await limiter.check("u", 10, WINDOW_S)).allowed
        assert (await limiter.check("v", 10, WINDOW_S)).backend == "redis"


async def test_how_it_stands_is_told_without_counting(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        for limiter in (RateLimiter(link), RateLimiter(None)):
            assert limiter.standing("u", 5, WINDOW_S) == (5, 0.0)
            await limiter.check("u", 5, WINDOW_S)
            for _ in range(2):
                remaining, reset_s = limiter.standing("u", 5, WINDOW_S)
                assert remaining == 4
                assert WINDOW_S - 1 < reset_s <= WINDOW_S


async def test_without_redis_decisions_are_local() -> None:
    now = 1000.0
    limiter = RateLimiter(None, clock=lambda: now)
    assert (await limiter.check("u", 1, 10)).allowed
    refused = await limiter.check("u", 1, 10)
    assert (refused.allowed, refused.retry_after_s, refused.backend) == (False, 10.0, "local")
    assert refused.reset_at == pytest.approx(time.time() + 10, abs=1)
    now = 1010.0
    assert (await limiter.check("u", 1, 10)).allowed


async def test_a_decision_that_redis_refuses_to_make_is_local(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        limiter = RateLimiter(link)
        await link.call("SET", "jarvis:limit:u", "no sorted set")
        assert (await limiter.check("u", 1, WINDOW_S)).backend == "local"
        assert (await limiter.check("v", 1, WINDOW_S)).backend == "redis"


@given(
    limit=st.integers(1, 5),
    window=st.integers(1, 20),
    steps=st.lists(st.tuples(st.integers(0, 10), st.sampled_from("ab")), max_size=60),
)
def test_local_windows_are_exact(limit: int, window: int, steps: list[tuple[int, str]]) -> None:
    windows = LocalWindow()
    admitted: dict[str, list[int]] = {"a": [], "b": []}
    now = 0
    for pause, key in steps:
        now += pause
        recent = [at for at in admitted[key] if at > now - window]
        decision = windows.decide(key, limit, window, now)
        assert decision.allowed == (len(recent) < limit)
        if decision.allowed:
            admitted[key].append(now)
            assert decision.remaining == limit - len(recent) - 1
        else:
            room_at = now + decision.retry_after_s
            assert sum(at > room_at - window for at in recent) < limit
            assert sum(at > room_at - 0.5 - window for at in recent) >= limit


def test_what_redis_admitted_counts_in_any_order() -> None:
    windows = LocalWindow()
    for used, at in enumerate((5.0, 3.0, 4.0), 1):
        windows.note("u", 10.0, at, used)
    assert not windows.decide("u", 3, 10.0, 12.9).allowed
    assert windows.decide("u", 3, 10.0, 13.1).allowed


def test_what_others_had_admitted_counts_for_one_window() -> None:
    windows = LocalWindow()
    windows.note("u", 10.0, 1.0, 1)
    windows.note("u", 10.0, 2.0, 5)  # four of them at other replicas
    refused = windows.decide("u", 5, 10.0, 3.0)
    assert (refused.allowed, refused.retry_after_s) == (False, 8.0)  # ours of 1.0 leaves first
    assert windows.decide("u", 5, 10.0, 11.0).allowed
    refused = windows.decide("u", 5, 10.0, 11.5)
    assert (refused.allowed, refused.retry_after_s) == (False, 0.5)  # at 12.0 all of theirs have left
    assert windows.decide("u", 5, 10.0, 12.0).remaining == 3


async def test_a_window_that_is_full_stays_so_for_all_when_redis_is_lost(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(running_link(own_redis.url)) for _ in range(3)]
        limiters = [RateLimiter(link) for link in links]
        decisions = [await limiters[n % 3].check("u", 30, WINDOW_S) for n in range(33)]
        assert sum(d.allowed for d in decisions) == 30
        own_redis.freeze()
        for link in links:
            with pytest.raises(RedisDownError):
                await link.call("PING")
        alone = [await limiters[n % 3].check("u", 30, WINDOW_S) for n in range(30)]
        assert {d.backend for d in alone} == {"local"}
        assert not any(d.allowed for d in alone)
        own_redis.thaw()


def test_callers_that_are_idle_are_forgotten() -> None:
    windows = LocalWindow(max_callers=3)
    for name in "abcde":
        windows.decide(name, 1, 10.0, 0.0)
    assert len(windows) == 3
    for step in range(8):
        windows.decide("z", 100, 10.0, 20.0 + step)
    assert len(windows) == 1


def test_callers_are_forgotten_though_nobody_calls_any_more() -> None:
    """Else the callers of the last minute would be kept until as many others came."""

    async def body() -> None:
        limiter = RateLimiter(None, clock=asyncio.get_running_loop().time)
        before = kept()
        callers = [f"u{number}" for number in range(2 * FORGET_AT_ONCE)]
        for caller in callers:
            await limiter.check(caller, 2, WINDOW_S)
        async with asyncio.TaskGroup() as tasks:
            forgetting = tasks.create_task(limiter.keep_forgetting(), name="rate limits")
            await asyncio.sleep(WINDOW_S - FORGET_EVERY_S / 2)
            assert kept() - before == len(callers)
            assert limiter.standing(callers[0], 2, WINDOW_S)[0] == 1
            await asyncio.sleep(WINDOW_S + 2 * FORGET_EVERY_S)
            assert kept() == before
            forgetting.cancel()

    def kept() -> int:
        return sum(isinstance(each, _Admissions) for each in gc.get_objects())

    virtual_time.run(body())


def test_keys_are_users_else_networks() -> None:
    assert rate_key("ada", "203.0.113.9") == "user:ada"
    assert rate_key("", "203.0.113.9", "voice.stt") == "of:voice.stt:ip:203.0.113.9"
    assert rate_key("", "2001:db8:1:2:3::4") == rate_key("", "2001:db8:1:2:ffff::1")
    assert rate_key("", "2001:db8:1:2:3::4") != rate_key("", "2001:db8:1:3::4")


NAMES = st.sampled_from(["a", ":", "user:a", "ip:a", "of:", "voice.stt", ""]).flatmap(
    lambda first: st.sampled_from(["", ":voice.stt", ":user:a", "a"]).map(lambda second: first + second)
)
SCOPES = st.sampled_from(["", "voice.stt", "voice.tts"])


@given(NAMES.filter(bool), NAMES.filter(bool), SCOPES, SCOPES)
def test_no_user_is_counted_with_another_or_in_another_limit(one: str, two: str, scope: str, other: str) -> None:
    assert (rate_key(one, "", scope) == rate_key(two, "", other)) is ((one, scope) == (two, other))
    assert rate_key(one, "", scope) != rate_key("", "203.0.113.9", other)
