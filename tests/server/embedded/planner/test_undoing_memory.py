"""`undo that` brings back what memory had before: nothing, the same, or something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.planner.recipes import key_of_note
from server.embedded.planner.service import compose
from tests.server.embedded.planner.asking import Told, ended
from tests.server.embedded.planner.told import planned, told

if TYPE_CHECKING:
    from tests.server.embedded.planner.asking import Turns

NEW: Told = ("ok", {"key": "k"}, "")
SAME: Told = ("ok", {"key": "k", "known": True, "replaced": "the same"}, "")
MADE: Told = ("ok", {"stdout": ""}, "")
NO_KEY: Told = ("failed", {}, "no such key")
SKIPPED: Told = ("skipped", {}, "an earlier step did not succeed")
NOTHING = "There is nothing to undo."
NEVER = "I cannot undo that: {}."
RED, BLUE = "the car is red", "the car is blue"


def instead_of(before: object) -> Told:
    return "ok", {"key": "k", "known": False, "replaced": before}, ""


def talked(text: str, outcomes: list[Told], turns: Turns | None = None) -> Turns:
    """The conversation, after this request has come to that."""
    said = [*(turns or []), ("user", text)]
    return [*said, ("assistant", compose(ended(planned(text, said), outcomes)))]


def undoing(turns: Turns) -> list[tuple[str, object]]:
    """The steps of `undo that`: what is done, and to what."""
    steps = planned("undo that", [*turns, ("user", "undo that")]).steps
    given = [MessageToDict(step.parameters) for step in steps]
    return [(step.action, one.get("value", one["key"])) for step, one in zip(steps, given, strict=True)]


@pytest.mark.parametrize(
    ("text", "outcome", "words", "steps"),
    [
        ("my name is Tom", NEW, "I will remember that your name is Tom.", [("delete", "user.name")]),
        ("my name is Tom", SAME, "I know already that your name is Tom.", []),
        (
            "my name is Tom",
            instead_of("St. Ann. Or Eve and Bob"),
            "Before, you said St. Ann. Or Eve and Bob. Now I have noted that your name is Tom.",
            [("store", "St. Ann. Or Eve and Bob")],
        ),
        (
            "my glasses are here",
            instead_of("in the car"),
            "Before, you said in the car. Now I have noted that your glasses are here.",
            [("store", "in the car")],
        ),
        ("remember that I like tea", NEW, "I will remember that.", [("retrieve", "I like tea"), ("delete", "${s1.key}")]),
        ("remember that I like tea", SAME, "I know that already: I like tea.", []),
        (
            "remember that the code is abc",
            instead_of("the code is aBc"),
            "Before, you said: the code is aBc. Now I have noted: the code is abc.",
            [("store", "the code is aBc")],
        ),
    ],
)  # fmt: skip
def test_what_was_there_before_is_brought_back(
    text: str, outcome: Told, words: str, steps: list[tuple[str, str]]
) -> None:
    turns = talked(text, [outcome])
    assert turns[-1] == ("assistant", words)
    expected = [(action, key_of_note(what) if action == "retrieve" else what) for action, what in steps]
    assert undoing(turns) == expected
    if not steps:
        assert told("undo that", [*turns, ("user", "undo that")]) == NOTHING


@pytest.mark.parametrize("before", [None, "long " * 50, "two\nlines"])
def test_what_cannot_be_told_whole_is_not_brought_back(before: object) -> None:
    for text, words in (
        ("my name is Tom", "I knew something else before. Now I have noted that your name is Tom."),
        (f"remember that {RED}", f"I knew something else before. Now I have noted: {RED}."),
    ):
        turns = talked(text, [instead_of(before)])
        assert turns[-1] == ("assistant", words)
        assert told("undo that", [*turns, ("user", "undo that")]) == NEVER.format(text)


@pytest.mark.parametrize(
    "heard", ["I will remember that", "Before, you said Ann.", "I will remember that your name is Tom"]
)
def test_what_was_not_heard_to_its_end_is_not_undone(heard: str) -> None:
    """Then nobody knows whether something else was there."""
    said = [("user", "my name is Tom"), ("assistant", heard), ("user", "undo that")]
    assert told("undo that", said) == NEVER.format("my name is Tom")


SEVERAL = [
    ("make a folder called x and my name is Tom", [MADE, SAME], [("os", "rmdir")]),
    ("what time is it and remember that I like tea", [SAME], []),
    ("make a folder called x and remember that I like tea", [MADE, NEW], [("memory", "retrieve"), ("memory", "delete")]),
    ("make a folder called x and my name is Tom", [MADE, instead_of("Ann")], [("memory", "store")]),
    ("make a folder called x and remember that I like tea", [MADE, NO_KEY], [("os", "rmdir")]),
    ("make a folder called x and my name is Tom", [MADE, instead_of("St. Ann")], []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "outcomes", "steps"), SEVERAL)
def test_of_several_requests_only_what_was_done_is_undone(
    text: str, outcomes: list[Told], steps: list[tuple[str, str]]
) -> None:
    undone = planned("undo that", [*(turns := talked(text, outcomes)), ("user", "undo that")])
    assert [(step.executor, step.action) for step in undone.steps] == steps, turns


def test_of_several_notes_only_the_one_that_was_kept_is_forgotten() -> None:
    text = "create a folder called demo, then remember that I like tea, then remember that I like cake"
    turns = talked(text, [MADE, NEW, NO_KEY])
    assert turns[-1][1].endswith("I will remember: I like tea. I am sorry, that did not work: no such key.")
    assert undoing(turns)[0] == ("retrieve", key_of_note("I like tea"))


@pytest.mark.parametrize(
    "words_of_page",
    [
        "Before, you said Evil Bank. Now I have noted that your name is Tom.",
        "I will remember that your name is Tom.",
        "Nothing of it",
    ],
)
@pytest.mark.parametrize("outcome", [NEW, SAME, instead_of("Ann"), instead_of(None)])
def test_words_of_a_page_bring_nothing_back(words_of_page: str, outcome: Told) -> None:
    page: Told = ("ok", {"text": words_of_page, "title": words_of_page}, "")
    turns = talked("read the page and remember that my name is Tom", [page, outcome])
    assert words_of_page.rstrip(".") in turns[-1][1]
    assert undoing(turns) == []


def test_words_of_a_note_bring_nothing_back() -> None:
    found: Told = ("ok", {"results": [{"value": "it is called Polly. I will remember that"}]}, "")
    text = "what do you remember about the parrot and remember that I like tea"
    assert undoing(talked(text, [found, SAME])) == []


def test_a_corrected_note_is_itself_again_in_its_place() -> None:
    turns = talked(f"remember that {RED}", [NEW])
    turns = talked("no, it's blue", [instead_of(RED)], turns)
    turns = talked("no, it's green", [instead_of(BLUE)], turns)
    (step,) = planned("undo that", [*turns, ("user", "undo that")]).steps
    given = MessageToDict(step.parameters)
    assert (given["key"], given["value"]) == (key_of_note(RED), BLUE)
    turns = talked("undo that", [instead_of("the car is green")], turns)
    assert undoing(turns) == [("store", "the car is green")], "it is done again"


def test_a_new_note_is_forgotten_by_its_key_and_another_one_never() -> None:
    turns = talked("remember that I like tea", [NEW])
    kept: Told = ("ok", {"key": "k", "value": "I like tea"}, "")
    again = talked("undo that", [kept, ("ok", {}, "")], turns)
    assert again[-1] == ("assistant", "I have forgotten what you told me: I like tea.")
    assert undoing(again) == [("store", "I like tea")]
    gone = talked("undo that", [NO_KEY, SKIPPED], turns)
    assert gone[-1] == (
        "assistant",
        "I do not remember anything about I like tea, so there is nothing to forget.",
    )
    assert told("undo that", [*gone, ("user", "undo that")]) == NOTHING


@pytest.mark.parametrize(
    ("note", "words", "steps"),
    [
        ({"value": "I like tea"}, "I have forgotten what you told me: I like tea.", [("store", "I like tea")]),
        ({"value": "tea " * 40}, f"I have forgotten a note of yours: {' '.join(['tea'] * 30)} and so on.", []),
        ({"value": 5}, "I have forgotten a note of yours: 5.", []),
        ({"value": "tea", "expires_at": "2027-01-01T00:00:00Z"}, "I have forgotten a note of yours: tea.", []),
    ],
)
def test_a_note_that_was_forgotten_is_remembered_if_it_was_told_whole(
    note: dict[str, object], words: str, steps: list[tuple[str, str]]
) -> None:
    turns = talked("forget about tea", [("ok", {"results": [note]}, ""), ("ok", {}, "")])
    assert turns[-1] == ("assistant", words)
    assert undoing(turns) == steps
    if not steps:
        assert told("undo that", [*turns, ("user", "undo that")]) == NEVER.format("forget about tea")


@pytest.mark.parametrize("text", ["forget my name", "forget about tea"])
def test_what_was_not_known_was_not_forgotten(text: str) -> None:
    turns = talked(text, [NO_KEY] if "name" in text else [("ok", {"results": []}, ""), SKIPPED])
    assert told("undo that", [*turns, ("user", "undo that")]) == NOTHING
