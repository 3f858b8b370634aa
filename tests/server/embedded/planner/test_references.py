"""Short words after a sum, a listing or a search: what they refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.intent.beyond import COMPARING
from server.embedded.planner.recipes import key_of_note
from tests.server.embedded.planner.told import planned, told

if TYPE_CHECKING:
    from tests.server.embedded.planner.asking import Turns

SUM = [("user", "what's 5 plus 3"), ("assistant", "5 plus 3 is 8.")]
SHARE = [("user", "what's 15 percent of 80"), ("assistant", "15 percent of 80 is 12.")]
HALF = [("user", "half of 30"), ("assistant", "30 divided by 2 is 15.")]
FILES = [("user", "list my files"), ("assistant", "There are 8 entries here: alpha, archive, budget and 5 more.")]
LINKS = [("user", "what links are there"), ("assistant", "There are 2 links: Home and About.")]
FOUND = [("user", "search for cats"), ("assistant", "I found 5 results. The first is Cats.")]
OPENED = [*FOUND, ("user", "open the second one"), ("assistant", "I have opened Cats.")]
READ = [("user", "read todo.txt"), ("assistant", "The file says: call mum buy bread")]
PARKED = [
    ("user", "remember that I parked in row C"), ("assistant", "I will remember that."),
    ("user", "where did I park"), ("assistant", "You said: I parked in row C."),
]  # fmt: skip
ANNA = [("user", "my sister's called Anna"), ("assistant", "I will remember that your sister's name is Anna.")]
DAY = [("user", "what day is July 14th"), ("assistant", "That will be Tuesday, July 14th.")]


@pytest.mark.parametrize(
    ("turns", "text", "words"),
    [
        (SUM, "no, minus 2", "5 minus 2 is 3."),
        (SUM, "I meant minus two", "5 minus 2 is 3."),
        (SUM, "sorry, times 3", "5 times 3 is 15."),
        (SUM, "minus 2", "8 minus 2 is 6."),
        (SHARE, "and 20 percent?", "20 percent of 80 is 16."),
        (HALF, "I meant a third", "30 divided by 3 is 10."),
        (HALF, "nope, a third", "30 divided by 3 is 10."),
        ([("user", "a quarter of 80"), ("assistant", "80 divided by 4 is 20.")], "no, a half", "80 divided by 2 is 40."),
        (FILES, "how many is that", "There are 8 entries."),
        (FILES, "and how many are there", "There are 8 entries."),
        (FILES, "and the biggest?", f"I am sorry, I cannot {COMPARING}. But I can tell how big a file is that you name."),
        ([*FILES, ("user", "how many"), ("assistant", "There are 8 entries.")], "which one is the newest", f"I am sorry, I cannot {COMPARING}. But I can tell how big a file is that you name."),
        (LINKS, "how many", "There are 2 links."),
        ([("user", "search for qqq"), ("assistant", "I found nothing about qqq.")], "how many did you find", "There are no results."),
        (LINKS, "how many results were there", "I do not know how many."),
        (OPENED, "how many results were there", "There are 5 results."),
        (DAY, "how many weeks is that", "There are 19 weeks and 2 days until Tuesday, July 14th."),
        (DAY, "how far off is that", "There are 135 days until Tuesday, July 14th."),
    ],
)  # fmt: skip
def test_what_they_mean(turns: Turns, text: str, words: str) -> None:
    assert told(text, [*turns, ("user", text)]) == words


@pytest.mark.parametrize(
    ("turns", "text", "action", "parameters"),
    [
        (LINKS, "click on the first one", "click", {"text": "Home"}),
        ([*LINKS, ("user", "how many"), ("assistant", "There are 2 links.")], "click on the last link", "click", {"text": "About"}),
        (READ, "what was the last line", "tail", {"args": ["-n", "1", "todo.txt"]}),
        (PARKED, "no, row D", "store", {"key": key_of_note("I parked in row C"), "value": "I parked in row D", "tags": ["note"]}),
        (ANNA, "who's Anna", "search", {"query": "sister", "limit": 20, "tags": ["about-user"]}),
        ([*FOUND, ("user", "read it to me"), ("assistant", "The page says: Cats.")], "what about dogs", "search", {"query": "dogs", "max_results": 5}),
        ([("user", "move a.txt into docs"), ("assistant", "I have moved a.txt to docs.")], "what's in there now", "ls", {"args": ["docs"]}),
        ([], "I parked in row C, please remember", "store", {"key": key_of_note("I parked in row C"), "value": "I parked in row C", "tags": ["note"]}),
    ],
)  # fmt: skip
def test_what_is_done(turns: Turns, text: str, action: str, parameters: dict[str, object]) -> None:
    (step,) = planned(text, [*turns, ("user", text)]).steps
    assert (step.action, MessageToDict(step.parameters)) == (action, parameters)


def test_the_next_result_is_the_one_behind_the_last_that_was_opened() -> None:
    search, opened = planned("next result", [*OPENED, ("user", "next result")]).steps
    assert search.parameters["query"] == "cats"
    assert opened.parameters["url"] == "${s1.results.2.url}"


@pytest.mark.parametrize("text", ["how many", "next result", "and 20 percent?", "I meant a third", "no, minus 2"])
def test_without_anything_before_they_do_nothing(text: str) -> None:
    assert not planned(text).steps


def test_the_time_in_two_places_is_two_requests() -> None:
    made = MessageToDict(planned("what time is it in Rome and in Lima").entities)
    assert made["requests"] == ["what time is it in Rome", "what time is it in Lima"]
