"""What recognisers write for a no while a question waits: nothing of it approves, and nothing else is done by it."""

from __future__ import annotations

import pytest

from server.embedded.intent.recognition import recognise
from streaming.agent.answering import LEAST_CONFIDENCE, Answer, Moment, answer
from streaming.open_questions import Meant
from streaming.ports import Confirmation, Intent, IntentGuess

QUESTION = Confirmation("c1", "2030-01-01T00:00:00Z")


def answered(text: str, confidence: float = 0.9, *, by_voice: bool = True) -> Answer:
    """What words do to a question that was asked."""
    best, *others = (IntentGuess(one.intent, one.confidence, one.entities) for one in recognise(text))
    intent = Intent(best.intent, best.confidence, best.entities, tuple(others))
    return answer(intent, Meant((QUESTION,), asked=True), Moment(QUESTION).heard(confidence), by_voice=by_voice)


@pytest.mark.parametrize(
    "text",
    ["Yeah, now.", "Yeah now.", "Yes. Now.", "yes, now!", "Okay now.", "Sure, now.", "All right, now."],
)
def test_a_yes_that_may_be_a_nah_is_asked_for_again(text: str) -> None:
    assert answered(text) is Answer.REPEATS


@pytest.mark.parametrize("text", ["Do it now.", "Yes, do it now.", "Yeah, really.", "Yes, indeed."])
def test_a_now_behind_an_act_is_a_time(text: str) -> None:
    assert answered(text) is Answer.APPROVES


@pytest.mark.parametrize(
    "text",
    [
        "Note both.",
        "note both of them",
        "Note to both.",
        "Know to both.",
        "no two both",
        "No, two both.",
        "No two boats.",
        "Not to both.",
        "Now to both",
        "Nah, to both.",
        "No both.",
        "Nor both",
        "No, to bath.",
        "Note to all of them",
        "Note a mode.",
        "Note the mode",
        "Note about.",
        "Note above.",
        "Nota both.",
        "Now to vote.",
        "Yeah, note both.",
    ],
)
def test_a_misheard_no_to_both_declines_and_does_nothing_else(text: str) -> None:
    assert answered(text) is Answer.REFUSES
    assert not any("also" in guess.entities or "instead" in guess.entities for guess in recognise(text))


@pytest.mark.parametrize(
    "text",
    ["Note milk.", "note two books", "No, boats.", "No, Bob.", "No, a boat", "know all", "Note to self, call Bob"],
)
def test_what_is_more_than_its_sound_is_no_such_no(text: str) -> None:
    assert not any("of" in guess.entities for guess in recognise(text))


@pytest.mark.parametrize("text", ["Note milk.", "Note a bowl", "Note it both"])
def test_a_short_note_said_to_a_question_is_asked_back(text: str) -> None:
    assert answered(text) is Answer.EXPLAINS


def test_a_long_one_is_a_note() -> None:
    assert answered("note that the meeting is at three") is Answer.NONE


@pytest.mark.parametrize("text", ["note both", "note milk"])
def test_a_typed_note_is_a_note(text: str) -> None:
    assert answered(text, by_voice=False) is Answer.NONE


@pytest.mark.parametrize("text", ["Which one?", "which ones", "Which?", "Which one do you mean?", "Which folder?"])
def test_who_asks_which_is_told(text: str) -> None:
    assert answered(text) is Answer.EXPLAINS


@pytest.mark.parametrize("text", ["Yes, it was.", "Yeah, that was a yes.", "It was a yes."])
def test_who_is_asked_whether_it_was_a_yes_may_say_so(text: str) -> None:
    assert answered(text) is Answer.APPROVES


@pytest.mark.parametrize(
    "text", ["No, it wasn't.", "It wasn't.", "That was not a yes.", "That was a no.", "It was not"]
)
def test_or_that_it_was_none(text: str) -> None:
    assert answered(text) is Answer.REFUSES


@pytest.mark.parametrize(
    ("text", "confidence", "given"),
    [
        ("Alright.", 0.5, Answer.UNSURE),  # "uh-uh"
        ("Yeah, yeah.", 0.45, Answer.UNSURE),  # "nah, nah"
        ("Yes.", LEAST_CONFIDENCE, Answer.APPROVES),
        ("Yeah.", 0.0, Answer.APPROVES),  # the recogniser tells none
        ("Okay, now.", 0.5, Answer.REPEATS),
        ("No.", 0.1, Answer.REFUSES),
    ],
)
def test_only_a_yes_must_be_sure(text: str, confidence: float, given: Answer) -> None:
    assert answered(text, confidence) is given
