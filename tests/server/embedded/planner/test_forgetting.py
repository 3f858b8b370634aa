"""Deleting memories by voice: the intent, the plan and the reply."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from protos import planner_pb2
from server.embedded.planner.replies import StepOutcome, reply
from server.embedded.planner.service import plan
from streaming.agent.references import fill
from tests.server.embedded.planner import told

NOON = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
COLOUR = ["user.favorite-color"]
NOTE = {"key": "k1", "value": "i parked on level two"}


def planned(text: str, *said: str) -> planner_pb2.PlanResponse:
    """After the user has said so, each of it answered; `text` itself is in the conversation already."""
    turns = [turn for words in said for turn in (("user", words), ("assistant", "I will remember that."))]
    context = [planner_pb2.Turn(role=role, text=words) for role, words in [*turns, ("user", text)]]
    return plan(planner_pb2.PlanRequest(text=text, context=context))


def steps(made: planner_pb2.PlanResponse) -> list[tuple[str, dict[str, Any]]]:
    return [(step.action, MessageToDict(step.parameters)) for step in made.steps]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("forget my favourite colour", []),
        ("forget about my favorite color", []),
        ("forget that my favourite colour is blue", []),
        ("forget that", ["remember that my favourite colour is blue"]),
        ("forget that", ["remember that i like tea", "what is my favourite colour", "what time is it"]),
        ("forget it", ["remember that i like tea", "remember that my favourite colour is blue"]),
    ],
)
def test_what_has_a_name_is_forgotten_by_it(text: str, said: list[str]) -> None:
    assert steps(planned(text, *said)) == [("delete", {"key": COLOUR[0]})]


def test_what_was_found_is_forgotten_rather_than_what_was_asked() -> None:
    made = told.planned("forget that", [("user", "what do I like"), ("assistant", "You said: I like tea.")])
    assert steps(made)[0][1]["query"] == "I like tea"


@pytest.mark.parametrize("said", [["what is my favourite colour"], ["remember that i like tea", "what time is it"]])
@pytest.mark.parametrize("text", ["forget it", "Oh, forget it.", "forget about it"])
def test_a_mere_idiom_forgets_nothing(text: str, said: list[str]) -> None:
    made = planned(text, *said)
    assert (made.intent, steps(made)) == ("stop", [])


@pytest.mark.parametrize(
    ("text", "said", "query"),
    [
        ("forget about the parking", [], "the parking"),
        ("forget where i parked", [], "i parked"),
        ("forget that", ["my name is ada", "remember that i parked on level two"], "i parked on level two"),
        ("delete that", ["what did i tell you about tea"], "tea"),
    ],
)
def test_a_note_is_looked_for_first(text: str, said: list[str], query: str) -> None:
    made = planned(text, *said)
    search, delete = steps(made)
    assert search == ("search", {"query": query, "limit": 1.0, "tags": ["note"]})
    assert list(made.steps[1].depends_on) == ["s1"]
    assert (delete[0], fill(delete[1], {"s1": {"results": [NOTE]}}, ["s1"])) == ("delete", {"key": "k1"})


@pytest.mark.parametrize("said", [[], ["what time is it"], ["what do you remember"]])
def test_nothing_is_forgotten_when_nobody_knows_what(said: list[str]) -> None:
    made = planned("forget that", *said)
    assert steps(made) == []
    assert reply(made.intent, {}, [], NOON).startswith("I do not know what to forget.")


FOUND = StepOutcome("ok", {"results": [NOTE]})
TOPIC = {"topic": "the parking"}


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ([FOUND, StepOutcome("ok", {})], "I have forgotten what you told me: i parked on level two."),
        ([FOUND, StepOutcome("declined", {}, "it was not approved")], "All right, I will not do it."),
        (
            [StepOutcome("ok", {"results": []}), StepOutcome("skipped", {}, "nothing to go on with")],
            "I do not remember anything about the parking, so there is nothing to forget.",
        ),
        (
            [StepOutcome("failed", {}, "it is down"), StepOutcome("skipped", {})],
            "I am sorry, that did not work: it is down.",
        ),
    ],
)
def test_what_became_of_it_is_said(outcomes: list[StepOutcome], words: str) -> None:
    assert reply("forget", TOPIC, outcomes, NOON) == words
