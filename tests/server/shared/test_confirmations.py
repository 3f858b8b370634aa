"""Questions: any replica may settle them, once, and only for their user."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from server.shared import confirmations
from server.shared.confirmations import ConfirmationStore
from server.shared.redis_link import RedisLink
from server.shared.state import LocalState, RedisState
from server.telemetry.audit import AuditLog
from streaming.agent.actions import hash_of
from streaming.ports import PHONE_USERS, Action, CallContext, ServiceError, Verdict
from tests.support import virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


ACTION = Action("os", "rm", {"args": ["x"]})
VERDICT = Verdict("confirm", "high", ("it deletes",))
ADA = CallContext("ada", ("operator",), session_id="kitchen")
EVE = CallContext("eve", ("admin",))


@pytest.mark.parametrize("approve", [True, False])
async def test_a_lane_is_told_the_decision(approve: bool) -> None:
    store = ConfirmationStore(LocalState())
    asked = await store.create(ACTION, VERDICT, ADA)
    assert asked.expires_at.endswith("Z")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0)
        assert await store.settle(asked.confirmation_id, ADA, approve=approve)
    assert waiting.result() is approve


async def test_questions_of_one_user_push_out_none_of_another() -> None:
    state = LocalState(max_entries=10)
    await state.put("ticket:a", "ada", 30.0)
    store = ConfirmationStore(state)
    asked = await store.defer(ACTION, VERDICT, ADA, None)
    for _ in range(30):
        await store.defer(ACTION, VERDICT, EVE, None)
    assert await state.get("ticket:a") == "ada"
    assert await store.take(asked.confirmation_id, ADA, approve=True) is not None


async def test_a_question_that_redis_has_lost_is_settled_where_its_lane_waits() -> None:
    state = LocalState()
    store = ConfirmationStore(state)
    asked = await store.create(ACTION, VERDICT, ADA)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0)
        await state.forget(confirmations._key(asked.confirmation_id))  # FLUSHALL
        assert not await store.settle(asked.confirmation_id, EVE, approve=True)
        assert await store.settle(asked.confirmation_id, ADA, approve=True)
        assert not await store.settle(asked.confirmation_id, ADA, approve=False)
    assert waiting.result() is True


async def test_a_question_that_redis_has_lost_is_settled_by_another_replica_again() -> None:
    state = LocalState()
    store, elsewhere = ConfirmationStore(state), ConfirmationStore(state)
    asked = await store.create(ACTION, VERDICT, ADA)
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(store.keep(), name="keeping")
        waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0)
        await state.forget(confirmations._key(asked.confirmation_id))  # FLUSHALL
        assert not await elsewhere.settle(asked.confirmation_id, ADA, approve=True)
        store.write_anew()
        await asyncio.sleep(0)
        assert await elsewhere.settle(asked.confirmation_id, ADA, approve=True)
        assert not await store.settle(asked.confirmation_id, ADA, approve=False)
        keeping.cancel()
    assert waiting.result() is True


async def test_an_answered_question_is_not_opened_again() -> None:
    state = LocalState()
    store, elsewhere = ConfirmationStore(state), ConfirmationStore(state)
    asked = await store.create(ACTION, VERDICT, ADA)  # nobody waits for its decision yet
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(store.keep(), name="keeping")
        assert await elsewhere.settle(asked.confirmation_id, ADA, approve=False)
        store.write_anew()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await state.get(confirmations._key(asked.confirmation_id)) is None
        assert await store.decision(asked.confirmation_id) is False
        keeping.cancel()


class DistantState(LocalState):
    """Takes a round trip for everything, as Redis does."""

    async def get(self, key: str) -> str | None:
        await asyncio.sleep(0.001)
        return await super().get(key)

    async def take(self, key: str, *, closes: bool = False) -> str | None:
        await asyncio.sleep(0.001)
        return await super().take(key, closes=closes)

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False, owner: str = "") -> bool:
        await asyncio.sleep(0.001)
        return await super().put(key, value, ttl_s, only_new=only_new, owner=owner)


@pytest.mark.parametrize("half_ms", range(1, 16, 2))
def test_an_answer_counts_or_may_be_given_again_when_whoever_gives_it_is_cancelled(half_ms: int) -> None:
    async def body() -> None:
        store = ConfirmationStore(DistantState())
        asked = await store.create(ACTION, VERDICT, ADA)
        async with asyncio.TaskGroup() as group, asyncio.timeout(10):
            waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
            answering = group.create_task(store.settle(asked.confirmation_id, ADA, approve=True), name="answer")
            await asyncio.sleep(half_ms / 2_000)
            answering.cancel()
            await asyncio.wait([answering])
            await store.settle(asked.confirmation_id, ADA, approve=True)
            assert await waiting is True

    virtual_time.run(body())


@pytest.mark.parametrize("here", [True, False], ids=["yes here", "no here"])
@pytest.mark.parametrize("first", [True, False], ids=["yes first", "no first"])
async def test_of_two_answers_at_two_replicas_at_once_one_counts(here: bool, first: bool) -> None:
    state = DistantState()
    asker, other = ConfirmationStore(state), ConfirmationStore(state)
    asked = await asker.create(ACTION, VERDICT, ADA)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(asker.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0.01)
        answers = {
            approve: group.create_task(
                (asker if here is approve else other).settle(asked.confirmation_id, ADA, approve=approve), name="answer"
            )
            for approve in (first, not first)
        }
    (taken,) = [approve for approve, answer in answers.items() if answer.result()]
    assert waiting.result() is taken


class DeafState(LocalState):
    """Keeps a decision, and can't be reached by whoever asks for it: Redis was lost in between."""

    async def take(self, key: str, *, closes: bool = False) -> str | None:
        return None if key.startswith("decided:") else await super().take(key, closes=closes)


async def test_a_decision_reaches_a_lane_of_this_process_though_redis_is_lost_meanwhile() -> None:
    store = ConfirmationStore(DeafState())
    asked = await store.create(ACTION, VERDICT, ADA)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0)
        assert await store.settle(asked.confirmation_id, ADA, approve=True)
    assert waiting.result() is True


async def test_an_approval_counts_for_nothing_when_its_lane_has_gone_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confirmations, "HEARD_WITHIN_S", 0.01)
    store = ConfirmationStore(LocalState())
    asked = await store.create(ACTION, VERDICT, ADA)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0)
        settled = group.create_task(store.settle(asked.confirmation_id, ADA, approve=True), name="approval")
        while not store._decided_here:
            await asyncio.sleep(0)
        waiting.cancel()
    assert not settled.result()


async def test_a_decision_before_anybody_waits_is_not_lost() -> None:
    store = ConfirmationStore(LocalState())
    asked = await store.create(ACTION, VERDICT, ADA)
    async with asyncio.TaskGroup() as group:
        settled = group.create_task(store.settle(asked.confirmation_id, ADA, approve=True), name="approval")
        await asyncio.sleep(0.01)
        assert await store.decision(asked.confirmation_id) is True
    assert settled.result()


@pytest.mark.parametrize(
    ("risk", "allowed", "counts"), [("high", False, False), ("high", True, True), ("medium", False, True)]
)
async def test_a_voice_approves_what_destroys_only_where_that_is_wanted(risk: str, allowed: bool, counts: bool) -> None:
    store = ConfirmationStore(LocalState(), destructive_by_voice=allowed)
    asked = await store.create(ACTION, Verdict("confirm", risk, ()), ADA)
    assert asked.by_voice is counts
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0)
        assert await store.settle(asked.confirmation_id, ADA, approve=True, via="voice") is counts
        if not counts:
            assert not waiting.done()
            assert await store.settle(asked.confirmation_id, ADA, approve=False, via="voice"), "a refusal always counts"
    assert waiting.result() is counts


async def test_a_question_is_settled_once() -> None:
    store = ConfirmationStore(LocalState())
    asked = await store.create(ACTION, VERDICT, ADA)
    settling = (store.settle(asked.confirmation_id, ADA, approve=True) for _ in range(5))
    decision, answers = await asyncio.gather(store.decision(asked.confirmation_id), asyncio.gather(*settling))
    assert decision is True
    assert sorted(answers) == [False, False, False, False, True]


async def test_there_is_nothing_to_approve_when_the_one_who_asked_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(confirmations, "HEARD_WITHIN_S", 0.05)
    audit = AuditLog(tmp_path / "audit.jsonl")
    store = ConfirmationStore(LocalState(), audit=audit)
    asked = await store.create(ACTION, VERDICT, ADA)  # and its replica is killed: nobody waits for the decision
    assert not await store.settle(asked.confirmation_id, ADA, approve=True)
    assert await store.take(asked.confirmation_id, ADA, approve=True) is None
    audit.close()
    told = [json.loads(line)["decision"] for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert told == ["asked", "approved", "withdrawn"]
    assert await store.decision(asked.confirmation_id) is None  # one that was slow only runs nothing either


def test_an_approval_whose_news_were_lost_is_heard_all_the_same() -> None:
    async def body() -> None:
        state = LocalState()
        state.tell = lambda kind, news: None  # type: ignore[method-assign]
        store = ConfirmationStore(state)
        asked = await store.create(ACTION, VERDICT, ADA)
        decision, settled = await asyncio.gather(
            store.decision(asked.confirmation_id), store.settle(asked.confirmation_id, ADA, approve=True)
        )
        assert decision
        assert settled

    virtual_time.run(body())


async def test_another_users_question_does_not_exist_and_stays_open() -> None:
    store = ConfirmationStore(LocalState())
    asked = await store.create(ACTION, VERDICT, ADA)
    assert not await store.settle(asked.confirmation_id, EVE, approve=True)
    assert await store.take(asked.confirmation_id, EVE, approve=True) is None
    assert await store.settle(asked.confirmation_id, ADA, approve=False)


@pytest.mark.parametrize("deferred", [True, False])
async def test_who_may_not_run_the_action_may_decline_it_only_and_it_stays_open(deferred: bool) -> None:
    store, plain = ConfirmationStore(LocalState()), CallContext("ada", ("user",), session_id="hall")
    asked = await (store.defer(ACTION, VERDICT, ADA, None) if deferred else store.create(ACTION, VERDICT, ADA))
    settle = partial(store.take if deferred else store.settle, asked.confirmation_id)
    for _ in range(2):
        with pytest.raises(ServiceError) as refused:
            await store.take(asked.confirmation_id, plain, approve=True)
        assert refused.value.code == "FORBIDDEN"
    if not deferred:
        with pytest.raises(ServiceError):
            await store.settle(asked.confirmation_id, plain, approve=True)
    assert await settle(plain, approve=False)


async def test_nobody_answers() -> None:
    store = ConfirmationStore(LocalState(), life_s=0.02)
    asked = await store.create(ACTION, VERDICT, ADA)
    assert await store.decision(asked.confirmation_id) is None
    assert not await store.settle(asked.confirmation_id, ADA, approve=True)


async def test_a_wait_that_is_given_up_withdraws_the_question() -> None:
    store = ConfirmationStore(LocalState())
    asked = await store.create(ACTION, VERDICT, ADA)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0)
        waiting.cancel()
    assert not await store.settle(asked.confirmation_id, ADA, approve=True)


def test_nothing_is_left_of_a_question_that_its_lane_never_waits_for() -> None:
    async def body() -> None:
        store = ConfirmationStore(LocalState(), life_s=1)
        for approve in (True, False):
            asked = await store.create(ACTION, VERDICT, ADA)
            await store.settle(asked.confirmation_id, ADA, approve=approve)
        await asyncio.sleep(10)
        held = {name: each for name, each in vars(store).items() if isinstance(each, dict | set)}
        assert not any(held.values()), held

    virtual_time.run(body())


async def test_a_deferred_question_is_the_approvers_to_run() -> None:
    store = ConfirmationStore(LocalState())
    asked = await store.defer(ACTION, VERDICT, ADA, 500)
    assert not await store.settle(asked.confirmation_id, ADA, approve=True)  # nobody would run it
    question = await store.take(asked.confirmation_id, ADA, approve=True)
    assert question is not None
    assert (question.action, question.session_id, question.timeout_ms) == (ACTION, "kitchen", 500)
    assert question.deferred
    assert await store.take(asked.confirmation_id, ADA, approve=True) is None


async def test_a_deferred_question_may_be_refused_from_anywhere() -> None:
    store = ConfirmationStore(LocalState())
    asked = await store.defer(ACTION, VERDICT, ADA, None)
    assert await store.settle(asked.confirmation_id, ADA, approve=False)
    assert await store.take(asked.confirmation_id, ADA, approve=True) is None


async def replicas(
    url: str, group: asyncio.TaskGroup
) -> AsyncIterator[tuple[ConfirmationStore, RedisLink, asyncio.Task[None]]]:
    """Stores of two gateways on one Redis, listening."""
    for name in ("first", "second"):
        link = RedisLink(url, group, lambda: None)
        state = RedisState(link)
        store = ConfirmationStore(state)
        listening = group.create_task(state.listen(), name=f"{name} news")
        yield store, link, listening


async def test_another_replica_settles(redis_url: str) -> None:
    async with asyncio.TaskGroup() as group:
        (first, link, news), (second, other_link, other_news) = [
            replica async for replica in replicas(redis_url, group)
        ]
        asked = await first.create(ACTION, VERDICT, ADA)
        waiting = group.create_task(first.decision(asked.confirmation_id), name="lane")
        assert await second.settle(asked.confirmation_id, ADA, approve=True)
        assert await waiting is True
        for task in (news, other_news):
            task.cancel()
        for one in (link, other_link):
            await one.close()


async def test_an_approval_of_another_action_approves_nothing_and_the_question_stays() -> None:
    store = ConfirmationStore(LocalState())
    asked = await store.create(ACTION, VERDICT, ADA)
    changed = Action("os", "rm", {"args": ["y"]})
    assert asked.action_hash == hash_of(ACTION) != hash_of(changed)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(store.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0)
        for answering in (store.settle, store.take):
            with pytest.raises(ServiceError, match="ACTION_CHANGED"):
                await answering(asked.confirmation_id, ADA, approve=True, action_hash=hash_of(changed))
        assert not waiting.done()
        assert await store.settle(asked.confirmation_id, ADA, approve=True, action_hash=asked.action_hash)
    assert waiting.result() is True


async def test_a_refusal_counts_whatever_it_names() -> None:
    store = ConfirmationStore(LocalState())
    asked = await store.defer(ACTION, VERDICT, ADA, None)
    assert await store.take(asked.confirmation_id, ADA, approve=False, action_hash="0" * 64) is not None


async def test_a_record_whose_action_was_changed_approves_nothing() -> None:
    state = LocalState()
    store = ConfirmationStore(state)
    asked = await store.defer(ACTION, VERDICT, ADA, None)
    key = confirmations._key(asked.confirmation_id)
    recorded = json.loads(await state.get(key) or "")
    recorded["action"]["parameters"]["args"] = ["/"]
    await state.put(key, json.dumps(recorded), 60)
    with pytest.raises(ServiceError, match="ACTION_CHANGED"):
        await store.take(asked.confirmation_id, ADA, approve=True, action_hash=asked.action_hash)


def test_a_hash_is_of_what_is_done_not_of_how_it_was_written() -> None:
    one = Action("os", "mv", {"args": ["a", "b"], "n": 5, "deep": {"x": [1.0], "y": None}}, "s1")
    same = Action("os", "mv", {"deep": {"y": None, "x": [1]}, "n": 5.0, "args": ["a", "b"]}, "s2")
    assert hash_of(one) == hash_of(same)
    others = [
        Action("os", "cp", one.parameters),
        Action("browser", "mv", one.parameters),
        Action("os", "mv", {**one.parameters, "args": ["a b"]}),
        Action("os", "mv", {**one.parameters, "n": "5"}),
        Action("os", "mv", {**one.parameters, "n": True}),
    ]
    assert len({hash_of(each) for each in [one, *others]}) == 1 + len(others)


@pytest.mark.parametrize("allowed", [False, True])
async def test_what_a_caller_cannot_approve_is_not_to_be_asked(allowed: bool) -> None:
    store = ConfirmationStore(LocalState(), destructive_by_voice=allowed)
    caller = CallContext(f"{PHONE_USERS}+15550100", ("user",))
    low = Verdict("confirm", "low", ())
    answerable = [store.answerable(verdict, who) for who in (ADA, caller) for verdict in (VERDICT, low)]
    assert answerable == [True, True, allowed, True]
