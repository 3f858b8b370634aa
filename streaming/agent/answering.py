"""Decides whether a yes or no answers an open question. An approval counts only for the question that was open when it began."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.ports import Confirmation, Intent

APPROVALS = {"yes": True, "no": False, "stop": False}


@dataclass(frozen=True, slots=True)
class Moment:
    """The state when words began: the open question, and whether the gateway's own speech could be heard.

    `meanwhile`: other words were being answered while the question waited.
    """

    question: Confirmation | None = None
    over_our_voice: bool = False
    meanwhile: bool = False


class Answer(StrEnum):
    """How words answer the question that is open now."""

    NONE = ""  # they answer no question
    REFUSES = "refuses"
    APPROVES = "approves"
    TOO_EARLY = "You spoke before my question was out. Please answer again."
    NOT_BY_VOICE = "I need a click, or a typed yes, for that."


def answer(intent: Intent, question: Confirmation | None, given: Moment, *, by_voice: bool) -> Answer:
    """Judge words with that intent, which began at that moment. A refusal always counts, because it has no effects."""
    approves = APPROVALS.get(intent.intent)
    if approves is None and any(not APPROVALS.get(other.intent, True) for other in intent.alternatives):
        approves = False  # "forget it" may be about a note, but means no while a question is open
    if question is None or approves is None:
        return Answer.NONE
    if not approves:
        return Answer.REFUSES
    if given.question is None or given.question.confirmation_id != question.confirmation_id:
        return Answer.TOO_EARLY
    if by_voice and given.over_our_voice:
        return Answer.TOO_EARLY
    if by_voice and not question.by_voice:
        return Answer.NOT_BY_VOICE
    return Answer.APPROVES
