"""M5 planner over real gRPC: the plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.browser.actions import ACTIONS as BROWSER_ACTIONS
from server.embedded.os.closed import ClosedPaths
from server.embedded.os.commands import COMMANDS, checked
from server.embedded.planner.recipes import NAMED, key_of, key_of_note
from server.embedded.search.service import ACTIONS as SEARCH_ACTIONS
from streaming.agent.references import fill
from tests.server.embedded.serving import refusal

if TYPE_CHECKING:
    from pathlib import Path

    from protos import planner_pb2
from tests.server.embedded.planner.asking import ended, planner, said, wanted

STORED = {"value": "ada", "key": "user.name", "tags": ["about-user"], "metadata": {"attribute": "name"}}
LATEST = [("user", "search for cats"), ("assistant", "I found 5 results."), ("user", "open the second one")]
PLANS: list[tuple[str, list[tuple[str, str, dict[str, Any]]]]] = [
    ("what time is it", []),
    ("search for cats", [("search", "search", {"query": "cats", "max_results": 5.0})]),
    ("open example dot com", [("browser", "navigate", {"url": "https://example.com"})]),
    ("read this page", [("browser", "extract_text", {})]),
    ("take a screenshot", [("browser", "screenshot", {})]),
    ("click on next", [("browser", "click", {"text": "next"})]),
    ("scroll up", [("browser", "scroll", {"to": "up"})]),
    ("what links are there", [("browser", "links", {})]),
    ("go back", [("browser", "back", {})]),
    ("list files", [("os", "ls", {"args": []})]),
    ("list files in the docs folder", [("os", "ls", {"args": ["docs"]})]),
    ("read the file notes dot txt", [("os", "cat", {"args": ["notes.txt"]})]),
    ("run date", [("os", "date", {"args": []})]),
    ("run ls minus l", [("os", "ls", {"args": ["-l"]})]),
    ("how much disk space is left", [("os", "df", {"args": ["-h", "."]})]),
    ("run rm -rf /", [("os", "rm", {"args": ["-rf", "/"]})]),
    ("remember that my name is ada", [("memory", "store", STORED)]),
    (
        "remember that i like tea",
        [("memory", "store", {"key": key_of_note("i like tea"), "value": "i like tea", "tags": ["note"]})],
    ),
    ("what is my name", [("memory", "retrieve", {"key": "user.name"})]),
    ("what did i say about tea", [("memory", "search", {"query": "tea", "limit": 5.0})]),
    ("what do you know about me", [("memory", "search", {"query": "", "limit": 5.0})]),
    ("forget my name", [("memory", "delete", {"key": "user.name"})]),
    ("stop", []),
    ("the square root of a purple elephant", []),
]


@pytest.mark.parametrize("answer", ["80", "of 80", "Eighty.", "of eighty dollars"])
async def test_the_missing_number_of_a_percentage_is_asked_for_and_taken(tmp_path: Path, answer: str) -> None:
    async with planner(tmp_path) as stub:
        asked = await said(stub, "what is 15 percent", [])
        assert asked == "15 percent of what?"
        assert (
            await said(stub, answer, [], [("user", "what is 15 percent"), ("assistant", asked)])
            == "15 percent of 80 is 12."
        )
        assert "12" not in await said(stub, answer, [])


async def test_intents_become_steps(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        for text, steps in PLANS:
            plan = await stub.Plan(wanted(text))
            made = [(step.executor, step.action, MessageToDict(step.parameters)) for step in plan.steps]
            assert (text, made) == (text, steps)
            assert plan.plan_id
            assert plan.goal
            assert all(step.description for step in plan.steps)


async def test_every_step_is_one_that_an_executor_takes(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        for text, steps in PLANS:
            for step in (await stub.Plan(wanted(text))).steps:
                parameters = MessageToDict(step.parameters)
                if step.executor == "browser":
                    BROWSER_ACTIONS[step.action].parameters(**parameters)
                elif step.executor == "search":
                    SEARCH_ACTIONS[step.action].parameters(**parameters)
                elif step.executor == "os" and step.action in COMMANDS:
                    checked(step.action, parameters["args"], tmp_path, ClosedPaths((), tmp_path))
                else:
                    assert step.action in {"store", "retrieve", "search", "delete", "rm"}, (text, steps)


async def test_commands_without_arguments_print_what_can_be_said(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        for command in COMMANDS.keys() - NAMED:  # of those, the name is asked for
            step = (await stub.Plan(wanted(intent="run_command", command=command))).steps[0]
            assert (step.executor, step.action) == ("os", command)
            if COMMANDS[command].least == 0:
                checked(command, MessageToDict(step.parameters)["args"], tmp_path, ClosedPaths((), tmp_path))


async def test_a_search_and_the_opening_of_its_last_result_are_one_plan(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        plan = await stub.Plan(wanted("search for cats and open the last result"))
    search, navigate = plan.steps
    assert (search.executor, navigate.executor, list(navigate.depends_on)) == ("search", "browser", [search.id])
    results = {search.id: {"results": [{"url": "https://a.example"}, {"url": "https://b.example"}]}}
    assert fill(MessageToDict(navigate.parameters), results, navigate.depends_on) == {"url": "https://b.example"}


async def test_a_picture_of_a_page_needs_the_page_first(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        plan = await stub.Plan(wanted("take a screenshot of example dot com"))
    assert [(step.action, list(step.depends_on)) for step in plan.steps] == [("navigate", []), ("screenshot", ["s1"])]


@pytest.mark.parametrize("text", ["open the second one", "open number two"])
async def test_what_the_user_points_at_comes_from_the_conversation(tmp_path: Path, text: str) -> None:
    async with planner(tmp_path) as stub:
        plan = await stub.Plan(wanted(text, turns=LATEST))
        it = await stub.Plan(wanted("open it", turns=[*LATEST, ("user", "search for dogs and open the third one")]))
    assert MessageToDict(plan.steps[0].parameters)["query"] == "cats"
    assert MessageToDict(plan.steps[1].parameters) == {"url": "${s1.results.1.url}"}
    assert MessageToDict(it.steps[0].parameters)["query"] == "dogs"


async def test_without_a_search_before_there_is_nothing_to_open(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        for turns in (None, [("assistant", "search for cats"), ("user", "what time is it"), ("user", "x" * 3_000)]):
            plan = await stub.Plan(wanted("open the second one", turns=turns))
            assert list(plan.steps) == []
            assert "which one" in (await stub.Compose(ended(plan, []))).text


async def test_the_last_answer_is_said_again(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        again = await said(stub, "say that again", [], turns=[*LATEST[:2], ("user", "say that again")])
        nothing = await said(stub, "say that again", [])
        mine = await said(stub, "what did I just say", [], turns=[*LATEST[:2], ("user", "what did I just say")])
    assert mine == f"You said: {next(text for role, text in reversed(LATEST[:2]) if role == 'user')}"
    assert again == "I found 5 results."
    assert nothing == "I have not said anything yet."


async def test_intent_and_entities_are_taken_as_given(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        number = await stub.Plan(wanted(intent="remember", attribute="age", value=25))
        heard = await stub.Plan(wanted("search for cats", intent="web_search", query="dogs"))
        filled = await stub.Plan(wanted("search for cats", intent="web_search"))
        foreign = await stub.Plan(wanted(intent="order_pizza", size="large"))
    assert MessageToDict(number.steps[0].parameters)["value"] == 25
    assert [MessageToDict(plan.steps[0].parameters)["query"] for plan in (heard, filled)] == ["dogs", "cats"]
    assert (list(foreign.steps), foreign.intent, MessageToDict(foreign.entities)) == (
        [],
        "order_pizza",
        {"size": "large"},
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("favourite colour", "Favorite Color", True),
        ("dog's name", "dogs name", False),
        ("日本", "中国", False),
        ("a" * 300, "a" * 301, False),
        ("organisation", "organization", True),
    ],
)
def test_an_attribute_has_one_key_however_it_is_spelt(one: str, other: str, same: bool) -> None:
    assert (key_of(one) == key_of(other)) is same
    assert len(key_of(one)) <= 256


WRONG: list[tuple[planner_pb2.PlanRequest, str]] = [
    (wanted(), "either intent or text"),
    (wanted("   "), "either intent or text"),
    (wanted("x" * 2_001), "at most 2000 characters"),
    (wanted("x" * 2_001, intent="stop"), "at most 2000 characters"),
    (wanted(intent="x" * 129), "intent 128"),
    (wanted(intent="recall", attribute=5), "entities.attribute has to be text"),
    (wanted(intent="recall", attribute=["a"]), "entities.attribute has to be text"),
    (wanted(intent="recall", attribute="x" * 2_001), "entities.attribute has at most"),
    (wanted(intent="open_result", query="a", ordinal="first"), "entities.ordinal has to be a number"),
    (wanted(intent="open_result", query="a", ordinal=True), "entities.ordinal has to be a number"),
    (wanted(intent="open_result", query="a", ordinal=0.5), "whole number"),
    (wanted(intent="open_result", query="a", ordinal=-2), "whole number"),
    (wanted(intent="open_result", query="a", ordinal=float("nan")), "something that is not a number"),
    (wanted(intent="run_command", command="ls", args="-l"), "entities.args has to be a list"),
    (wanted(intent="run_command", command="ls", args=[1]), "entities.args has to be text"),
    (wanted(intent="run_command", command="ls", args=["a"] * 65), "entities.args has to be a list"),
]


@pytest.mark.parametrize(("request_", "words"), WRONG)
async def test_what_cannot_be_planned_is_refused(tmp_path: Path, request_: planner_pb2.PlanRequest, words: str) -> None:
    async with planner(tmp_path) as stub:
        code, told = await refusal(stub.Plan(request_))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in told


ASKED = [
    ("web_search", "What should I search for?"),
    ("open_page", "Which page should I open?"),
    ("run_command", "Which command should I run?"),
    ("remember", "What about you do you mean?"),
    ("remember_fact", "What should I remember?"),
    ("recall", "What about you do you mean?"),
    ("read_file", "Which file do you mean?"),
    ("click", "What should I click on?"),
]


async def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    async with planner(tmp_path) as stub:
        for intent, words in ASKED:
            plan = await stub.Plan(wanted(intent=intent))
            assert (intent, list(plan.steps)) == (intent, [])
            assert (intent, (await stub.Compose(ended(plan, []))).text) == (intent, words)
        empty = await stub.Plan(wanted(intent="web_search", query="  "))
        assert list(empty.steps) == []
