"""What the agent cannot do: it says so, and takes nothing else for it."""

from __future__ import annotations

import pytest

from server.embedded.intent.beyond import (
    CALLS,
    CHANCE,
    CURRENCIES,
    DELETE,
    DEVICES,
    EVERYTHING,
    JOKES,
    LISTS,
    MUSIC,
    TABS,
    TIMERS,
    TRANSLATION,
    TYPING,
    WRITING,
    beyond,
)
from server.embedded.intent.recognition import UNKNOWN, recognise

ASKED = {
    TIMERS: [
        "Set a timer for ten minutes.",
        "Could you set an alarm for 7 a.m., please?",
        "remind me to call mum at five",
        "Wake me at seven.",
        "start a ten minute timer",
        "cancel the timer",
        "timer for five minutes",
    ],
    CURRENCIES: [
        "How much is 10 dollars in euros?",
        "convert 5 euros to pounds",
        "how many yen is 3 dollars",
    ],
    DELETE: [
        "Delete notes.txt.",
        "delete notes dot txt",
        "please delete the file notes",
        "remove all my files",
        "delete the music folder",
    ],
    CALLS: ["Send an email to Bob.", "call my mother", "make a phone call", "text my brother"],
    MUSIC: ["Play some music.", "play the beatles"],
    JOKES: ["Tell me a joke.", "tell me another joke", "do you know any jokes", "sing a song"],
    TRANSLATION: ["translate hello to French", "how do you say hello in Spanish"],
    CHANCE: ["Flip a coin.", "roll a dice", "pick a number between 1 and 10"],
    TABS: ["reload the page", "refresh", "go forward", "close the tab", "open a new tab"],
    TYPING: ["type hello into the search box"],
    WRITING: ["write hello to notes.txt", "append milk to the file shopping"],
    EVERYTHING: ["forget everything", "delete my notes", "Forget everything you know."],
    LISTS: ["add milk to my shopping list"],
    DEVICES: ["turn on the lights", "Turn the volume down.", "switch off the light in the kitchen"],
}


@pytest.mark.parametrize(("cannot", "text"), [(cannot, text) for cannot, texts in ASKED.items() for text in texts])
def test_what_is_beyond_the_agent_is_named(cannot: str, text: str) -> None:
    (guess,) = recognise(text)
    assert (guess.intent, guess.confidence, guess.entities) == (UNKNOWN, 0.0, {"cannot": cannot})


@pytest.mark.parametrize(
    "text",
    [
        "remember that my alarm is 7 a.m.",
        "search for timers",
        "delete the note about the door code",
        "delete that",
        "yes, delete it",
        "remove the accounts from the list",
        "forget my name",
        "call me Ada",
        "call me later",
        "what is the time in Paris",
        "what is two plus two",
        "how many days are in february",
        "how much memory is free",
        "what day is it",
        "turn around",
        "stop",
        "stop playing",
        "create a folder called alarms",
        "how long is the river nile",
        "remind me what my name is",
    ],
)
def test_nothing_else_is_beyond_it(text: str) -> None:
    assert beyond(text) == ""


@pytest.mark.parametrize(
    "text", ["write down that I get e mails from Bob", "create a directory called alarms", "make the directory alarms"]
)
def test_what_can_be_done_is_not_refused_for_a_word(text: str) -> None:
    assert not beyond(text)
