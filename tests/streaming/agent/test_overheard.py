from __future__ import annotations

import pytest

from streaming.agent.delivery import STARTED_WORDS
from streaming.agent.overheard import Overheard, Sureness, overheard, sureness_of

REPLY = "It is ten past five. The folder holds twelve files, and the largest is the readme"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("mm-hm", Overheard.BACKCHANNEL),
        ("Uh-huh.", Overheard.BACKCHANNEL),
        ("okay, right", Overheard.BACKCHANNEL),
        ("yeah", Overheard.BACKCHANNEL),
        ("I see.", Overheard.BACKCHANNEL),
        ("Oh, really?", Overheard.BACKCHANNEL),
        ("Got it.", Overheard.BACKCHANNEL),
        ("M-H-M", Overheard.BACKCHANNEL),
        ("M-M-M-M-M-M-H-N.", Overheard.BACKCHANNEL),
        ("I see what time is it", Overheard.WORDS),
        ("stop", Overheard.WORDS),
        ("no", Overheard.WORDS),
        ("okay stop", Overheard.WORDS),
        ("yeah what about tomorrow", Overheard.WORDS),
        ("right so list the files", Overheard.WORDS),
        ("what time is it", Overheard.WORDS),
        ("it is ten past five", Overheard.ECHO),
        ("twelve files and the larger is", Overheard.ECHO),
        ("the folder holds wait", Overheard.WORDS),
        ("folder", Overheard.ECHO),
        ("the folder holds yeah", Overheard.ECHO),
        ("Mama?", Overheard.BACKCHANNEL),
        ("Mmhm, mm.", Overheard.BACKCHANNEL),
        ("Home.", Overheard.WORDS),
        ("You hold twelve filed", Overheard.ECHO),
        ("the fold", Overheard.ECHO),
        ("list files", Overheard.WORDS),
    ],
)
def test_whose_words_they_are(text: str, verdict: Overheard) -> None:
    assert overheard(text, REPLY) is verdict


@pytest.mark.parametrize(
    ("text", "sureness", "silent", "verdict"),
    [
        ("Mom, I", Sureness.GROWING, True, Overheard.UNCLEAR),
        ("Mom, I", Sureness.ENDING, True, Overheard.UNCLEAR),
        ("Mom, I", Sureness.DOUBTFUL, True, Overheard.BACKCHANNEL),
        ("Mom, I", Sureness.WHOLE, True, Overheard.WORDS),
        ("what time", Sureness.GROWING, False, Overheard.WORDS),
        ("what time is", Sureness.GROWING, True, Overheard.WORDS),
        ("what time is it", Sureness.DOUBTFUL, True, Overheard.WORDS),
        ("okay", Sureness.GROWING, True, Overheard.UNCLEAR),
        ("okay", Sureness.ENDING, True, Overheard.BACKCHANNEL),
        *(("stop", sureness, silent, Overheard.WORDS) for sureness in Sureness for silent in (True, False)),
        *(("no", sureness, silent, Overheard.WORDS) for sureness in Sureness for silent in (True, False)),
    ],
)
def test_what_may_be_misheard_waits(text: str, sureness: Sureness, silent: bool, verdict: Overheard) -> None:
    assert overheard(text, REPLY, sureness, silent=silent) is verdict


@pytest.mark.parametrize("text", ["What's the time?", "Tell me the time.", "Search for cats."])
def test_a_request_in_the_replys_words_is_known_by_going_on_after_the_reply_fell_silent(text: str) -> None:
    ours = "You can ask me for the time or the date, to search for something,"
    for sureness in (Sureness.ENDING, Sureness.WHOLE, Sureness.DOUBTFUL):
        assert overheard(text, ours, sureness, silent=True) is Overheard.ECHO
        assert overheard(text, ours, sureness, silent=True, outlasts=True) is Overheard.WORDS
    for outlasts in (True, False):  # a partial may be of what sounded before
        assert overheard(text, ours, Sureness.GROWING, silent=True, outlasts=outlasts) is Overheard.UNCLEAR
    assert overheard(text, ours, Sureness.GROWING) is Overheard.ECHO
    assert overheard("the time or the date", ours, silent=True, outlasts=True) is Overheard.ECHO, (
        "every word is the reply's"
    )


def test_short_words_with_little_confidence_are_doubtful() -> None:
    assert sureness_of(0.41, 352) is Sureness.DOUBTFUL
    assert sureness_of(0.41, 1500) is Sureness.WHOLE
    assert sureness_of(0.9, 352) is Sureness.WHOLE


def test_only_what_was_just_said_comes_back() -> None:
    """The reply says "list files" too, but that was long ago."""
    assert (
        overheard("list files", "to list files, or to run a command, or to remember something about you")
        is Overheard.WORDS
    )
    assert overheard("list files", "to open a page, to list files") is Overheard.ECHO
    assert overheard("You can't.", "You can ask me for the") is Overheard.ECHO
    assert overheard("I did it.", "I did not understand that") is Overheard.ECHO


def test_what_was_said_long_ago_does_not_come_back() -> None:
    assert overheard("stop the music", "stop the music " + "word " * 60) is Overheard.WORDS


@pytest.mark.parametrize("late", [1, 2, 3, 4])
def test_an_echo_is_known_although_the_report_of_what_was_played_is_late(late: int) -> None:
    """The recogniser has half of the last word, and the report lacks it and some before it."""
    sentence = "You can ask me for the time or the date, to search for something, to open a page"
    reply = sentence.split()
    played = reply.index("something,") + 1
    ours = " ".join(reply[: played - late + STARTED_WORDS])
    assert overheard("to search for some", ours) is Overheard.ECHO


def test_a_stop_whose_beginning_was_covered_is_meant() -> None:
    assert overheard("Top.", REPLY, Sureness.DOUBTFUL) is Overheard.WORDS
