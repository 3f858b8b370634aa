from __future__ import annotations

from typing import Any

import pytest

from streaming.agent.questions import explanation, question_about, reminder_of, sentence_for
from streaming.ports import Action, Verdict


@pytest.mark.parametrize(
    ("action", "parameters", "description", "sentence"),
    [
        ("mkdir", {"args": ["demo"]}, "Create the folder demo", "Shall I create the folder demo?"),
        ("mkdir", {"args": ["-p", "demo"]}, "Run mkdir", "Shall I create the folder demo?"),
        ("rm", {"args": ["a", "b"]}, "", "Shall I delete a and b?"),
        ("rm", {"args": ["-rf", "demo"]}, "Tidy up", "Shall I delete demo with everything in it?"),
        ("rm", {"args": ["--force", "demo"]}, "", "Shall I delete demo?"),
        ("mv", {"args": ["a.txt", "b.txt"]}, "", "Shall I move a.txt to b.txt?"),
        ("mkdir", {"args": "demo"}, "", "Shall I run mkdir demo?"),
        ("mkdir", {"args": [1, {"a": 2}]}, "", "Shall I run mkdir 1 2?"),
        ("mv", {"args": ["a", "b", "c"]}, "", "Shall I run mv a b c?"),
        ("chmod", {"args": ["700", "demo"]}, "", "Shall I run chmod 700 demo?"),
        ("delete", {"key": "your colour"}, "Forget your colour.", "Shall I forget your colour?"),
        ("click", {"selector": "#buy", "force": True}, "Click", "Shall I click #buy?"),
    ],
)
def test_the_sentence_says_what_would_be_done(
    action: str, parameters: dict[str, Any], description: str, sentence: str
) -> None:
    assert question_about(Action("os", action, parameters, "s1"), description) == sentence


@pytest.mark.parametrize(
    ("executor", "action", "parameters", "description", "sentence"),
    [
        ("memory", "delete", {"key": "user.name"}, "Forget your name", "Shall I forget your name?"),
        ("memory", "delete", {"key": "user.favorite-color"}, "", "Shall I forget your favorite color?"),
        (
            "memory",
            "delete",
            {"key": "q7xW"},
            "Forget what you said about tea",
            "Shall I forget what you said about tea?",
        ),
        ("memory", "delete", {"key": "wifi"}, "", "Shall I run delete wifi?"),
        (
            "memory",
            "store",
            {"key": "user.name", "value": "Ada", "tags": ["about-user"], "metadata": {"attribute": "name"}},
            "Remember your name",
            "Shall I remember that your name is Ada?",
        ),
        ("memory", "store", {"value": "tea at four", "tags": ["note"]}, "", "Shall I remember this: tea at four?"),
        ("search", "search", {"query": "cats", "max_results": 5}, "Search for cats", "Shall I search for cats?"),
        ("browser", "navigate", {"url": "https://www.example.com/"}, "Open it", "Shall I open the page example.com?"),
        ("browser", "click", {"text": "Buy now"}, "Click", "Shall I click on Buy now?"),
        ("browser", "type", {"selector": "#q", "text": "hello"}, "", "Shall I type hello into #q?"),
    ],
)
def test_the_sentence_names_what_people_would_name(
    executor: str, action: str, parameters: dict[str, Any], description: str, sentence: str
) -> None:
    assert question_about(Action(executor, action, parameters, "s1"), description) == sentence


@pytest.mark.parametrize(
    ("action", "parameters", "description", "question"),
    [
        (
            "type",
            {"selector": "#password", "text": "s3cret"},
            "Type s3cret",
            "Shall I type what you gave me into #password?",
        ),
        ("type", {"selector": "#pin " * 50, "text": "s3cret"}, "Type s3cret into it", None),
        ("fill", {"selector": "#pin", "value": "s3cret"}, "Fill in s3cret", "Shall I run fill #pin?"),
        ("navigate", {"url": "http://u:s3cret@host/"}, "Open it", "Shall I open the page host?"),
        ("visit", {"to": "http://u:s3cret@host/"}, "Visit http://u:s3cret@host/", "Shall I visit http://host/?"),
        ("visit", {"to": "https://host/?token=s3cret"}, "Visit https://host/?token=s3cret", None),
        ("click", {"selector": "#card", "text": "Buy now"}, "Click", "Shall I click on Buy now?"),
        ("click", {"selector": "#card " * 50, "text": "Buy now"}, "Click", None),
    ],
)
def test_a_question_says_no_secret(
    action: str, parameters: dict[str, Any], description: str, question: str | None
) -> None:
    asked = Action("browser", action, parameters, "s1")
    said = sentence_for(asked, description) + explanation(asked, Verdict("confirm", "high", ("it looks like one",)), "")
    assert "s3cret" not in said
    assert question in {None, question_about(asked, description)}
    assert ("Buy now" in said) is (action == "click")


def test_what_a_voice_may_not_approve_says_what_may() -> None:
    action = Action("os", "rm", {"args": ["a"]}, "s1")
    assert sentence_for(action) == "Shall I delete a?"
    assert sentence_for(action, by_voice=False) == "Shall I delete a? Please click, or type yes."
    assert reminder_of("Shall I go?").endswith("Shall I go?")


@pytest.mark.parametrize(
    ("executor", "action", "parameters", "reasons", "told"),
    [
        (
            "os",
            "mkdir",
            {"args": ["-p", "demo"]},
            ("the command changes files",),
            "I ask because the command changes files, and the risk is medium. On this machine, that is: mkdir demo.",
        ),
        ("browser", "click", {"text": "Buy"}, (), "The risk is medium. In the browser, that is: click Buy."),
        (
            "memory",
            "delete",
            {"key": "user.name"},
            (),
            "The risk is medium. In your memory, that is: delete user.name.",
        ),
        ("lamp", "dim", {"to": 5}, (), "The risk is medium. By the executor lamp, that is: dim 5."),
    ],
)
def test_the_explanation_says_why_it_is_asked_and_what_would_run(
    executor: str, action: str, parameters: dict[str, Any], reasons: tuple[str, ...], told: str
) -> None:
    verdict = Verdict("confirm", "medium", reasons)
    assert explanation(Action(executor, action, parameters, "s1"), verdict, "Shall I?") == f"{told} Shall I?"
