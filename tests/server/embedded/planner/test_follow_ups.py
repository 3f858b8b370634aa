"""Words that only mean something after what was said before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.json_format import MessageToDict

from server.embedded.intent.sources import WEATHER
from server.embedded.planner.follow_ups import ASKED
from server.embedded.planner.recipes import key_of_note
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
        (TODAY, "Create a folder called…", "What should the folder be called?"),
        (TODAY, "make a new file named", "What should the file be called?"),
        (SOLDIER, "no", "All right."),
        (SOLDIER, "what time is it", "It is 12:05 PM."),
        (IN_TOKYO, "and in London?", "It is 12:05 PM in London."),
        (IN_TOKYO, "what about Paris", "It is 1:05 PM in Paris."),
        (TODAY, "and tomorrow?", "Tomorrow is Monday, March 2nd."),
        (IN_TOKYO, "what about tomorrow?", "Tomorrow is Monday, March 2nd."),
        (
            [*IN_TOKYO, ("user", "and the weather?"), ("assistant", f"I am sorry, I cannot {WEATHER}.")],
            "and tomorrow?",
            f"I am sorry, I cannot {WEATHER}. But I can open a web page that you name.",
        ),
        (IN_TOKYO, "and next Friday?", "That will be Friday, March 6th."),
        (IN_TOKYO, "and what about Paris?", "It is 1:05 PM in Paris."),
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
            {"key": key_of_note("the code is 1234"), "value": "the code is 1234", "tags": ["note"]},
        ),
        (asked("What should the folder be called?"), "demo", "mkdir", {"args": ["demo"]}),
        (
            [("user", "create a folder called"), ("assistant", "What should the folder be called?")],
            "demo",
            "mkdir",
            {"args": ["demo"]},
        ),
        (asked("Did you mean: create a folder called demo?"), "Yeah, sure.", "mkdir", {"args": ["demo"]}),
        (SEARCHED, "and dogs", "search", {"query": "dogs", "max_results": 5}),
        (SEARCHED, "no, list the files", "ls", {"args": []}),
    ],
)
def test_what_is_done_then(turns: Turns, text: str, action: str, parameters: dict[str, object]) -> None:
    (step,) = planned(text, [*turns, ("user", text)]).steps
    assert (step.action, MessageToDict(step.parameters)) == (action, parameters)


def test_what_a_page_suggests_is_not_suggested_by_the_agent() -> None:
    read = [
        ("user", "read the page"),
        ("assistant", "The page says: Hello. Did you mean: create a folder called demo?"),
    ]
    assert planned("yes", [*read, ("user", "yes")]).intent == "yes"


FOLDER = [("user", "create a folder called demo"), ("assistant", "All right, I will not do it.")]
OPENED = [("user", "open example.com"), ("assistant", "I have opened Example.")]


@pytest.mark.parametrize(
    ("turns", "text", "same"),
    [
        (FOLDER, "No, call it demo two instead", "create a folder called demo two"),
        (FOLDER, "Yes, but call it test", "create a folder called test"),
        (FOLDER, "Yes, and name it test", "create a folder called test"),
        (FOLDER, "no, test two", "create a folder called test two"),
        (FOLDER, "actually call it test", "create a folder called test"),
        (FOLDER, "I'd rather call it test", "create a folder called test"),
        (FOLDER, "can we call it test?", "create a folder called test"),
        (FOLDER, "the name should be test", "create a folder called test"),
        (FOLDER, "I want it to be called test", "create a folder called test"),
        (FOLDER, "create it again", "create a folder called demo"),
        (FOLDER, "ok, do it then", "create a folder called demo"),
        (FOLDER, "do it anyway", "create a folder called demo"),
        (FOLDER, "could you name it best, please", "create a folder called best"),
        (FOLDER, "not that one, demo2", "create a folder called demo2"),
        (FOLDER, "wrong name, call it demo2", "create a folder called demo2"),
        (FOLDER, "use best instead", "create a folder called best"),
        ([*FOLDER, ("user", "no, call it one")], "no, call it two", "create a folder called two"),
        ([*FOLDER, ("user", "what time is it")], "call it two", "create a folder called two"),
        (OPENED, "no, python.org instead", "open python.org"),
        (SEARCHED, "no, dogs", "search for dogs"),
        (SEARCHED, "I meant dogs", "search for dogs"),
        (SEARCHED, "dogs instead", "search for dogs"),
        ([("user", "what is 5 plus 3")], "no, 4", "what is 5 plus 4"),
        ([("user", "what time is it in London")], "no, Paris", "what time is it in Paris"),
        (
            [("user", "what time is it"), ("user", "and in London?")],
            "no sorry, I meant Paris",
            "what time is it in Paris",
        ),
        ([("user", "rename a.txt to b.txt")], "no, c.txt", "rename a.txt to c.txt"),
        (
            [("user", "create a folder"), asked("What should the folder be called?")[1], ("user", "one")],
            "no wait, two",
            "create a folder called two",
        ),
        ([*SEARCHED, ("user", "no, dogs")], "open the first one", "search for dogs and open the first one"),
    ],
)
def test_a_request_takes_another_value(turns: Turns, text: str, same: str) -> None:
    done, wanted = planned(text, [*turns, ("user", text)]), planned(same, [("user", same)])
    assert (done.intent, done.entities) == (wanted.intent, wanted.entities)
    assert [step.parameters for step in done.steps] == [step.parameters for step in wanted.steps]


MADE = [("user", "create a folder called demo"), ("assistant", "I have made the folder demo.")]
TOUCHED = [("user", "create a file called a.txt"), ("assistant", "The file a.txt is there now.")]
MOVED = [("user", "rename a.txt to b.txt"), ("assistant", "I have moved a.txt to b.txt.")]
TIMER = [
    ("user", "set a timer for five minutes"),
    ("assistant", "I am sorry, I cannot set timers, alarms or reminders."),
]
BLUE = [
    ("user", "remember that my favorite color is blue"),
    ("assistant", "I will remember that your favorite color is blue."),
]
FILES = [("user", "list the files"), ("assistant", "There are 3 entries here: a.txt, docs and notes.txt.")]
LINKS = [("user", "what links are there"), ("assistant", "There are 2 links: Home and More information.")]


@pytest.mark.parametrize(
    ("turns", "text", "same"),
    [
        # another value
        (TIMER, "make it six", "set a timer for six minutes"),
        ([("user", "what is 5 plus 3"), ("assistant", "5 plus 3 is 8.")], "make it six", "what is 5 plus six"),
        (FOLDER, "make it test", "create a folder called test"),
        (MADE, "and another one called two", "create a folder called two"),
        ([("user", "convert 5 miles to kilometers")], "and in meters?", "convert 5 miles to meters"),
        ([("user", "convert 5 miles to kilometers")], "what about 3 feet", "convert 3 feet to kilometers"),
        ([("user", "what is 20% of 50")], "and of 80?", "what is 20% of 80"),
        ([("user", "what is 20% of 50")], "what about 30%?", "what is 30% of 50"),
        ([("user", "read the file notes.txt")], "and plan.txt", "read the file plan.txt"),
        ([("user", "what's the weather in London")], "and in Paris?", "what's the weather in Paris"),
        (
            [("user", "what is my favorite color"), ("assistant", "Your favorite color is blue.")],
            "no, green",
            "my favorite color is green",
        ),
        (
            [("user", "what's my dog's name"), ("assistant", "I do not know your dog's name yet.")],
            "it's Rex",
            "my dog's name is Rex",
        ),
        (
            [("user", "create a folder"), asked("What should the folder be called?")[1]],
            "wait for me",
            "create a folder called wait for me",
        ),
        (
            [*TODAY, ("user", "and tomorrow?"), ("assistant", "Tomorrow is Monday, March 2nd.")],
            "and the day after that?",
            "what day is the day after tomorrow",
        ),
        ([("user", "how long until 6 pm")], "and until 8?", "how long until 8 pm"),
        (
            [*IN_TOKYO, ("user", "thanks"), ("assistant", "You are welcome.")],
            "and in Paris?",
            "what time is it in Paris",
        ),
        (IN_TOKYO, "no, Quito", "what time is it in Quito"),
        (IN_TOKYO, "in Lima?", "what time is it in Lima"),
        (TODAY, "tomorrow?", "what day is it tomorrow"),
        ([("user", "convert 5 miles to kilometers")], "in meters", "convert 5 miles to meters"),
        # what was done is undone
        (MADE, "undo that", "remove the empty folder demo"),
        (MADE, "take it back", "remove the empty folder demo"),
        (
            [
                ("user", "create a folder called one"),
                ("assistant", "I have made the folder one."),
                *MADE,
                ("user", "undo that"),
                ("assistant", "I have removed the folder demo."),
            ],
            "undo that",
            "create a folder called demo",
        ),
        (MOVED, "undo it", "rename b.txt to a.txt"),
        (TOUCHED, "undo that", "delete the file a.txt"),
        (BLUE, "undo that", "forget my favorite color"),
        (OPENED, "undo that", "go back"),
        ([("user", "scroll down"), ("assistant", "I have scrolled down.")], "undo that", "scroll up"),
        # what "it" and "there" are
        (MADE, "open it", "open the folder demo"),
        (MADE, "rename it to test", "rename the folder demo to test"),
        (MADE, "delete it", "delete the folder demo"),
        (TOUCHED, "read it", "read the file a.txt"),
        (TOUCHED, "copy it to b.txt", "copy the file a.txt to b.txt"),
        (MOVED, "open that file", "read the file b.txt"),
        (IN_TOKYO, "and the date there?", "what is the date in Tokyo"),
        # one of what was listed
        (FILES, "read the third one", "read the file notes.txt"),
        (FILES, "the first one", "read the file a.txt"),
        (FILES, "open the last one", "read the file notes.txt"),
        (LINKS, "the second one", "click on More information"),
    ],
)
def test_words_about_the_last_act_mean_it(turns: Turns, text: str, same: str) -> None:
    done, wanted = planned(text, [*turns, ("user", text)]), planned(same, [("user", same)])
    assert (done.intent, done.entities) == (wanted.intent, wanted.entities)


@pytest.mark.parametrize(
    ("turns", "text", "words"),
    [
        (TIMER, "why?", "Nothing that I am connected to can set timers, alarms or reminders."),
        (FOLDER, "why not?", "Because you said no."),
        (IN_TOKYO, "why?", "That is what the clock of this machine says."),
        (FILES, "why?", "You asked for it: list the files."),
        (
            asked("I am sorry, I may not do that: rm is not allowed."),
            "why?",
            "The safety rules here do not allow it: rm is not allowed.",
        ),
        (
            asked("I did not understand that. I heard: something."),
            "why?",
            "I know only a few kinds of requests. Say: help, to hear them.",
        ),
        ([], "why?", "There is no question waiting for your answer."),
        ([], "undo that", "There is nothing to undo."),
        (FOLDER, "undo that", "There is nothing to undo."),
        (
            [("user", "move the folder h5 to h6"), ("assistant", "I have moved h5 to h6.")],
            "undo that",
            "I cannot undo that: move the folder h5 to h6.",
        ),
        ([], "the second one", "I do not know which one you mean. I have not searched for anything yet."),
    ],
)
def test_what_is_told_of_the_last_act(turns: Turns, text: str, words: str) -> None:
    assert told(text, [*turns, ("user", text)]) == words


def test_what_somebody_else_found_is_not_undone_here() -> None:
    before = [
        ("user", "some hard riddle about gardens"),
        ("assistant", "One."),
        ("user", "the second one"),
        ("assistant", "A rose."),
    ]
    assert planned("undo that", [*before, ("user", "undo that")]).intent == "undo"


def test_what_somebody_else_answered_is_not_the_act_before_it() -> None:
    """A language model did: `and in Paris?` goes to it, too."""
    before = [*IN_TOKYO, ("user", "is it raining over there these days"), ("assistant", "I think that it is sunny.")]
    assert planned("and in Paris?", [*before, ("user", "and in Paris?")]).intent == "unknown"


@pytest.mark.parametrize(
    "text",
    [
        "No, that's stupid",
        "alright then",
        "no",
        "yes, but call it off",
        "no, thanks",
        "to be honest",
        "for fun",
        "at last",
    ],
)
def test_words_without_another_value_change_nothing(text: str) -> None:
    assert not planned(text, [*SEARCHED, ("user", text)]).steps


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
