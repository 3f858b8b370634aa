"""Decides whether a yes or no answers an open question. An approval counts only for the question that was open when it began."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from streaming.agent.questions import deed_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming.open_questions import Meant
    from streaming.ports import Confirmation, Intent, IntentGuess

_ANY_ACT = frozenset({"run", "do", "start", "execute", "go"})  # of whatever was asked about
_NAMED_BY_PAGES = frozenset({"click", "press"})  # "yes, delete it" may be what the button says
# What is the same to people: "yes, make it" approves what creates something.
_SAME_ACTS = (
    frozenset({"delete", "remove", "erase", "forget"}),
    frozenset({"create", "make"}),
    frozenset({"move", "rename"}),
    frozenset({"save", "store", "remember"}),
    frozenset({"send", "submit", "click", "press"}),
)
_SAME_THINGS = (frozenset({"folder", "directory"}), frozenset({"file"}), frozenset({"page"}))
APPROVALS = {"yes": True, "no": False, "stop": False}
ASKS_BACK = {"explain": "explains", "repeat": "repeats"}
# Of a spoken approval: a no is heard as a yes with at most 0.5, a yes of the natural voice mostly with more than 0.55 (docs/SPEECH.md).
LEAST_CONFIDENCE = 0.55


@dataclass(frozen=True, slots=True)
class Moment:
    """The state when words began: the open question, and whether the gateway's own speech could be heard.

    `put`: all open questions that the user had been asked by then, to their end. `meanwhile`: other words were being answered while
    the question waited. `unsure`: the words may have been others.
    """

    question: Confirmation | None = None
    put: tuple[Confirmation, ...] = ()
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
    APPROVES_ALL = "approves all"  # that are open
    APPROVES_ONE = "approves one"  # of several that were meant: the others were not asked to their end
    WHICH = "There is more than one question."
    NOT_ASKED = "A question is still open."
    TOO_EARLY = "You spoke before my question was out. Please answer again."
    UNSURE = "Was that a yes?"
    NOT_BY_VOICE = "I need a click, or a typed yes, for that."


def answer(intent: Intent, about: Meant, given: Moment, *, by_voice: bool) -> Answer:
    """Judge words with that intent, which began at that moment, and are about these questions.

    A refusal always counts, because it has no effects.
    """
    meant = _meant(intent, by_voice=by_voice)
    if not about.questions or meant is None:
        return Answer.NONE
    if meant.intent in ASKS_BACK:
        return Answer(ASKS_BACK[meant.intent])
    if meant.intent == "stop" and "pause" in meant.entities:
        return Answer.WAITS
    if meant.intent != "yes":
        return Answer.REFUSES
    if about.reply_asks:
        return Answer.NONE
    if "of" in meant.entities and (len(about.every) > 1 or "bare" in meant.entities):
        return _approves_several(meant, about, given, by_voice=by_voice)
    if "unsure" in meant.entities or _names_other(meant.entities, about.questions[0]):
        return Answer.UNSURE if len(about.questions) == 1 else Answer.WHICH
    return _approves_one(about, given, by_voice=by_voice)


def _names_other(said: Mapping[str, Any], question: Confirmation) -> bool:
    """True for a yes that names another act or thing than the question: `yes, delete it` to "Shall I create the folder demo?"."""
    act, *words = deed_in(question.sentence).casefold().split() or [""]
    does, thing = str(said.get("does", "")), str(said.get("thing", ""))
    any_act = not does or does in _ANY_ACT or act in _NAMED_BY_PAGES
    other_act = not any_act and act != does and not any({act, does} <= same for same in _SAME_ACTS)
    named = [same for same in _SAME_THINGS if same & set(words)]
    return other_act or (bool(thing) and bool(named) and not any(thing in same for same in named))


def _approves_one(about: Meant, given: Moment, *, by_voice: bool) -> Answer:
    question = about.questions[0]
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


def _approves_several(meant: Intent | IntentGuess, about: Meant, given: Moment, *, by_voice: bool) -> Answer:
    """`yes to both`, `all of them`: for all questions if each was asked to its end before, else for the one that a yes is for."""
    counted = len(about.every) == 2 if meant.entities["of"] == "both" else len(about.every) > 1
    if not counted:
        return Answer.WHICH if len(about.every) > 1 else Answer.NOT_ASKED
    one = _approves_one(about, given, by_voice=by_voice)
    if one is not Answer.APPROVES:
        return one
    asked = {question.confirmation_id for question in given.put} & {question.confirmation_id for question in about.put}
    counts = (each.confirmation_id in asked and (each.by_voice or not by_voice) for each in about.every)
    return Answer.APPROVES_ALL if all(counts) else Answer.APPROVES_ONE


def changes_nothing(given: Answer, intent: Intent, *, by_voice: bool) -> bool:
    """True for "why?", "say that again", "wait", and "both" where that fits not: they may come again and again.

    After a mere yes that could not be taken the question is asked again, so that the next one can.
    """
    meant = _meant(intent, by_voice=by_voice)
    several = meant is not None and "of" in meant.entities
    return given in {Answer.EXPLAINS, Answer.REPEATS, Answer.WAITS} or (
        several and given in {Answer.WHICH, Answer.NOT_ASKED}
    )


def refused(intent: Intent, about: Meant, *, by_voice: bool) -> tuple[Confirmation, ...]:
    """The questions that a no declines: all that it may mean, and with "both" or "all of them" all that are open."""
    meant = _meant(intent, by_voice=by_voice)
    return about.every if meant is not None and "of" in meant.entities else about.questions


def reply_to(given: Answer, question: Confirmation) -> str:
    """What is replied to such words, unless the mere question is asked again."""
    told = {Answer.EXPLAINS: question.explanation, Answer.REPEATS: question.sentence}
    if given in {Answer.WHICH, Answer.NOT_ASKED, Answer.UNSURE}:
        return f"{given} {question.sentence}"
    return told.get(given, str(given))


def one_of_several(approved: Confirmation, other: Confirmation) -> str:
    """What is said if "both" was meant and one could be approved: which one that is, and the question about the other."""
    return f"I take that as a yes to one of them: {deed_in(approved.sentence)}. The other question is: {other.sentence}"


def goes_on(intent: Intent) -> bool:
    """True if words say more than their yes or no: `yes, and what time is it`, `no, call it test`."""
    return any("also" in guess.entities or "instead" in guess.entities for guess in intent.alternatives)


def _meant(intent: Intent, *, by_voice: bool) -> IntentGuess | None:
    """The guess that answers a question; None for other words.

    Refusals may be guessed, and even misheard: "forget it" may be about a note, but means no while a question is open. A yes is never
    guessed: as an alternative, it counts only if M4 has found it at the beginning of the words, or as a mere "both".
    """
    if intent.intent in APPROVALS or (intent.intent in ASKS_BACK and "who" not in intent.entities):
        return intent
    for kinds in ({"no", "stop"}, {"explain"}, {"yes"}):
        for guess in intent.alternatives:
            heard = by_voice or "misheard" not in guess.entities
            if guess.intent in kinds and heard and (guess.intent != "yes" or guess.entities.keys() & {"also", "of"}):
                return guess
    return None
