from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis.exceptions import ResponseError

from server.shared.redis_errors import RedisDownError, RedisRefusedError
from server.shared.redis_link import COMMAND_TIMEOUT_S, RedisLink
from server.shared.redis_urls import ClusterWire, RedisUrlError, SingleWire, check_url, open_wire
from tests.server.redis_support import running_link, until_up
from tests.support import virtual_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.shared.redis_urls import Wire
    from tests.conftest import RedisServer


class RefusingWire:
    """Answers every command with one refusal."""

    def __init__(self, wire: Wire, text: str) -> None:
        self.client = wire.client
        self.drop, self.close = wire.drop, wire.close
        self._refusal = ResponseError(text)

    async def run(self, commands: Sequence[Any]) -> list[Any]:
        return [self._refusal for _ in commands]


class CountingWire:
    """Passes batches on, and remembers how long each was."""

    def __init__(self, link: RedisLink) -> None:
        self.wire = link._wire
        self.client = self.wire.client
        self.sizes: list[int] = []
        link._wire = self

    async def run(self, commands: Sequence[Any]) -> list[Any]:
        self.sizes.append(len(commands))
        return await self.wire.run(commands)

    async def drop(self) -> None:
        await self.wire.drop()

    async def close(self) -> None:
        await self.wire.close()


async def test_what_is_asked_in_one_tick_is_one_round_trip(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        counting = CountingWire(link)
        answers = await asyncio.gather(*(link.call("INCR", "n") for _ in range(50)))
        assert answers == list(range(1, 51))
        assert counting.sizes == [50]


async def test_what_is_asked_meanwhile_leaves_together_afterwards(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        counting = CountingWire(link)
        first = link.submit("INCR", "n")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        later = [link.submit("INCR", "n") for _ in range(3)]
        await asyncio.sleep(0)
        later += [link.submit("INCR", "n") for _ in range(3)]
        assert [await reply for reply in (first, *later)] == [1, 2, 3, 4, 5, 6, 7]
        assert counting.sizes == [1, 6]


async def test_text_that_cannot_be_sent_is_its_callers_mistake_alone(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        good = link.submit("SET", "k", "v")
        with pytest.raises(UnicodeEncodeError):
            link.submit("GET", "\ud800")
        assert await good == b"OK"
        assert link.up


async def test_an_error_reply_is_its_command_s_alone(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        good, bad, good_too = link.submit("SET", "k", "v"), link.submit("LPUSH", "k", "x"), link.submit("GET", "k")
        assert await good == b"OK"
        with pytest.raises(RedisRefusedError):
            await bad
        assert await good_too == b"v"
        assert link.up


class SilentWire:
    """Takes commands, and answers none."""

    client = None

    def __init__(self) -> None:
        self._gone = asyncio.Event()

    async def run(self, _commands: Sequence[Any]) -> list[Any]:
        await self._gone.wait()
        raise ConnectionError

    async def drop(self) -> None:
        self._gone.set()

    close = drop


def test_a_redis_that_hangs_costs_50_ms_once_and_then_nothing() -> None:
    async def body() -> list[float]:
        clock, took_s = asyncio.get_running_loop().time, []
        async with asyncio.TaskGroup() as group:
            link = RedisLink("redis://127.0.0.1:1/0", group, lambda: None)
            link._wire = cast("Wire", SilentWire())
            for _ in range(10):
                began = clock()
                replies = await asyncio.gather(*(link.call("PING") for _ in range(20)), return_exceptions=True)
                assert {type(reply) for reply in replies} == {RedisDownError}
                took_s.append(clock() - began)
            await link.close()
        return took_s

    assert virtual_time.run(body()) == [pytest.approx(COMMAND_TIMEOUT_S), *[0.0] * 9]


async def test_a_frozen_redis_is_given_up_and_used_again(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link:
        await link.call("PING")
        own_redis.freeze()
        for _ in range(20):
            with pytest.raises(RedisDownError):
                await link.call("PING")
        assert not link.up
        own_redis.thaw()
        await until_up(link)
        assert await link.call("PING") == b"PONG"


async def test_our_own_lag_is_no_fault_of_redis(redis_url: str) -> None:
    async with running_link(redis_url) as link:
        replies = [link.submit("PING")]
        for _ in range(3):
            await asyncio.sleep(0)
            time.sleep(0.04)  # the fault itself: somebody blocks the loop
            replies.append(link.submit("PING"))
        assert [await reply for reply in replies] == [b"PONG"] * 4
        assert link.up


async def test_replies_that_come_after_a_thaw_are_nobody_else_s(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link:
        await link.call("SET", "late", "old")
        own_redis.freeze()
        with pytest.raises(RedisDownError):
            await link.call("GET", "late")
        own_redis.thaw()
        await until_up(link)
        assert await link.call("ECHO", "mine") == b"mine"


async def test_a_killed_redis_is_found_again_when_it_is_started(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link:
        back = asyncio.Event()

        async def on_back() -> None:
            back.set()

        link.on_back.append(on_back)
        await link.call("SET", "k", "v")
        own_redis.stop()
        with pytest.raises(RedisDownError):
            await link.call("GET", "k")
        own_redis.start()
        await back.wait()
        assert await link.call("GET", "k") is None


async def test_a_redis_that_was_never_there_is_noticed_and_found(own_redis: RedisServer) -> None:
    own_redis.stop()
    async with running_link(own_redis.url, connected=False) as link:
        with pytest.raises(RedisDownError):
            await link.call("PING")
        own_redis.start()
        await until_up(link)


UNFIT = {
    "it became a replica": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "too few replicas": (
        ("CONFIG", "SET", "min-replicas-to-write", "1"),
        ("CONFIG", "SET", "min-replicas-to-write", "0"),
    ),
}


@pytest.mark.parametrize(("breaks", "mends"), UNFIT.values(), ids=UNFIT)
async def test_a_server_that_takes_no_writes_counts_as_lost(
    breaks: tuple[str, ...], mends: tuple[str, ...], own_redis: RedisServer
) -> None:
    async with running_link(own_redis.url) as link:
        await link.call("SET", "k", "v")
        await link.call(*breaks)
        with pytest.raises(RedisDownError):
            await link.call("SET", "k", "w")
        assert not link.up
        async with running_link(own_redis.url) as other:
            await other.call(*mends)
        await until_up(link)


@pytest.mark.parametrize(
    "text", ["MISCONF Redis is configured to save RDB snapshots", "BUSY Redis is busy running a script."]
)
async def test_a_refusal_that_is_about_the_server_is_no_answer_to_a_command(text: str, redis_url: str) -> None:
    async with running_link(redis_url) as link:
        link._wire = RefusingWire(link._wire, text)
        with pytest.raises(RedisDownError):
            await link.call("PING")


async def test_closing_fails_what_waits(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link:
        await link.call("PING")
        own_redis.freeze()
        reply = link.submit("PING")
        await asyncio.sleep(0)
        await link.close()
        with pytest.raises(RedisDownError):
            await reply
    own_redis.thaw()


async def test_a_patient_question_leaves_the_loop_to_others_while_redis_is_slow(own_redis: RedisServer) -> None:
    """Slow is not lost: what may not wait is refused at once, and must not be asked again at once."""
    async with running_link(own_redis.url) as link:
        own_redis.freeze()
        with pytest.raises(RedisDownError):
            await link.call("PING")
        assert not link.up
        asyncio.get_running_loop().call_later(0.2, own_redis.thaw)
        assert await link.patiently(lambda: link.call("ECHO", "slow"), 10) == b"slow"


async def test_a_patient_question_ends_when_the_link_is_closed(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link, asyncio.TaskGroup() as group:
        own_redis.stop()

        async def ask() -> None:
            with pytest.raises(RedisDownError):
                await link.patiently(lambda: link.call("PING", patient=True), 60)

        asked = group.create_task(ask(), name="ask")
        await asyncio.sleep(0.1)
        await link.close()
        await asked
        with pytest.raises(RedisDownError):
            await link.patiently(lambda: link.call("PING", patient=True), 60)


async def test_a_group_that_has_ended_takes_nothing_more(redis_url: str) -> None:
    async with asyncio.TaskGroup() as group:
        link = RedisLink(redis_url, group, lambda: None)
        await link.call("PING")
    with pytest.raises(RedisDownError):
        await link.call("PING")
    await link.close()


@pytest.mark.parametrize(
    ("url", "wire"),
    [
        ("redis://user:pass@redis:6379/2", SingleWire),
        ("rediss://redis:6380/0", SingleWire),
        ("unix:///run/redis.sock?db=1", SingleWire),
        ("redis+sentinel://:pass@a:26379,b,c:26380/main/3", SingleWire),
        ("redis+cluster://user:pass@a:6379,b:6380", ClusterWire),
    ],
)
async def test_each_kind_of_address_makes_its_wire(url: str, wire: type) -> None:
    check_url(url)
    opened = open_wire(url)
    assert isinstance(opened, wire)
    await opened.close()


@pytest.mark.parametrize("url", ["http://redis", "redis", "redis://redis:notaport/0", "redis+cluster://a:99999"])
def test_other_addresses_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(RedisUrlError) as refused:
        check_url(url.replace("//", "//:hunter2@"))
    assert "hunter2" not in str(refused.value)
