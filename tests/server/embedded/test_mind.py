"""M4 intent and M5 planner over real gRPC: what is understood, what is planned, what is said."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict

from protos import intent_pb2, intent_pb2_grpc, planner_pb2, planner_pb2_grpc
from server.embedded.host import Host
from server.embedded.service import EmbeddedConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def channel(name: str, directory: Path) -> AsyncIterator[grpc.aio.Channel]:
    host = Host({name: "127.0.0.1:0"}, EmbeddedConfig(directory))
    addresses = await host.bind()
    assert await host.start() == {}
    async with grpc.aio.insecure_channel(addresses[name]) as opened:
        yield opened
    await host.stop()


UNDERSTOOD: list[tuple[str, str, dict[str, Any]]] = [
    ("what time is it", "get_time", {}),
    ("What's the time?", "get_time", {}),
    ("what time it is", "get_time", {}),
    ("which day is it today", "get_date", {}),
    ("search for python tutorials", "web_search", {"query": "python tutorials"}),
    ("Look up the weather in London please.", "web_search", {"query": "the weather in London"}),
    ("open example dot com", "open_page", {"url": "https://example.com"}),
    ("go to https://example.com/a?b=1", "open_page", {"url": "https://example.com/a?b=1"}),
    ("open the first one", "open_result", {"ordinal": 0.0}),
    ("list files in the current directory", "list_files", {}),
    ("run date", "run_command", {"command": "date"}),
    ("how much disk space is left", "run_command", {"command": "df"}),
    ("remember that my favourite colour is blue", "remember", {"attribute": "favourite colour", "value": "blue"}),
    ("my name is peter", "remember", {"attribute": "name", "value": "peter"}),
    ("remember that i parked on level two", "remember_fact", {"fact": "i parked on level two"}),
    ("what is my favourite colour", "recall", {"attribute": "favourite colour"}),
    ("forget my name", "forget", {"attribute": "name"}),
    ("stop", "stop", {}),
    ("yes please", "yes", {}),
    ("no thanks", "no", {}),
    ("help", "help", {}),
    ("hello jarvis", "greeting", {}),
    ("how are you today", "how_are_you", {}),
    ("take a screenshot", "screenshot", {}),
    ("read me this page", "read_page", {}),
    ("go back", "go_back", {}),
    ("the square root of a purple elephant", "unknown", {}),
]


async def test_what_people_say_is_understood(tmp_path: Path) -> None:
    async with channel("intent", tmp_path) as opened:
        stub = intent_pb2_grpc.IntentRecognizerStub(opened)
        for text, intent, entities in UNDERSTOOD:
            answer = await stub.Recognize(intent_pb2.RecognizeRequest(text=text, language="en-US"))
            assert (text, answer.intent, MessageToDict(answer.entities)) == (text, intent, entities)
            assert 0 <= answer.confidence <= 1
            assert (answer.confidence == 0) == (intent == "unknown")


async def test_a_near_miss_is_less_certain_and_alternatives_are_told(tmp_path: Path) -> None:
    async with channel("intent", tmp_path) as opened:
        stub = intent_pb2_grpc.IntentRecognizerStub(opened)
        exact = await stub.Recognize(intent_pb2.RecognizeRequest(text="what time is it"))
        near = await stub.Recognize(intent_pb2.RecognizeRequest(text="what time it is"))
        both = await stub.Recognize(intent_pb2.RecognizeRequest(text="remember that my name is ada"))
    assert near.confidence < exact.confidence
    assert [other.intent for other in both.alternatives] == ["remember_fact"]
    assert both.alternatives[0].confidence < both.confidence


@pytest.mark.parametrize(("text", "language"), [("", "en"), ("   ", "en"), ("x" * 2_001, "en"), ("hallo", "de-DE")])
async def test_what_cannot_be_understood_at_all_is_refused(tmp_path: Path, text: str, language: str) -> None:
    async with channel("intent", tmp_path) as opened:
        stub = intent_pb2_grpc.IntentRecognizerStub(opened)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Recognize(intent_pb2.RecognizeRequest(text=text, language=language))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_every_intent_is_listed_with_examples_that_are_understood_as_it(tmp_path: Path) -> None:
    async with channel("intent", tmp_path) as opened:
        stub = intent_pb2_grpc.IntentRecognizerStub(opened)
        listed = (await stub.ListIntents(intent_pb2.ListIntentsRequest())).intents
        assert {intent for _, intent, _ in UNDERSTOOD} - {intent.name for intent in listed} == {"unknown"}
        for intent in listed:
            assert intent.description
            for example in intent.examples:
                answer = await stub.Recognize(intent_pb2.RecognizeRequest(text=example))
                assert (example, answer.intent) == (example, intent.name)


Outcome = tuple[str, dict[str, Any], str]


async def planned(stub: Any, text: str, context: list[tuple[str, str]] | None = None) -> Any:
    turns = [planner_pb2.Turn(role=role, text=said) for role, said in context or []]
    return await stub.Plan(planner_pb2.PlanRequest(text=text, context=turns))


async def composed(stub: Any, plan: Any, outcomes: list[Outcome], zone: str = "") -> str:
    request = planner_pb2.ComposeRequest(plan=plan, time_zone=zone)
    for index, (status, result, message) in enumerate(outcomes, 1):
        outcome = request.outcomes.add(step_id=f"s{index}", status=status, message=message)
        outcome.result.update(result)
    return str((await stub.Compose(request)).text)


PLANS: list[tuple[str, list[tuple[str, str]]]] = [
    ("what time is it", []),
    ("search for cats", [("search", "search")]),
    ("open example dot com", [("browser", "navigate")]),
    ("list files", [("os", "ls")]),
    ("run date", [("os", "date")]),
    ("remember that my name is ada", [("memory", "store")]),
    ("what is my name", [("memory", "retrieve")]),
    ("forget my name", [("memory", "delete")]),
    ("take a screenshot", [("browser", "screenshot")]),
    ("stop", []),
]


async def test_intents_become_steps(tmp_path: Path) -> None:
    async with channel("planner", tmp_path) as opened:
        stub = planner_pb2_grpc.PlannerStub(opened)
        for text, steps in PLANS:
            plan = await planned(stub, text)
            assert (text, [(step.executor, step.action) for step in plan.steps]) == (text, steps)
            assert plan.plan_id
            assert plan.goal


async def test_a_result_of_the_last_search_is_opened_by_reference(tmp_path: Path) -> None:
    async with channel("planner", tmp_path) as opened:
        stub = planner_pb2_grpc.PlannerStub(opened)
        plan = await planned(stub, "open the second one", [("user", "search for cats"), ("assistant", "I found 5.")])
        alone = await planned(stub, "open the second one")
        words = await composed(stub, alone, [])
    assert MessageToDict(plan.steps[0].parameters)["query"] == "cats"
    assert MessageToDict(plan.steps[1].parameters) == {"url": "${s1.results.1.url}"}
    assert list(plan.steps[1].depends_on) == ["s1"]
    assert "no search" in words


SAID: list[tuple[str, list[Outcome], str]] = [
    ("what is my favourite colour", [("ok", {"value": "blue"}, "")], "Your favourite colour is blue."),
    ("what is my name", [("failed", {}, "no such key")], "I do not know your name yet."),
    ("remember that my name is ada", [("ok", {"key": "k"}, "")], "I will remember that your name is ada."),
    (
        "remember that my name is ada",
        [("failed", {}, "the disk is full")],
        "I am sorry, that did not work: the disk is full.",
    ),
    ("list files", [("ok", {"stdout": "a\nb\nc\nd\n"}, "")], "There are 4 entries here: a, b, c and 1 more."),
    ("list files", [("ok", {"stdout": ""}, "")], "There are no files here."),
    ("run date", [("ok", {"stdout": "Monday\n"}, "")], "The command date says: Monday"),
    ("run date", [("timeout", {}, "")], "I am sorry, that took too long, so I have stopped it."),
    ("run date", [("denied", {}, "your role may not")], "I am sorry, I may not do that: your role may not."),
    ("run date", [("declined", {}, "it was not approved")], "All right, I will not do it."),
    ("search for cats", [("ok", {"results": []}, "")], "I found nothing about cats."),
    ("search for cats", [("ok", {"results": [{"title": "Cats"}]}, "")], "I found one result: Cats."),
    ("stop", [], ""),
]


async def test_outcomes_become_words(tmp_path: Path) -> None:
    async with channel("planner", tmp_path) as opened:
        stub = planner_pb2_grpc.PlannerStub(opened)
        for text, outcomes, words in SAID:
            assert (text, await composed(stub, await planned(stub, text), outcomes)) == (text, words)


async def test_the_time_is_that_of_the_users_zone(tmp_path: Path) -> None:
    async with channel("planner", tmp_path) as opened:
        stub = planner_pb2_grpc.PlannerStub(opened)
        plan = await planned(stub, "what time is it")
        here, there = [await composed(stub, plan, [], zone) for zone in ("Etc/GMT-6", "Etc/GMT+6")]
        with pytest.raises(grpc.aio.AioRpcError, match="no time zone"):
            await composed(stub, plan, [], "Mars/Olympus")
    assert here.startswith("It is ")
    assert here.split()[-1] != there.split()[-1]  # twelve hours apart: one is AM, the other PM


async def test_long_output_is_not_read_aloud_to_its_end(tmp_path: Path) -> None:
    async with channel("planner", tmp_path) as opened:
        stub = planner_pb2_grpc.PlannerStub(opened)
        plan = await planned(stub, "read this page")
        words = await composed(stub, plan, [("ok", {"text": "word " * 1_000 + "https://example.com/x"}, "")])
    assert len(words) < 300
    assert "https" not in words
