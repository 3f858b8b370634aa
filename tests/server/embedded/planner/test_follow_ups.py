"""Words that only mean something after what was said before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.planner.follow_ups import ASKED
from server.embedded.planner.replies import REPLIES_FILE
from tests.server.embedded.planner.told import planned, told

if TYPE_CHECKING:
    from tests.server.embedded.planner.asking import Turns

SOLDIER = [("user", "create a soldier"), ("assistant", "Did you mean: create a folder?")]
IN_TOKYO = [("user", "what time is it in Tokyo"), ("assistant", "It is 9:05 PM in Tokyo.")]
TODAY = [("user", "what day is it"), ("assistant", "Today is Sunday, March 1st.")]
FIVE = [("user", "what is 2 plus 3"), ("assistant", "2 plus 3 is 5.")]
SEARCHED = [("user", "search for cats"), ("assistant", "I found 5 results. The first is Cats.")]


def asked(question: str) -> Turns:
    return [("user", "something"), ("assistant", question)]


@pytest.mark.parametrize(
    ("turns", "text", "words"),
    [
        (SOLDIER, "yes", "What should the folder be called?"),
        (SOLDIER, "no", "All right."),
        (SOLDIER, "what time is it", "It is 12:05 PM."),
        (IN_TOKYO, "and in London?", "It is 12:05 PM in London."),
        (IN_TOKYO, "what about Paris", "It is 1:05 PM in Paris."),
        (TODAY, "and tomorrow?", "Tomorrow is Monday, March 2nd."),
        (TODAY, "no, I meant tomorrow", "Tomorrow is Monday, March 2nd."),
        (TODAY, "do it again", "Today is Sunday, March 1st."),
        (FIVE, "times 2", "5 times 2 is 10."),
        (FIVE, "and divide that by 2", "5 divided by 2 is 2.5."),
        (asked("What should I search for?"), "what time is it", "It is 12:05 PM."),
        (asked("It is noon."), "times 2", "I cannot work out that sum."),
    ],
)
def test_what_it_means_then(turns: Turns, text: str, words: str) -> None:
    assert told(text, [*turns, ("user", text)]) == words


@pytest.mark.parametrize(
    ("turns", "text", "action", "parameters"),
    [
        (asked("What should I search for?"), "Cats.", "search", {"query": "Cats", "max_results": 5}),
        (
            asked("What should I remember?"),
            "the code is 1234",
            "store",
            {"value": "the code is 1234", "tags": ["note"]},
        ),
        (asked("What should the folder be called?"), "demo", "mkdir", {"args": ["demo"]}),
        (asked("Did you mean: create a folder called demo?"), "Yeah, sure.", "mkdir", {"args": ["demo"]}),
        (SEARCHED, "and dogs", "search", {"query": "dogs", "max_results": 5}),
        (SEARCHED, "no, list the files", "ls", {"args": []}),
    ],
)
def test_what_is_done_then(turns: Turns, text: str, action: str, parameters: dict[str, object]) -> None:
    (step,) = planned(text, [*turns, ("user", text)]).steps
    assert (step.action, MessageToDict(step.parameters)) == (action, parameters)


def test_a_correction_to_yes_is_not_told_that_nothing_waits() -> None:
    """It comes while a question waits, which the planner does not know."""
    before = [("user", "create a folder called demo")]
    for text in ("No, I mean yes.", "Sorry, I meant yes."):
        assert planned(text, [*before, ("user", text)]).intent == "unknown"


def test_a_mere_no_goes_on_with_nothing() -> None:
    before = [("user", "list the files"), ("assistant", "There is 1 entry here: notes.txt.")]
    assert not planned("no, do it", [*before, ("user", "no, do it")]).steps


def test_the_questions_are_those_that_are_asked() -> None:
    replies = REPLIES_FILE.read_text(encoding="utf-8")
    assert [question for question in ASKED if f'"{question}"' not in replies] == []
