"""Several requests in one sentence: where it is divided, the plan for all of them, and the reply."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from protos import planner_pb2
from server.embedded.intent.recognition import SEVERAL, IntentCandidate, recognise
from server.embedded.intent.several import MAX_JOINTS, MAX_JUDGED, MAX_PARTS, requests_of
from server.embedded.planner.recipes import WrongEntityError
from server.embedded.planner.service import compose, plan
from tests.server.embedded.planner.asking import NOON, Told, ended, wanted
from tests.server.embedded.planner.told import planned


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("Create a folder called demo and list the files.", ["Create a folder called demo", "list the files."]),
        ("create a folder called demo. List the files.", ["create a folder called demo", "List the files."]),
        ("open example.com and read it", ["open example.com", "read it"]),
        ("list the files, then tell me the time", ["list the files", "tell me the time"]),
        ("what time is it, what day is it and who are you", ["what time is it", "what day is it", "who are you"]),
        ("my name is Ada and my city is Paris", ["my name is Ada", "my city is Paris"]),
        ("remember to feed the cat, then list the files", ["remember to feed the cat", "list the files"]),
        (
            "Create a folder called lion, and create one called tiger. And then make another called bear",
            [f"Create a folder called {name}" for name in ("lion", "tiger", "bear")],
        ),
        (
            "create a folder called A and a file called b.txt and create one called c.txt",
            ["create a folder called A", "create a file called b.txt", "create a file called c.txt"],
        ),
        (
            "create a file called a.txt and create a folder called B and one called C",
            ["create a file called a.txt", "create a folder called B", "create a folder called C"],
        ),
        (
            "make a folder named beta, a folder named gamma and a file called c.txt",
            ["make a folder named beta", "create a folder named gamma", "create a file called c.txt"],
        ),
    ],
)
def test_a_sentence_is_divided_where_each_part_is_a_request(text: str, requests: list[str]) -> None:
    guess = recognise(text)[0]
    assert (guess.intent, guess.entities) == (SEVERAL, {"requests": requests})


@pytest.mark.parametrize(
    "text",
    [
        "search for salt and pepper",
        "create a folder called rock and roll",
        "create a folder called bread and a butter",
        "create a folder called rock and make one",
        "search for how to open a file and read it",
        "search for how to create a folder called demo and list the files",
        "my favourite band is Earth, Wind and Fire",
        "remember to feed the cat and take a screenshot",
        "my favourite words are stop and go back",
        "echo hello and list files",
        "search for python and open the first result",
        "what is 2 plus 2 and 3 plus 3",
        "yes, list the files",
        "hello, what time is it",
    ],
)
def test_what_belongs_together_is_not_divided(text: str) -> None:
    assert recognise(text)[0].intent != SEVERAL


def test_the_steps_of_the_second_request_follow_those_of_the_first() -> None:
    made = planned("take a screenshot and search for cats and read the first result")
    steps = [(step.id, step.action, MessageToDict(step.parameters), list(step.depends_on)) for step in made.steps]
    found = {"query": "cats", "max_results": 5.0}
    assert steps == [
        ("s1", "screenshot", {}, []),
        ("s2", "search", found, ["s1"]),
        ("s3", "search", found, ["s2"]),
        ("s4", "navigate", {"url": "${s3.results.0.url}"}, ["s3"]),
    ]


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        (
            [("ok", {}, ""), ("ok", {"stdout": "demo\n"}, "")],
            "I have made the folder demo. There is 1 entry here: demo. It is 12:05 PM.",
        ),
        (
            [("declined", {}, ""), ("skipped", {}, "an earlier step did not succeed")],
            "All right, I will not do it. I am sorry, I could not go on: an earlier step did not succeed. It is 12:05 PM.",
        ),
    ],
)
def test_each_request_gets_its_reply(outcomes: list[Told], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = planned("create a folder called demo, list the files and tell me the time")
    monkeypatch.setattr("server.embedded.planner.service.moment", lambda _zone: NOON)
    assert compose(ended(made, outcomes)) == words


@pytest.mark.parametrize("entities", [{}, {"requests": []}, {"requests": ["list the files and take a screenshot"]}])
def test_requests_that_are_none_are_refused(entities: dict[str, Any]) -> None:
    with pytest.raises(WrongEntityError):
        plan(wanted(intent=SEVERAL, **entities))


def test_a_plan_without_its_parts_is_refused() -> None:
    made = planned("list the files and tell me the time")
    made.ClearField("entities")
    with pytest.raises(WrongEntityError):
        compose(ended(made, [("ok", {}, "")]))


@pytest.mark.parametrize(
    "text",
    [
        "what time is it, " * 17 + "xyz",
        "time and " * 30 + "xyz",
        "google a, b, c, d, e, f, g, h, i, j",
        "list the files and " * 15 + "xyz",
    ],
)
def test_few_parts_of_a_text_are_judged(text: str) -> None:
    judged: list[str] = []

    def clear(part: str) -> str:
        judged.append(part)
        return "known" if part in {"what time is it", "time", "google a", "list the files"} else ""

    assert requests_of(text, clear) == []
    assert len(judged) <= MAX_JUDGED


def test_what_follows_no_request_is_not_judged() -> None:
    """A text of many sentences, none of which is a request: each beginning is looked at once, and no rest."""
    judged: list[str] = []

    def clear(part: str) -> str:
        judged.append(part)
        return ""

    assert (
        requests_of("It was late. They went home, and then slept; it rained. Nobody came, and nobody left.", clear)
        == []
    )
    assert judged[:2] == ["It was late", "It was late. They went home"]
    assert len(judged) <= MAX_JOINTS


def test_no_more_requests_are_planned_than_a_sentence_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is recognised, 60 ms for a long one: a list of 64 took the planner's one thread four seconds."""
    judged: list[str] = []

    def recognised(text: str) -> tuple[IntentCandidate, ...]:
        judged.append(text)
        return recognise(text)

    monkeypatch.setattr("server.embedded.planner.service.recognise", recognised)
    request = planner_pb2.PlanRequest(intent=SEVERAL)
    request.entities.update({"requests": [f"search for {number}" for number in range(MAX_PARTS + 1)]})
    with pytest.raises(WrongEntityError, match=f"at most {MAX_PARTS} texts"):
        plan(request)
    assert judged == []
    request.entities.update({"requests": [f"search for {number}" for number in range(MAX_PARTS)]})
    assert len(plan(request).steps) == MAX_PARTS


def test_as_many_places_make_several_requests_as_a_plan_may_have() -> None:
    places = [f"in {name}" for name in ("Rome", "Lima", "Oslo", "Cairo", "Paris")]
    assert len(recognise("what time is it " + " and ".join(places[:MAX_PARTS]))[0].entities["requests"]) == MAX_PARTS
    assert recognise("what time is it " + " and ".join(places))[0].intent != SEVERAL
