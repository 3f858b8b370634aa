from __future__ import annotations

import pytest

from protos import planner_pb2
from server.upstream import BreakerPolicy, CircuitState
from server.upstream.convert import from_struct, to_struct
from streaming.ports import (
    ConversationTurn,
    IntentGuess,
    Outcome,
    Plan,
    Prompt,
    ReplyWords,
    Round,
    ServiceError,
    Step,
    Tool,
)
from tests.server.upstream.observing import CALLER
from tests.support.services import FakeServices

PLAN = Plan(
    "p-1",
    "tell the time",
    (
        Step("s1", "os", "date", {"utc": True, "n": 3}, (), "look"),
        Step("s2", "memory", "store", {"v": "${s1.out}"}, ("s1",), ""),
    ),
    "get_time",
    {"place": "Bonn"},
)


async def test_a_plan_is_made_from_words_intent_and_conversation() -> None:
    async with FakeServices("planner") as fakes, fakes.upstream() as upstream:
        steps = [
            planner_pb2.Step(
                id="s1", executor="os", action="date", parameters=to_struct({"utc": True, "n": 3}), description="look"
            ),
            planner_pb2.Step(
                id="s2", executor="memory", action="store", parameters=to_struct({"v": "${s1.out}"}), depends_on=["s1"]
            ),
        ]
        fakes.planner.answer(
            "Plan",
            planner_pb2.PlanResponse(
                plan_id="p-1",
                goal="tell the time",
                steps=steps,
                intent="get_time",
                entities=to_struct({"place": "Bonn"}),
            ),
        )
        intent = IntentGuess("get_time", 0.5, {"place": "Bonn"})
        turns = [ConversationTurn("user", "hi", "2026-01-01T00:00:00Z"), ConversationTurn("assistant", "hello")]
        assert await upstream.services.planner.plan("time in Bonn", intent, turns, CALLER) == PLAN
        assert await upstream.services.planner.plan("time in Bonn", None, [], CALLER) == PLAN
        with_intent, without = (call.requests[0] for call in fakes.planner.calls)
    assert (with_intent.text, with_intent.intent, with_intent.session_id) == ("time in Bonn", "get_time", "s-1")
    assert from_struct(with_intent.entities) == {"place": "Bonn"}
    assert [(turn.role, turn.text) for turn in with_intent.context] == [("user", "hi"), ("assistant", "hello")]
    assert (without.intent, without.HasField("entities")) == ("", False)


async def test_the_planner_gets_its_own_plan_back_with_the_outcomes() -> None:
    async with FakeServices("planner") as fakes, fakes.upstream() as upstream:
        fakes.planner.answer("Compose", planner_pb2.ComposeResponse(text="It is five."))
        outcomes = [Outcome("s1", "ok", {"out": "05:00", "exit_code": 0}), Outcome("s2", "failed", {}, "disk full")]
        assert await upstream.services.planner.compose(PLAN, outcomes, "Europe/Berlin", CALLER) == "It is five."
        request = fakes.planner.calls[0].requests[0]
    assert request.plan.plan_id == "p-1"
    assert [step.id for step in request.plan.steps] == ["s1", "s2"]
    assert list(request.plan.steps[1].depends_on) == ["s1"]
    assert from_struct(request.plan.steps[0].parameters) == {"utc": True, "n": 3}
    assert from_struct(request.plan.entities) == {"place": "Bonn"}
    assert [(one.step_id, one.status, one.message) for one in request.outcomes] == [
        ("s1", "ok", ""),
        ("s2", "failed", "disk full"),
    ]
    assert from_struct(request.outcomes[0].result) == {"out": "05:00", "exit_code": 0}
    assert request.time_zone == "Europe/Berlin"


def event(**fields: object) -> planner_pb2.ConverseEvent:
    return planner_pb2.ConverseEvent(**fields)  # type: ignore[arg-type]


async def test_a_round_with_the_language_model() -> None:
    step = Step("r2s1", "os", "ls", {"args": ["a"]}, (), "")
    done = Round("Well. ", PLAN.steps[:1], (Outcome("s1", "ok", {"stdout": "x"}),))
    turns = (ConversationTurn("user", "hi"),)
    prompt = Prompt("hi", turns, "en-GB", "Europe/Vienna", (Tool("os", "ls", "List", {"a": 1}),), (done,))
    async with FakeServices("planner") as fakes, fakes.upstream() as upstream:
        made = planner_pb2.Step(id="r2s1", executor="os", action="ls", parameters=to_struct({"args": ["a"]}))
        fakes.planner.answer(
            "Converse", event(words=planner_pb2.Words(text="One. ")), planner_pb2.ConverseEvent(), event(step=made)
        )
        told = [one async for one in upstream.services.planner.converse(prompt, CALLER)]
        request = fakes.planner.calls[0].requests[0]
    assert told == [ReplyWords("One. "), step]
    assert (request.text, request.language, request.time_zone) == ("hi", "en-GB", "Europe/Vienna")
    assert (request.context[0].text, request.tools[0].action, request.rounds[0].words) == ("hi", "ls", "Well. ")
    assert from_struct(request.rounds[0].outcomes[0].result) == {"stdout": "x"}


async def test_a_language_model_that_fails_does_not_speak_against_the_planner() -> None:
    prompt = Prompt("hi", (), "en", "", ())
    once = BreakerPolicy(min_faults=1)
    async with FakeServices("planner") as fakes, fakes.upstream(policy=once) as upstream:
        failed = planner_pb2.Failure(code="UNAVAILABLE", message="it cannot\nbe reached", retry_after_ms=7)
        fakes.planner.answer("Converse", event(failed=failed))
        for _ in range(3):
            with pytest.raises(ServiceError) as told:
                assert [one async for one in upstream.services.planner.converse(prompt, CALLER)] == []
            assert (told.value.service, told.value.code, told.value.retry_after_ms) == ("mind", "UNAVAILABLE", 7)
            assert told.value.message == "it cannot be reached"
        assert upstream.circuits()["planner"] is CircuitState.CLOSED
