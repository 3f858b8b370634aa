"""Words of a template that are mistyped or misheard, requests with something before them, and requests that are not wanted."""

from __future__ import annotations

from typing import Any

import pytest

from server.embedded.intent.mending import sound_likeness
from server.embedded.intent.recognition import UNKNOWN, recognise, suggestion


@pytest.mark.parametrize(
    ("text", "intent", "entities"),
    [
        ("serach for python", "web_search", {"query": "python"}),
        ("opne example.com", "open_page", {"url": "https://example.com"}),
        ("creat a folder called demo", "run_command", {"command": "mkdir", "args": ["demo"]}),
        ("create a foldr called demo", "run_command", {"command": "mkdir", "args": ["demo"]}),
        ("remeber that i like tea", "remember_fact", {"fact": "i like tea"}),
        ("create a fplder called demo", "run_command", {"command": "mkdir", "args": ["demo"]}),
        ("thnaks", "thanks", {}),
        ("helo", "greeting", {}),
    ],
)
def test_a_slip_of_the_fingers_is_mended(text: str, intent: str, entities: dict[str, Any]) -> None:
    guess = recognise(text)[0]
    assert (guess.intent, guess.entities) == (intent, entities)
    assert guess.confidence < 0.9


@pytest.mark.parametrize("text", ["froget my name", "yse", "the cat sat on the mat", "house music", "loop for ever"])
def test_approvals_forgetting_and_other_words_are_not_made_by_mending(text: str) -> None:
    assert recognise(text)[0].intent == UNKNOWN


@pytest.mark.parametrize(
    ("heard", "meant"),
    [
        ("create a soldier", "create a folder"),
        ("create a soldier called demo", "create a folder called demo"),
        ("Make a holder.", "make a folder"),
        ("the cat sat on the mat", ""),
        ("house music", ""),
        ("", ""),
        ("...", ""),
    ],
)
def test_what_sounds_like_a_request_is_suggested_and_not_taken(heard: str, meant: str) -> None:
    assert suggestion(heard).lower() == meant
    if heard:
        assert recognise(heard)[0].intent == UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "don't ever list the files",
        "do not ever take a screenshot",
        "I don't want to list the files",
        "we should not list the files",
        "nobody should take a screenshot",
        "why did you take a screenshot",
        "did you take a screenshot",
        "if you list the files",
    ],
)
def test_a_denied_or_reported_request_is_not_like_the_request(text: str) -> None:
    assert recognise(text)[0].intent in {UNKNOWN, "no", "web_search"}


def test_how_alike_words_sound() -> None:
    assert sound_likeness("folder", "folder") == 1.0
    assert sound_likeness("soldier", "folder") == pytest.approx(0.9)
    assert sound_likeness("search", "folder") < 0.6


@pytest.mark.parametrize(
    "text",
    [
        "I'd like to know the time",
        "i was wondering what time it is",
        "Do you happen to know what time it is?",
        "may i have the time",
        "be so kind and tell me the time",
        "sorry, what time is it",
        "no, what time is it",
        "thanks, what time is it",
    ],
)
def test_what_stands_before_a_request_is_left_out(text: str) -> None:
    assert recognise(text)[0].intent == "get_time"


@pytest.mark.parametrize("text", ["let's go", "no, do it", "no sure", "wait, yes", "i want to go", "sorry yes"])
def test_nothing_is_approved_after_it(text: str) -> None:
    assert recognise(text)[0].intent != "yes"


@pytest.mark.parametrize(
    "text",
    [
        "don't delete it",
        "Do not open example.com.",
        "please don't list the files",
        "never delete my notes",
        "don't tell me the time",
    ],
)
def test_a_request_that_is_not_wanted_is_a_no(text: str) -> None:
    assert recognise(text)[0].intent == "no"


@pytest.mark.parametrize(
    ("text", "intent"), [("don't forget the code is 1234", "remember_fact"), ("don't stop", UNKNOWN)]
)
def test_other_words_with_not(text: str, intent: str) -> None:
    assert recognise(text)[0].intent == intent


def test_a_request_that_is_taken_back_is_left_out() -> None:
    (guess, *_) = recognise("open example.com, no, open example.org")
    assert (guess.intent, guess.entities) == ("open_page", {"url": "https://example.org"})
