"""What has no source here: it is said so, unless the web is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.embedded.intent import sources
from server.embedded.intent.beyond import beyond
from server.embedded.intent.recognition import UNKNOWN, recognise
from server.embedded.planner.service import plan
from tests.server.embedded.planner.asking import planner, wanted
from tests.server.embedded.planner.told import planned, told

if TYPE_CHECKING:
    from pathlib import Path

ASKED = {
    sources.WEATHER: [
        "What's the weather like?", "weather", "paris weather", "how is the weather in Rome today", "will it rain tomorrow", "did it rain yesterday", "is it going to snow", "do I need an umbrella",
        "how cold is it outside", "what's the temperature in Oslo", "tell me the forecast for tomorrow", "could you please tell me what the weather is",
    ],
    sources.NEWS: ["what's the news", "any news?", "what's on the news", "read me the headlines", "tell me the latest news", "what happened in the world today"],
    sources.ROUTES: ["how's the traffic", "directions to Boston", "how do I get to the airport", "how long does it take to drive to Rome", "take me home"],
    sources.PLACES: ["where's the nearest pharmacy", "restaurants near me", "is there a bank nearby"],
    sources.PRICES: ["what's the stock price of Apple", "how much is bitcoin", "how much does a phone cost", "how much is a coffee", "price of gold", "how's the stock market"],
    sources.SPORTS: ["who won the game last night", "what's the score", "did Arsenal win", "who is playing tonight"],
    sources.TRAVEL: ["flights to London", "when does the next train leave", "is my flight on time"],
    sources.SUN: ["when is sunset", "what time does the sun rise tomorrow"],
    sources.CALENDAR: ["what's on my calendar", "do I have any meetings today", "schedule a meeting with Bob"],
    sources.MAIL: ["check my email", "do I have new messages", "read my messages"],
    sources.VOLUME: ["louder", "speak more slowly", "volume up"],
    sources.PLAYER: ["skip this song", "pause the music"],
    sources.GAMES: ["play chess", "let's play a game"],
    sources.LOCATION: ["where am I", "what city are we in"],
    sources.CAMERA: ["take a selfie", "record my voice"],
    sources.PICTURES: ["draw a cat"],
    sources.TEXTS: ["write me a poem"],
    sources.ALGEBRA: ["solve x squared equals four"],
}  # fmt: skip


@pytest.mark.parametrize(("cannot", "text"), [(cannot, text) for cannot, texts in ASKED.items() for text in texts])
def test_it_is_named(cannot: str, text: str) -> None:
    best = recognise(text)[0]
    assert (best.intent, best.confidence, best.entities["cannot"]) == (UNKNOWN, 0.0, cannot)
    assert ("look_up" in best.entities) == (cannot in sources.LOOKED_UP)


@pytest.mark.parametrize(
    "text",
    [
        "search for the weather in London", "find news about python", "open the news page", "my flight to London is on Monday", "the price of my car is 5000", "remember that it will rain",
        "what time is it in Paris", "is it dark in Paris", "read the messages file", "show the mail folder", "list the files", "how much disk space is left", "what is my schedule",
        "take a picture of the page", "read the page", "how do i get to the top of the page", "next", "what is the next result", "create a folder called meetings", "create a file called event.txt",
        "my appointment is on Friday", "note that the train leaves at nine", "what's the temperature of the sun", "how far is it to Christmas", "scroll down",
    ],
)  # fmt: skip
def test_nothing_else_is(text: str) -> None:
    assert beyond(text) == ""


def test_it_is_short_and_tells_once_what_can_be_done() -> None:
    first = told("what's the weather like")
    assert first == "I am sorry, I cannot look up the weather. But I can open a web page that you name."
    turns = [("user", "what's the weather like"), ("assistant", first)]
    assert told("what about Paris", turns) == "I am sorry, I cannot look up the weather."
    assert told("and the news", turns).startswith("I am sorry, I cannot look up the news.")
    assert told("why", turns) == "Nothing that I am connected to can look up the weather."


def test_it_goes_to_the_web_where_that_is_searched() -> None:
    (step,) = plan(wanted("What's the weather like in Paris?"), web=True).steps
    assert (step.executor, step.parameters["query"]) == ("search", "What's the weather like in Paris")
    turns = [("user", "what's the weather like"), ("assistant", "I found 5 results. The first is Weather.")]
    (step,) = plan(wanted("what about Paris", turns=turns), web=True).steps
    assert "Paris" in str(step.parameters["query"])
    assert not plan(wanted("read my messages"), web=True).steps


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, 0),
        ({"SEARXNG_URL": "http://127.0.0.1:9"}, 1),
        ({"SEARCH_PROVIDER": "ddgs"}, 1),
        ({"SEARCH_PROVIDER": "local"}, 0),
    ],
)
async def test_the_settings_of_the_search_say_so(tmp_path: Path, options: dict[str, str], steps: int) -> None:
    async with planner(tmp_path, **options) as stub:
        assert len((await stub.Plan(wanted("what's the weather"))).steps) == steps


@pytest.mark.parametrize("text", [text for texts in ASKED.values() for text in texts])
def test_it_does_nothing(text: str) -> None:
    assert not planned(text).steps
