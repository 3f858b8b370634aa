"""Words that do not approve what was asked, and words about an act that do not ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.embedded.intent.recognition import recognise
from streaming.agent.answering import Answer, Moment, answer
from streaming.open_questions import Meant
from streaming.ports import Confirmation, Intent, IntentGuess
from tests.server.embedded.planner.told import planned

if TYPE_CHECKING:
    from server.embedded.intent.recognition import IntentCandidate

QUESTION = Confirmation("c1", "2030-01-01T00:00:00Z")
ASKED = [("user", "create a folder called demo"), ("assistant", "Shall I create the folder demo?")]


def _guess(found: IntentCandidate) -> IntentGuess:
    return IntentGuess(found.intent, found.confidence, found.entities)


def answered(text: str) -> Answer:
    best, *others = recognise(text)
    intent = Intent(best.intent, best.confidence, best.entities, tuple(map(_guess, others)))
    return answer(intent, Meant((QUESTION,), asked=True), Moment(QUESTION), by_voice=False)


@pytest.mark.parametrize(
    "text",
    [
        "no wait yes", "no, wait, yes", "yes no", "no yes", "yes, wait", "yes but not now", "yes if it's safe", "yes unless it's big", "maybe yes",
        "yeah right", "yeah no", "sure?", "are you sure", "what if i say yes", "i didn't say yes", "don't take that as a yes", "that's not a yes", "it's not okay",
        "i don't approve", "i can't approve that", "do it later", "go ahead and stop", "he said yes", "my brother says yes", "the answer is not yes", "say yes",
        "what does yes mean", "yesterday", "yes i mean no", "yes, actually don't", "yes, never mind", "sure, forget it", "ok don't", "yes and no", "neither yes nor no",
        "only if you are sure", "as long as it is empty", "uh huh", "why not", "Why not?", "yes, delete the other one instead", "yes, but the other folder", "the other one",
        "yup, not today", "yes please don't", "okay okay stop", "no problem", "i wouldn't say no", "not that", "not bad", "then yes or no", "do it not",
        "right", "Right.", "right right", "right then", "not approved", "I don't approve", "that is not fine", "never mind the yes", "I like it", "who am I", "thanks but no", "the answer is no",
        "I like yes", "hi, I'm Yes", "what's the weather", "yes or no", "I approve of nothing", "the answer is not no", "it isn't a no", "reject, no wait, yes", "I don't disagree",
    ],
)  # fmt: skip
def test_it_approves_nothing(text: str) -> None:
    assert answered(text) is not Answer.APPROVES


@pytest.mark.parametrize("text", ["yes", "Yes, please.", "sure, why not", "okay, do it", "go ahead"])
def test_a_plain_yes_still_does(text: str) -> None:
    assert answered(text) is Answer.APPROVES


@pytest.mark.parametrize(
    "text",
    ["don't take that as a yes", "yes, delete the other one instead", "yes, but the other folder", "the other one"],
)
def test_it_makes_no_other_request_of_it(text: str) -> None:
    assert not planned(text, [*ASKED, ("user", text)]).steps


@pytest.mark.parametrize(
    "text",
    [
        "i created a folder called demo yesterday", "did you create a folder called demo", "why did you open example.com", "should i open example.com",
        "my boss said open example.com", "he told me to create a folder called demo", "never open example.com", "i don't want you to search for cats",
        "i wouldn't create a folder called demo", "there's no need to open example.com", "not now, open example.com later", "if i asked you to create a folder called demo would you",
        "stop searching for cats", "open example.com, no, don't", "create a folder called demo, no wait, don't", "search for cats, never mind", "move a.txt to b.txt, no leave it",
        "copy that", "move it", "copy it there", "i forgot my password", "i moved notes.txt to plan.txt", "suppose i say create a folder called demo", "what if you open example.com",
        "i wanted to open example.com but it's fine", "don't let me open example.com", "no don't make a folder",
    ],
)  # fmt: skip
def test_words_about_an_act_do_nothing(text: str) -> None:
    assert not planned(text).steps
