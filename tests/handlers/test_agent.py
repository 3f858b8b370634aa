"""Intent, plan and safety over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import ConversationTurn, ServiceError, Verdict
from tests.support.rest import document, problem, running

if TYPE_CHECKING:
    from pathlib import Path

INTENT = "/api/v1/agent/intent"
PLAN = "/api/v1/agent/plan"
SAFETY = "/api/v1/agent/safety/check"


async def test_intent(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", INTENT, {"text": "what time is it"})
    assert document(answer) == {
        "intent": "time",
        "confidence": 0.9,
        "entities": {"said": "what time is it"},
        "alternatives": [{"intent": "date", "confidence": 0.4, "entities": {}}],
    }


async def test_intents(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("GET", "/api/v1/agent/intents")
    assert document(answer) == {
        "intents": [{"name": "time", "description": "tells the time", "examples": ["what time is it"], "entities": []}]
    }


async def test_a_plan_sees_the_conversation(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.turns = [ConversationTurn("user", "hello"), ConversationTurn("assistant", "hi")]
        told = document(await gw.fetch("POST", PLAN, {"text": "find tea", "session_id": "kitchen"}))
        alone = document(await gw.fetch("POST", PLAN, {"text": "find tea"}))
        gw.script.failing["memory"] = ServiceError("UNAVAILABLE", "away", service="memory")
        forgetful = document(await gw.fetch("POST", PLAN, {"text": "find tea", "session_id": "kitchen"}))
    assert told == {
        "plan_id": "p1",
        "goal": "find tea",
        "steps": [
            {
                "id": "s1",
                "executor": "search",
                "action": "search",
                "parameters": {"query": "find tea", "turns": 2},
                "depends_on": [],
                "description": "looks it up",
            }
        ],
        "intent": "web_search",
        "entities": {},
    }
    assert alone["steps"][0]["parameters"]["turns"] == 0
    assert forgetful["steps"][0]["parameters"]["turns"] == 0  # a plan without the conversation is better than none


async def test_a_plan_for_an_intent_that_is_understood(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        told = document(await gw.fetch("POST", PLAN, {"intent": "time", "entities": {"place": "Rome"}}))
    assert (told["intent"], told["entities"]) == ("time", {"place": "Rome"})


@pytest.mark.parametrize("wrong", [{}, {"entities": {}}, {"text": "x", "entities": {}}, {"intent": ""}])
async def test_a_plan_needs_something_wanted(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with running(tmp_path) as gw:
        assert problem(await gw.fetch("POST", PLAN, wrong)) == (422, "VALIDATION_ERROR")


async def test_a_plan_as_it_came_may_be_checked(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.verdict = Verdict("confirm", "medium", ("it goes out",))
        plan = document(await gw.fetch("POST", PLAN, {"text": "find tea"}))
        told = document(await gw.fetch("POST", SAFETY, {"plan": plan}))
    assert told == {
        "verdict": "confirm",
        "risk": "medium",
        "reasons": ["it goes out"],
        "actions": [{"verdict": "confirm", "risk": "medium", "reasons": ["it goes out"], "action_id": "s1"}],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"executor": "os"},
        {"action": "ls"},
        {"parameters": {}},
        {"plan": {"steps": []}},
        {"executor": "os", "action": "ls", "plan": {"steps": [{"id": "a", "executor": "os", "action": "ls"}]}},
        {"plan": {"steps": [{"id": "a", "executor": "os", "action": "ls"}] * 65}},
    ],
)
async def test_safety_is_asked_about_one_thing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with running(tmp_path) as gw:
        assert problem(await gw.fetch("POST", SAFETY, wrong)) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("INVALID_ARGUMENT", 400),
        ("PERMISSION_DENIED", 403),
        ("NOT_FOUND", 404),
        ("ABORTED", 409),
        ("RESOURCE_EXHAUSTED", 429),
        ("CANCELLED", 499),
        ("INTERNAL", 500),
        ("SOMETHING_NEW", 500),
        ("UNIMPLEMENTED", 501),
        ("UNAVAILABLE", 503),
        ("CIRCUIT_OPEN", 503),
        ("DEADLINE_EXCEEDED", 504),
    ],
)
async def test_what_a_service_says_becomes_a_status(tmp_path: Path, code: str, status: int) -> None:
    async with running(tmp_path) as gw:
        gw.script.failing["intent"] = ServiceError(code, "so it is", service="intent", retry_after_ms=1500)
        answer = await gw.fetch("POST", INTENT, {"text": "hi"})
    assert problem(answer)[0] == status
    assert document(answer)["detail"] == "intent: so it is"
    assert answer.headers["Retry-After"] == "2"


async def test_numbers_that_json_has_not(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.entities = {"a": float("nan"), "b": float("inf")}
        answer = await gw.fetch("POST", INTENT, {"text": "hi"})
    assert document(answer)["entities"] == {"a": None, "b": None}
