"""Answers to questions while Redis is away, or has just lost what it held."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.shared import confirmations
from server.shared.confirmations import ConfirmationStore
from server.shared.redis_link import RedisLink
from server.shared.state import RedisState
from server.shared.store_epoch import StoreEpoch
from streaming.ports import ServiceError
from tests.server.redis_support import running_link
from tests.server.shared.test_confirmations import ACTION, ADA, VERDICT

if TYPE_CHECKING:
    from tests.conftest import RedisServer


async def test_an_answer_right_after_redis_lost_the_question_waits_for_its_replica(redis_url: str) -> None:
    async with asyncio.TaskGroup() as group:
        links = [RedisLink(redis_url, group, lambda: None) for _ in range(2)]
        epochs = [StoreEpoch(link, name) for link, name in zip(links, ("asking", "other"), strict=True)]
        states = [RedisState(link) for link in links]
        asking, other = (ConfirmationStore(state, epoch=epoch) for state, epoch in zip(states, epochs, strict=True))
        epochs[0].on_news.append(asking.write_anew)
        running = [group.create_task(state.listen(), name="news") for state in states]
        running.append(group.create_task(asking.keep(), name="keeping"))
        asked = await asking.create(ACTION, VERDICT, ADA)
        waiting = group.create_task(asking.decision(asked.confirmation_id), name="lane")
        for epoch in epochs:
            await epoch.beat()
        await links[0].call("FLUSHALL")
        answer = group.create_task(other.settle(asked.confirmation_id, ADA, approve=True), name="answer")
        await asyncio.sleep(0.2)  # until the asking replica's next beat
        assert not answer.done()
        await epochs[0].beat()
        assert await answer
        assert await waiting is True
        for task in running:
            task.cancel()
        for link in links:
            await link.close()


async def test_an_answer_while_redis_is_away_waits_for_it(own_redis: RedisServer) -> None:
    async with (
        asyncio.TaskGroup() as group,
        running_link(own_redis.url) as asking_link,
        running_link(own_redis.url) as link,
    ):
        asking, state = ConfirmationStore(RedisState(asking_link)), RedisState(link)
        other = ConfirmationStore(state, epoch=StoreEpoch(link, "other"))
        asked = await asking.create(ACTION, VERDICT, ADA)
        waiting = group.create_task(asking.decision(asked.confirmation_id), name="lane")
        await link.call("PING")
        own_redis.freeze()
        answer = group.create_task(other.settle(asked.confirmation_id, ADA, approve=True), name="answer")
        while link._connected:  # until the command's time is up
            await asyncio.sleep(0.01)
        assert not answer.done()
        own_redis.thaw()
        assert await answer
        assert await waiting is True


async def test_a_question_of_another_replica_may_be_answered_again_when_redis_stays_away(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmations, "PATIENCE_S", 0.1)
    async with asyncio.TaskGroup() as group, running_link(own_redis.url) as link:
        store = ConfirmationStore(RedisState(link), epoch=StoreEpoch(link, "other"))
        own_redis.stop()
        for answering in (store.settle, store.take):
            with pytest.raises(ServiceError, match="UNAVAILABLE") as refused:
                await answering("asked elsewhere", ADA, approve=True)
            assert refused.value.retryable
        asked = await store.create(ACTION, VERDICT, ADA)
        waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
        assert await store.settle(asked.confirmation_id, ADA, approve=True)
        assert not await store.settle(asked.confirmation_id, ADA, approve=True)
        assert await waiting is True
