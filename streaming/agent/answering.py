"""Decides whether a yes or no answers an open question. An approval counts only for the question that was open when it began."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.open_questions import Meant
    from streaming.ports import Confirmation, Intent, IntentGuess

APPROVALS = {"yes": True, "no": False, "stop": False}
ASKS_BACK = {"explain": "explains", "repeat": "repeats"}
# Of a spoken approval: eSpeak's "Nah." is heard as "Yeah." with 0.1 to 0.35, a yes that was said with 0.41 and more (docs/SPEECH.md).
LEAST_CONFIDENCE = 0.4


@dataclass(frozen=True, slots=True)
class Moment:
    """The state when words began: the open question, and whether the gateway's own speech could be heard.

    `meanwhile`: other words were being answered while the question waited. `unsure`: the words may have been others.
    """

    question: Confirmation | None = None
    over_our_voice: bool = False
    meanwhile: bool = False
    unsure: bool = False

    def heard(self, confidence: float) -> Moment:
        """With words of that confidence; 0: the recogniser tells none."""
        return replace(self, unsure=0 < confidence < LEAST_CONFIDENCE)


class Answer(StrEnum):
    """How words answer the question that is open now."""

    NONE = ""  # they answer no question
    EXPLAINS = "explains"  # they ask what the question is about
    REPEATS = "repeats"  # they ask to hear it again
    WAITS = "waits"  # "one moment, please"
    REFUSES = "refuses"
    APPROVES = "approves"
    WHICH = "There is more than one question."
    NOT_ASKED = "A question is still open."
    TOO_EARLY = "You spoke before my question was out. Please answer again."
    UNSURE = "I am not sure that I heard a yes. Please answer again."
    NOT_BY_VOICE = "I need a click, or a typed yes, for that."


def answer(intent: Intent, about: Meant, given: Moment, *, by_voice: bool) -> Answer:
    """Judge words with that intent, which began at that moment, and are about these questions.

    A refusal always counts, because it has no effects.
    """
    meant = _meant(intent, by_voice=by_voice)
    if not about.questions or meant is None:
        return Answer.NONE
    question = about.questions[0]
    if meant.intent in ASKS_BACK:
        return Answer(ASKS_BACK[meant.intent])
    if meant.intent == "stop" and "pause" in meant.entities:
        return Answer.WAITS
    if meant.intent != "yes":
        return Answer.REFUSES
    if len(about.questions) > 1:
        return Answer.WHICH
    if not about.asked:
        return Answer.NOT_ASKED
    if given.question is None or given.question.confirmation_id != question.confirmation_id:
        return Answer.TOO_EARLY
    if by_voice and given.over_our_voice:
        return Answer.TOO_EARLY
    if by_voice and not question.by_voice:
        return Answer.NOT_BY_VOICE
    if by_voice and given.unsure:
        return Answer.UNSURE
    return Answer.APPROVES


def reply_to(given: Answer, question: Confirmation) -> str:
    """What is replied to such words where the question itself is not asked again."""
    told = {Answer.EXPLAINS: question.explanation, Answer.REPEATS: question.sentence}
    if given in {Answer.WHICH, Answer.NOT_ASKED}:
        return f"{given} {question.sentence}"
    return told.get(given, str(given))


def goes_on(intent: Intent) -> bool:
    """True if words say more than their yes or no: `yes, and what time is it`, `no, call it test`."""
    return any("also" in guess.entities or "instead" in guess.entities for guess in intent.alternatives)


def _meant(intent: Intent, *, by_voice: bool) -> IntentGuess | None:
    """The guess that answers a question; None for other words.

    Refusals may be guessed, and even misheard: "forget it" may be about a note, but means no while a question is open. A yes is never
    guessed: as an alternative, it counts only if M4 has found it at the beginning of the words.
    """
    if intent.intent in APPROVALS or (intent.intent in ASKS_BACK and "who" not in intent.entities):
        return intent
    for kinds in ({"no", "stop"}, {"explain"}, {"yes"}):
        for guess in intent.alternatives:
            heard = by_voice or "misheard" not in guess.entities
            if guess.intent in kinds and heard and (guess.intent != "yes" or "also" in guess.entities):
                return guess
    return None
