from __future__ import annotations

import pytest

from streaming.agent.overheard import Overheard, Sureness, overheard, sureness_of, without_echo
from streaming.sound.utterance import STARTED_WORDS

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
        ("Yeah, I see.", Overheard.BACKCHANNEL),
        ("Okay, got it, right.", Overheard.BACKCHANNEL),
        ("Uh-huh, go on.", Overheard.BACKCHANNEL),
        ("All right.", Overheard.BACKCHANNEL),
        ("That's right.", Overheard.BACKCHANNEL),
        ("Very nice.", Overheard.BACKCHANNEL),
        ("Of course.", Overheard.BACKCHANNEL),
        ("Exactly.", Overheard.BACKCHANNEL),
        ("Fair enough.", Overheard.BACKCHANNEL),
        ("Please continue.", Overheard.BACKCHANNEL),
        ("Yup.", Overheard.BACKCHANNEL),
        ("m hm", Overheard.BACKCHANNEL),
        ("Okay, okay, okay, okay.", Overheard.BACKCHANNEL),
        ("Mm-hm, mm-hm, mm-hm, mm-hm.", Overheard.BACKCHANNEL),
        ("Right, I see, okay, and then yeah", Overheard.WORDS),
        ("Okay, that's enough.", Overheard.WORDS),
        ("Go back.", Overheard.WORDS),
        ("Continue with the second.", Overheard.WORDS),
        ("Write that down.", Overheard.WORDS),
        ("Was that right?", Overheard.WORDS),
        ("I know, stop.", Overheard.WORDS),
        ("All right, what time is it?", Overheard.WORDS),
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
        *(
            (order, Sureness.DOUBTFUL, True, Overheard.WORDS)
            for order in ("Quit.", "Help.", "Hold on.", "Nope.", "Again.")
        ),
        ("help", Sureness.ENDING, True, Overheard.WORDS),
        ("They help.", Sureness.DOUBTFUL, True, Overheard.BACKCHANNEL),
    ],
)
def test_what_may_be_misheard_waits(text: str, sureness: Sureness, silent: bool, verdict: Overheard) -> None:
    assert overheard(text, REPLY, sureness, silent=silent) is verdict


@pytest.mark.parametrize(
    ("text", "growing"), [("What's the time?", Overheard.ECHO), ("Search for cats.", Overheard.UNCLEAR)]
)
def test_a_request_in_the_replys_words_is_known_by_going_on_after_the_reply_fell_silent(
    text: str, growing: Overheard
) -> None:
    ours = "You can ask me for the time or the date, to search for something,"
    for sureness in (Sureness.ENDING, Sureness.WHOLE, Sureness.DOUBTFUL):
        assert overheard(text, ours, sureness, silent=True, cut=True) is Overheard.ECHO
        assert overheard(text, ours, sureness, silent=True, cut=True, outlasts=True) is Overheard.WORDS
    for outlasts in (True, False):  # a partial may be of what sounded before
        assert overheard(text, ours, Sureness.GROWING, silent=True, outlasts=outlasts) is Overheard.UNCLEAR
    assert overheard(text, ours, Sureness.GROWING) is growing
    assert overheard("the time or the date", ours, silent=True, outlasts=True) is Overheard.ECHO, (
        "every word is the reply's"
    )


ASKED = "Shall I create the folder demo?"


@pytest.mark.parametrize(
    ("text", "growing", "ending", "whole", "doubtful"),
    [
        ("She like...", Overheard.UNCLEAR, Overheard.ECHO, Overheard.ECHO, Overheard.ECHO),
        ("She'll have to be", Overheard.UNCLEAR, Overheard.ECHO, Overheard.ECHO, Overheard.ECHO),
        ("So I can", Overheard.UNCLEAR, Overheard.WORDS, Overheard.WORDS, Overheard.ECHO),
        ("Show me", Overheard.UNCLEAR, Overheard.UNCLEAR, Overheard.WORDS, Overheard.ECHO),
        ("What time is it?", Overheard.WORDS, Overheard.WORDS, Overheard.WORDS, Overheard.WORDS),
        ("Shall I stop", Overheard.WORDS, Overheard.WORDS, Overheard.WORDS, Overheard.WORDS),
        ("Louder.", Overheard.UNCLEAR, Overheard.UNCLEAR, Overheard.WORDS, Overheard.BACKCHANNEL),
        ("Sure, do it.", Overheard.WORDS, Overheard.WORDS, Overheard.WORDS, Overheard.WORDS),
        ("Yes.", Overheard.UNCLEAR, Overheard.BACKCHANNEL, Overheard.BACKCHANNEL, Overheard.BACKCHANNEL),
    ],
)
def test_a_fragment_that_sounds_like_the_utterance_just_begun_is_its_echo(
    text: str, growing: Overheard, ending: Overheard, whole: Overheard, doubtful: Overheard
) -> None:
    judged = [overheard(text, ASKED, sureness, silent=True, begun=ASKED) for sureness in Sureness]
    assert judged == [growing, ending, whole, doubtful]


def test_a_fragment_that_goes_on_after_the_echo_must_have_ended_is_the_users() -> None:
    assert overheard("She'll have to be", ASKED, silent=True, begun=ASKED, outlasts=True) is Overheard.WORDS


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("She like", Overheard.ECHO),
        ("crate of", Overheard.ECHO),
        ("louder", Overheard.WORDS),
        ("create enough", Overheard.WORDS),
        ("create no folder", Overheard.WORDS),
    ],
)
def test_words_that_sound_like_the_agents_are_an_echo(text: str, verdict: Overheard) -> None:
    assert overheard(text, ASKED) is verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("4.30 PM", Overheard.ECHO),
        ("4.30 p.m.", Overheard.ECHO),
        ("430P", Overheard.ECHO),
        ("is for 30 PM.", Overheard.ECHO),
        ("4 30", Overheard.ECHO),
        ("at 4.45 PM", Overheard.WORDS),
        ("until 4.30 PM", Overheard.WORDS),
        ("What about 4.30?", Overheard.WORDS),
        ("4.30 PM, stop", Overheard.WORDS),
    ],
)
def test_the_echo_of_a_time_is_one_however_its_figures_are_written(text: str, verdict: Overheard) -> None:
    assert overheard(text, "It is 4:30 PM.") is verdict


def test_the_last_word_of_a_partial_decides_nothing() -> None:
    ours = "to run a command, or to remember something about you"
    assert overheard("to remember the report", ours, Sureness.GROWING) is Overheard.UNCLEAR
    assert overheard("to remember the report about cats", ours, Sureness.GROWING) is Overheard.WORDS
    assert overheard("to remember stop", ours, Sureness.GROWING) is Overheard.WORDS


def test_a_word_that_a_partial_adds_to_the_agents_decides_nothing() -> None:
    """Partials are misheard more often than finals; this one is an echo of "open a page"."""
    ours = "to search for something, to open a page and read it"
    text = "to search for something to open a bridge and read"
    assert overheard(text, ours, Sureness.GROWING) is Overheard.UNCLEAR
    assert overheard(text, ours) is Overheard.WORDS


def test_a_command_that_is_only_a_misheard_echo_is_none() -> None:
    reply = "I did not understand that. I can tell the time"
    assert overheard("not enough", reply, Sureness.GROWING) is Overheard.ECHO
    assert overheard("not enough", reply, Sureness.GROWING, silent=True) is Overheard.UNCLEAR
    for words in ("enough", "not enough stop", "stop", "did not wait"):
        assert overheard(words, reply, Sureness.GROWING) is Overheard.WORDS


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("She'll like... no.", "no."),
        ("She'll like, no.", "no."),
        ("Stop! Shall I create?", "Stop!"),
        ("Shall I create the folder? What time is it?", "What time is it?"),
        ("Shall I create the... folder demo? Stop.", "Stop."),
        ("What time is it? Shall I", "What time is it?"),
        ("What time is it, and the folder?", "What time is it, and the folder?"),
        ("Stop.", "Stop."),
        ("Shall I create?", "Shall I create?"),
    ],
)
def test_the_users_words_after_an_echo_are_known(text: str, own: str) -> None:
    assert without_echo(text, ASKED, ASKED) == own


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("You can ask me for the time or the date to stop something.", "stop"),
        ("You can ask me for the time or the date to stop for something.", "stop"),
        ("You can ask me for the time or the date. Stop something!", "Stop"),
        ("You can ask me for the time or the date. Wait something.", "Wait"),
        ("You can ask me for the time or the date. Wait a minute.", "Wait"),
        ("You can ask me for the time or the date. Okay, stop. To-", "Okay, stop."),
        ("the time or the date okay stop something", "okay stop"),
        ("the date to search for something no to open a page", "no"),
        ("to search for something, to open a page what time is it?", "what time is it?"),
        ("to search for something to open a page what's the weather", "what's the weather"),
        ("the time or the date. What time is it? To...", "What time is it?"),
        ("Can ask me for the time or the day stop to search for something, to open", "stop"),
        ("Ask me stop time or the date to search for something, to open a page and read it.", "stop"),
        ("read it what time is it?", "what time is it?"),
        ("Ask what time is it or the date?", "what time is it"),
        ("what is the time or the date", "what is the time or the date"),
        ("search for cats", "search for cats"),
        ("search for stop signs", "search for stop signs"),
        ("search for what is love", "search for what is love"),
        ("to open a page about cats", "to open a page about cats"),
        ("don't stop for something", "don't stop for something"),
        ("stop", "stop"),
    ],
)
def test_the_users_request_is_taken_out_of_the_replys_words_around_it(text: str, own: str) -> None:
    """As Whisper tiny.en heard them with the reply's echo in the microphone, and requests in the reply's words."""
    ours = (
        "You can ask me for the time or the date, to search for something, to open a page and read it, to list files,"
    )
    assert without_echo(text, ours) == own


def test_where_no_echo_was_heard_before_only_the_first_words_may_be_one() -> None:
    assert without_echo("She'll like, no. Shall I", "", ASKED) == "no. Shall I"
    assert without_echo("List files. What time is it?", "", "") == "List files. What time is it?"


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


@pytest.mark.parametrize("text", ["Not now.", "not that one", "Not really."])
def test_a_refusal_is_no_echo_of_what_sounds_like_it(text: str) -> None:
    question = "Nothing was found. Do you want me to look elsewhere?"
    for sureness in (Sureness.WHOLE, Sureness.ENDING, Sureness.DOUBTFUL):
        assert overheard(text, question, sureness) is Overheard.WORDS
        assert overheard(text, "", sureness, begun=question) is Overheard.WORDS
    assert overheard("not now", "It is not now but later.") is Overheard.ECHO


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (ASKED, "Create the folder temp."),
        (ASKED, "Don't create the folder demo."),
        (ASKED, "You shouldn’t create the folder demo."),
        (ASKED, "create the folder demo two"),
        (ASKED, "create the folder demo 2"),
        (ASKED, "create the folder demo in documents"),
        (ASKED, "create the file demo"),
        (ASKED, "delete the folder demo"),
        ("Shall I delete demo with everything in it?", "delete only the pictures in it"),
        ("Shall I search for cats?", "search for black cats"),
        ("Shall I search for cats?", "search for cats and dogs"),
        ("Shall I open the page example.com?", "open the page example.org"),
        ("Shall I copy notes.txt to backup?", "copy readme.md to backup"),
        ("Shall I remember that your favorite color is blue?", "my favorite color is green"),
        ("Shall I run sleep 25?", "run sleep 30"),
        ("You can ask me for the time or the date,", "Tell me the time."),
    ],
)
def test_what_adds_or_changes_a_word_of_the_question_is_the_users(asked: str, text: str) -> None:
    for sureness in (Sureness.ENDING, Sureness.WHOLE, Sureness.DOUBTFUL):
        assert overheard(text, asked, sureness) is Overheard.WORDS
    assert overheard(text, asked, Sureness.GROWING) in {Overheard.WORDS, Overheard.UNCLEAR}


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (ASKED, "Then I create the folder demo."),
        ("Shall I copy notes.txt to backup?", "I like copy notes TXD to back up."),
        ("Shall I run sleep 25?", "run sleep twenty-five"),
        ("Your meeting is on Monday at half past nine in the morning.", "It's 9 in the morning."),
        ("Today is Sunday, the 29th of November 2026.", "Today is Sunday, 29 November 20, 26."),
        ("The disk has twenty gigabytes free,", "the disk has 20 gigabytes"),
    ],
)
def test_what_a_recogniser_makes_of_an_echo_changes_no_word(said: str, text: str) -> None:
    """Heard by Whisper tiny.en from the embedded voice, 6 to 20 dB weaker and with a room's reflections."""
    assert overheard(text, said) is Overheard.ECHO


@pytest.mark.parametrize("text", ["create the both", "Shall I create the floor"])
def test_a_word_that_was_cut_off_is_heard_as_any_other(text: str) -> None:
    for silent in (True, False):  # it may go on already
        assert overheard(text, ASKED, silent=silent, cut=True) is Overheard.ECHO
    assert overheard(text, ASKED) is Overheard.WORDS


def test_a_sentence_that_begins_like_a_question_is_no_echo() -> None:
    question = "Shall I create the folder demo?"
    assert overheard("She'll have to be", "", begun=question) is Overheard.ECHO
    assert overheard("Sally, what time is it", "", begun=question) is Overheard.WORDS
