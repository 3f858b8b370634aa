"""The questions that the user of a session is being asked, and which of them a yes or no is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.ports import Confirmation


@dataclass(slots=True)
class _Open:
    """A question. `reports`: who asks it will also say what became of it.

    `told`: the user was given its words; `aloud`: they were said to their end when it was last asked.
    `cut`: the client did not play them to their end, whatever the clock says.
    """

    question: Confirmation
    reports: bool
    told: bool = False
    aloud: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Meant:
    """What words may answer that name no question: one question, or several if it cannot be told which.

    `asked`: the user was asked it in words, and was told nothing newer, so that a yes can only be for it.
    `every`: all open questions, for "both" and "all of them"; `put`: those of them that the user was asked in words, to their end.
    `reply_asks`: a newer reply ended with a question of its own, which a yes is for.
    """

    questions: tuple[Confirmation, ...] = ()
    asked: bool = False
    every: tuple[Confirmation, ...] = ()
    put: tuple[Confirmation, ...] = ()
    reply_asks: bool = False


OTHER_WORDS = "…"  # of the user, which no reply was given to so far; they count as much as one


class OpenQuestions:
    """All lanes of a session share one. A question that waits behind another one of its turn is not in it yet."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        # The last question that was put to the user, and the last one put in words. They may be over: then a yes may be a late answer.
        self._last_put = self._last_asked = ""
        # The newest reply since then, to those who read and to those who hear; empty if there is none.
        self._read_since = self._heard_since = ""
        self._replaced: set[str] = set()
        # What words have approved, until the user has heard a reply; and whether it was done.
        self._approved, self._done = "", False

    def show(self, question: Confirmation, *, reports: bool = False) -> None:
        """The client shows it from now on."""
        self._open[question.confirmation_id] = _Open(question, reports)
        self._last_put, self._read_since = question.confirmation_id, ""

    def begin(self, question: Confirmation) -> None:
        """Its words begin to be said: what the client cut off before was another utterance."""
        if (asked := self._open.get(question.confirmation_id)) is not None:
            asked.cut = False

    def ask(self, question: Confirmation, *, told: bool = False, aloud: bool | None = None) -> None:
        """It is put in words: `told` as text, or aloud, which begins (None), and has come to its end or not.

        Nothing changes when a question that was asked begins to be repeated: until that can be heard, a yes is for the one before.
        """
        asked = self._open.get(question.confirmation_id)
        if asked is None:
            return  # it is over
        self._last_put = self._last_asked = question.confirmation_id
        if aloud is not None:
            aloud = asked.aloud = aloud and not asked.cut
        if told or aloud:
            asked.told, self._read_since = True, ""
        if aloud:
            self._heard_since = ""

    def replied(self, words: str) -> None:
        """The user is given a reply, which a yes is about until a question is asked after it. Who reads may read a question in it."""
        put = self._open.get(self._last_put)
        if words and not (put is not None and put.question.sentence and words.endswith(put.question.sentence)):
            self._read_since = words
        self._heard_since = words or self._heard_since

    def other_words(self) -> None:
        """The user said something that answers no question, maybe to somebody else: a yes may belong to that, also if no reply was given."""
        self._read_since = self._heard_since = OTHER_WORDS

    def unheard(self) -> None:
        """The client did not play our speech to its end: nothing is taken as heard before it is said again."""
        for asked in self._open.values():
            asked.aloud, asked.cut = False, True

    def replace(self, questions: Sequence[Confirmation]) -> None:
        """The user wants something else instead: their turns say nothing of it, because the reply to that is the answer."""
        for question in questions:
            if (asked := self._open.get(question.confirmation_id)) is not None and asked.reports:
                self._replaced.add(question.confirmation_id)

    def replaced(self, question: Confirmation) -> bool:
        """True, once, if the user wants something else instead."""
        replaced = question.confirmation_id in self._replaced
        self._replaced.discard(question.confirmation_id)
        return replaced

    def reports(self, question: Confirmation) -> bool:
        """True if who asks it will say what became of it."""
        asked = self._open.get(question.confirmation_id)
        return asked is not None and asked.reports

    def worded(self, sentence: str) -> Confirmation | None:
        """The open question with that sentence."""
        return next((one.question for one in self._open.values() if one.question.sentence == sentence), None)

    def over(self, question: Confirmation) -> None:
        """It was settled, has expired, or was withdrawn."""
        self._open.pop(question.confirmation_id, None)

    def approved(self, question: Confirmation) -> None:
        """Words have approved it."""
        self._approved, self._done = question.confirmation_id, False

    def ended(self, question: Confirmation, *, done: bool) -> None:
        """The act that it was about has ended."""
        if self._approved == question.confirmation_id:
            self._approved, self._done = self._approved if done else "", done

    def heard_out(self) -> None:
        """The user has heard a reply to its end: a no is about that."""
        self._approved = ""

    @property
    def approved_now(self) -> bool:
        """True while the user knows nothing of an act that words have approved, so that a no is for that."""
        return bool(self._approved)

    @property
    def done_now(self) -> bool:
        """The same, if it was done."""
        return bool(self._approved) and self._done

    def meant(self, own: Confirmation | None, *, hears: bool) -> Meant:
        """What words are about. `own`: the question of their channel. `hears`: they are spoken, by a user who is answered aloud.

        Who hears may not see what the client shows: a question that was not said to its end was not asked. Others see all of them.
        """
        every = tuple(one.question for one in self._open.values())
        put = tuple(one.question for one in self._open.values() if one.aloud or (one.told and not hears))
        questions, asked = self._about(own, hears=hears)
        since = self._heard_since if hears else self._read_since
        return Meant(questions, asked and not since, every, put, reply_asks=since.rstrip().endswith("?"))

    def _about(self, own: Confirmation | None, *, hears: bool) -> tuple[tuple[Confirmation, ...], bool]:
        """The questions that may be meant if nothing was said since, and whether they were asked."""
        last = self._open.get(self._last_asked if hears else self._last_put)
        if last is not None and (last.aloud if hears else last.told or len(self._open) == 1):
            return (last.question,), True
        if own is not None and own.confirmation_id in self._open:
            return (own,), last is not None and not hears
        if last is not None and hears:
            return (last.question,), False
        return tuple(one.question for one in self._open.values()), False
