"""A yes that may be none, or names something else than the question, approves nothing."""

from __future__ import annotations

import pytest

from server.embedded.intent.recognition import recognise
from streaming.agent.answering import Answer, Moment, answer
from streaming.open_questions import Meant
from streaming.ports import Confirmation, Intent, IntentGuess


def answered(text: str, sentence: str, *, by_voice: bool) -> Answer:
    best, *others = recognise(text)
    intent = Intent(
        best.intent,
        best.confidence,
        best.entities,
        tuple(IntentGuess(guess.intent, guess.confidence, guess.entities) for guess in others),
    )
    question = Confirmation("c1", "2030-01-01T00:00:00Z", sentence=sentence)
    meant = Meant((question,), asked=True, every=(question,), put=(question,))
    return answer(intent, meant, Moment(question, (question,)), by_voice=by_voice)


FOLDER = "Shall I create the folder demo?"
DELETES = "Shall I delete demo with everything in it?"
COMMANDS = "Shall I run uname?"


@pytest.mark.parametrize("by_voice", [True, False])
@pytest.mark.parametrize(
    ("text", "sentence", "approves"),
    [
        ("yes", FOLDER, True),
        ("Yes, do it.", FOLDER, True),
        ("Yes, create it.", FOLDER, True),
        ("Yes, make the directory.", FOLDER, True),
        ("Yes, delete it.", DELETES, True),
        ("Yes, remove the folder.", DELETES, True),
        ("Okay, run it.", COMMANDS, True),
        ("Yes, submit it.", "Shall I click on Send?", True),
        ("Yes, delete it.", "Shall I click on Delete?", True),
        ("Yes, run it.", "Shall I kill 5?", True),
        ("Yes, move it.", FOLDER, False),
        ("Yes, rename it.", FOLDER, False),
        ("Yes, send it.", FOLDER, False),
        ("Yes, create the file.", FOLDER, False),
        ("Yes, create it.", DELETES, False),
        ("Yes, delete it.", COMMANDS, False),
        ("It's okay.", FOLDER, False),
        ("That's okay, thanks.", FOLDER, False),
        ("Hello? Yes.", FOLDER, False),
        ("Yes, move it.", "", False),
    ],
)
def test_a_yes_to_something_else_is_asked_back(text: str, sentence: str, approves: bool, by_voice: bool) -> None:
    assert answered(text, sentence, by_voice=by_voice) is (Answer.APPROVES if approves else Answer.UNSURE)


@pytest.mark.parametrize("text", ["Yes, delete everything.", "yes delete the folder pear", "Yes, search for cats."])
def test_a_yes_with_a_request_of_something_else_answers_nothing(text: str) -> None:
    assert answered(text, FOLDER, by_voice=True) is Answer.NONE
