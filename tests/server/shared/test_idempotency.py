"""One key, one request, one answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.errors import ApiError
from server.shared import idempotency, store_epoch
from server.shared.idempotency import IdempotencyKey, IdempotencyStore, StoredAnswer, fingerprint
from server.shared.once import NOT_KEPT, RunOnceStore
from server.shared.redis_errors import RedisDownError, RedisRefusedError
from server.shared.state import LocalState, RedisState
from server.shared.store_epoch import StoreEpoch
from streaming.ports import RunKey, run_once
from tests.server.redis_support import running_link, until_up

if TYPE_CHECKING:
    from tests.conftest import RedisServer

ANSWER = StoredAnswer(200, "application/json", '{"a":1}')
ASKED = fingerprint("executor.search", {"query": "tea", "max_results": 5})
ADAS = IdempotencyKey("ada", "k", ASKED)


def test_a_fingerprint_is_of_the_request_and_not_of_its_spelling() -> None:
    assert fingerprint("a", {"x": 1, "y": {"b": 2, "a": 3}}) == fingerprint("a", {"y": {"a": 3, "b": 2}, "x": 1})
    assert fingerprint("a", {"x": 1}) != fingerprint("b", {"x": 1})
    assert fingerprint("a", {"x": 1}) != fingerprint("a", {"x": "1"})


async def test_the_answer_is_kept_for_its_user() -> None:
    store = IdempotencyStore(LocalState())
    assert await store.claim(ADAS) is None
    await store.keep(ADAS, ANSWER)
    assert await store.claim(ADAS) == ANSWER
    assert await store.claim(IdempotencyKey("eve", "k", ASKED)) is None


async def test_only_one_of_many_runs() -> None:
    store = IdempotencyStore(LocalState())
    ended = await asyncio.gather(*(store.claim(ADAS) for _ in range(10)), return_exceptions=True)
    assert ended.count(None) == 1
    assert {error.code for error in ended if isinstance(error, ApiError)} == {"IDEMPOTENCY_IN_PROGRESS"}


async def test_another_request_with_the_same_key() -> None:
    store = IdempotencyStore(LocalState())
    await store.claim(ADAS)
    with pytest.raises(ApiError) as refused:
        await store.claim(IdempotencyKey("ada", "k", fingerprint("executor.search", {"query": "coffee"})))
    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"


async def test_a_released_key_is_free() -> None:
    store = IdempotencyStore(LocalState())
    await store.claim(ADAS)
    await store.release(ADAS)
    assert await store.claim(ADAS) is None


class Slow(LocalState):
    """Is asked, and answers, only while the gates are open."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self.asked.set()

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False, owner: str = "") -> bool:
        await self.asked.wait()
        stored = await super().put(key, value, ttl_s, only_new=only_new, owner=owner)
        await self.answers.wait()
        return stored


async def cancelled(task: asyncio.Task[object], times: int = 1) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
        task.cancel()


async def test_whoever_leaves_while_claiming_a_key_leaves_it_free() -> None:
    state = Slow()
    store, loop = IdempotencyStore(state), asyncio.get_running_loop()
    leaving = loop.create_task(store.claim(ADAS), name="leaves")
    await asyncio.sleep(0)
    await cancelled(leaving, 2)
    state.answers.set()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    assert await store.claim(ADAS) is None


async def test_whoever_leaves_while_another_has_the_key_takes_it_from_nobody() -> None:
    state = Slow()
    store, loop = IdempotencyStore(state), asyncio.get_running_loop()
    state.answers.set()
    await store.claim(ADAS)
    leaving = loop.create_task(store.claim(ADAS), name="leaves")
    await cancelled(leaving)
    await asyncio.wait([leaving])
    with pytest.raises(ApiError, match="IDEMPOTENCY_IN_PROGRESS"):
        await store.claim(ADAS)


@pytest.mark.parametrize("ended", [True, False])
async def test_an_answer_is_kept_however_often_its_request_is_cancelled(*, ended: bool) -> None:
    state = Slow()
    store, loop = IdempotencyStore(state), asyncio.get_running_loop()
    works = asyncio.Event()

    async def work() -> StoredAnswer:
        state.asked.clear()
        works.set()
        if not ended:
            await asyncio.Event().wait()
        return ANSWER

    state.answers.set()
    running = loop.create_task(run_once(store, ADAS, work, lambda _error: ANSWER), name="runs")
    await works.wait()
    await cancelled(running, 5)
    state.asked.set()
    await asyncio.wait([running])
    assert await store.claim(ADAS) == ANSWER


async def test_an_answer_that_redis_refuses_is_told_to_have_been() -> None:
    class Short(LocalState):
        async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False, owner: str = "") -> bool:
            if len(value) > 1_000:
                raise RedisRefusedError("ERR max request size exceeded")
            return await super().put(key, value, ttl_s, only_new=only_new, owner=owner)

    store = IdempotencyStore(Short())
    await store.claim(ADAS)
    await store.keep(ADAS, StoredAnswer(200, "application/json", "x" * 2_000))
    with pytest.raises(ApiError, match="ALREADY_ANSWERED"):
        await store.claim(ADAS)


async def test_users_and_keys_do_not_run_together() -> None:
    store = IdempotencyStore(LocalState())
    assert await store.claim(IdempotencyKey("ad", "ak", ASKED)) is None
    assert await store.claim(ADAS) is None


async def test_the_key_of_a_replica_that_died_is_answered_with_the_truth(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "DEAD_AFTER_S", 0.2)
    async with running_link(redis_url) as link:
        dying, living = (StoreEpoch(link, name) for name in ("dying", "living"))
        first, second = (IdempotencyStore(RedisState(link), epoch) for epoch in (dying, living))
        await dying.beat()
        assert await first.claim(ADAS) is None
        with pytest.raises(ApiError, match="IDEMPOTENCY_IN_PROGRESS"):
            await second.claim(ADAS)
        monkeypatch.setattr(store_epoch, "LIFE_S", 0.01)
        await dying.beat()  # its last
        while await living.lives("dying"):
            await asyncio.sleep(0.01)
        with pytest.raises(ApiError, match="ABORTED"):
            await second.claim(ADAS)
        await first.keep(ADAS, ANSWER)  # it was only slow
        assert await second.claim(ADAS) == ANSWER


async def test_a_request_that_ran_while_redis_was_lost_does_not_run_again_at_its_replica(
    own_redis: RedisServer,
) -> None:
    async with running_link(own_redis.url) as link:
        state = RedisState(link)
        store = IdempotencyStore(state)
        own_redis.stop()
        assert await store.claim(ADAS) is None
        await store.keep(ADAS, ANSWER)
        own_redis.start()
        while await state.ping() is None:
            await asyncio.sleep(0.02)
        assert await store.claim(ADAS) == ANSWER


async def test_one_user_s_answers_do_not_fill_a_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a user's room only that there was an answer is kept: a repeated request runs no second time, and is told so."""
    monkeypatch.setattr(idempotency, "MOST_KEPT_BYTES", 25_000)
    long = StoredAnswer(200, "application/json", '"' + "x" * 10_000 + '"')
    async with running_link(redis_url) as link:
        store = IdempotencyStore(RedisState(link))

        async def ran(user: str, key: str, answer: StoredAnswer) -> StoredAnswer | str | None:
            """What the same request gets after it was answered."""
            asked = IdempotencyKey(user, key, ASKED)
            assert await store.claim(asked) is None
            await store.keep(asked, answer)
            try:
                return await store.claim(asked)
            except ApiError as refused:
                return refused.code

        assert [await ran("ada", str(number), long) for number in range(4)] == [long, long, *["ALREADY_ANSWERED"] * 2]
        assert await ran("ada", "short", ANSWER) == ANSWER
        assert await ran("eve", "0", long) == long
        with pytest.raises(ApiError, match="IDEMPOTENCY_KEY_REUSED"):
            await store.claim(IdempotencyKey("ada", "3", fingerprint("executor.search", {"query": "coffee"})))
        size = await link.call("STRLEN", "jarvis:" + IdempotencyKey("ada", "3", ASKED).name)
        assert size < 1_000
        ttl_ms = await link.call("PTTL", "jarvis:" + idempotency.KEPT + idempotency._digest("ada"))
        assert 0 < ttl_ms <= idempotency.STORED_S * 1000


async def test_what_is_kept_is_counted_as_it_is_stored(redis_url: str) -> None:
    """Short answers too, and signs outside of ASCII, of which some are stored in twelve bytes when they are escaped."""
    async with running_link(redis_url) as link:
        store = IdempotencyStore(RedisState(link))
        stored = 0
        for number, body in enumerate(('{"a":1}', '"' + "\N{GRINNING FACE}" * 10_000 + '"')):
            asked = IdempotencyKey("ada", str(number), ASKED)
            assert await store.claim(asked) is None
            await store.keep(asked, StoredAnswer(200, "application/json", body))
            stored += await link.call("STRLEN", "jarvis:" + asked.name)
            counted = int(await link.call("GET", "jarvis:" + idempotency.KEPT + idempotency._digest("ada")))
            assert counted == stored
            kept = await store.claim(asked)
            assert kept is not None
            assert kept.body == body
        assert stored < 45_000


async def test_a_command_whose_answer_found_no_room_is_told_so(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MOST_KEPT_BYTES", 0)
    async with running_link(redis_url) as link:
        state = RedisState(link)
        once = RunOnceStore(state, IdempotencyStore(state))
        key = RunKey("ada", "s", "c1", "executor.os.command", {"command": "ls"})
        assert await once.claim(key) is None
        await once.keep(key, {"data": "x" * 2_000})
        assert await once.claim(key) == NOT_KEPT


async def test_a_release_that_redis_hears_of_late_leaves_the_next_claim_alone(redis_url: str) -> None:
    async with running_link(redis_url) as link, running_link(redis_url) as other:
        state = RedisState(link)
        here, there = IdempotencyStore(state), IdempotencyStore(RedisState(other))
        key = IdempotencyKey("ada", "late", ASKED)
        assert await here.claim(key) is None
        submit = link.submit

        def unanswered(*command: str | bytes | float, patient: bool = False) -> asyncio.Future[object]:
            """It arrives, and whoever sent it has given up before the answer comes."""
            lost: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            arrived = submit(*command, patient=patient)
            arrived.add_done_callback(lambda _: lost.set_exception(RedisDownError()))
            return lost

        link.submit = unanswered  # type: ignore[method-assign]
        await here.release(key)
        link.submit = submit  # type: ignore[method-assign]
        assert await there.claim(key) is None
        await state._tell_values()
        with pytest.raises(ApiError, match="IDEMPOTENCY_IN_PROGRESS"):
            await here.claim(key)


async def test_a_key_that_was_released_while_redis_was_away_is_free_again(own_redis: RedisServer) -> None:
    async with running_link(own_redis.url) as link, running_link(own_redis.url) as other:
        here, there = IdempotencyStore(RedisState(link)), IdempotencyStore(RedisState(other))
        assert await here.claim(ADAS) is None
        own_redis.freeze()
        await here.release(ADAS)
        assert await here.claim(ADAS) is None
        await here.release(ADAS)
        own_redis.thaw()
        await until_up(link)
        await until_up(other)
        assert await here.claim(ADAS) is None
        with pytest.raises(ApiError, match="IDEMPOTENCY_IN_PROGRESS"):
            await there.claim(ADAS)
