"""The questions that the user of a session is being asked, and which of them a yes or no is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.ports import Confirmation


@dataclass(slots=True)
class _Open:
    """A question. `reports`: who asks it will also say what became of it.

    `told`: the user was given its words; `aloud`: they were said to their end when it was last asked.
    """

    question: Confirmation
    reports: bool
    told: bool = False
    aloud: bool = False


@dataclass(frozen=True, slots=True)
class Meant:
    """What words may answer that name no question: one question, or several if it cannot be told which.

    `asked`: the user was asked it in words, and nothing newer, so that a yes can only be for it.
    `every`: all open questions, for "both" and "all of them"; `put`: those of them that the user was asked in words, to their end.
    """

    questions: tuple[Confirmation, ...] = ()
    asked: bool = False
    every: tuple[Confirmation, ...] = ()
    put: tuple[Confirmation, ...] = ()


class OpenQuestions:
    """All lanes of a session share one. A question that waits behind another one of its turn is not in it yet."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        # The last question that was put to the user, and the last one put in words. They may be over: then a yes may be a late answer.
        self._last_put = self._last_asked = ""

    def show(self, question: Confirmation, *, reports: bool = False) -> None:
        """The client shows it from now on."""
        self._open[question.confirmation_id] = _Open(question, reports)
        self._last_put = question.confirmation_id

    def ask(self, question: Confirmation, *, told: bool = False, aloud: bool | None = None) -> None:
        """It is put in words: `told` as text, or aloud, which begins (None), and has come to its end or not.

        Nothing changes when a question that was asked begins to be repeated: until that can be heard, a yes is for the one before.
        """
        asked = self._open.get(question.confirmation_id)
        if asked is None:
            return  # it is over
        self._last_put = self._last_asked = question.confirmation_id
        asked.told = asked.told or told or bool(aloud)
        if aloud is not None:
            asked.aloud = aloud

    def reports(self, question: Confirmation) -> bool:
        """True if who asks it will say what became of it."""
        asked = self._open.get(question.confirmation_id)
        return asked is not None and asked.reports

    def over(self, question: Confirmation) -> None:
        """It was settled, has expired, or was withdrawn."""
        self._open.pop(question.confirmation_id, None)

    def meant(self, own: Confirmation | None, *, hears: bool) -> Meant:
        """What words are about. `own`: the question of their channel. `hears`: they are spoken, by a user who is answered aloud.

        Who hears may not see what the client shows: a question that was not said to its end was not asked. Others see all of them.
        """
        every = tuple(one.question for one in self._open.values())
        put = tuple(one.question for one in self._open.values() if one.aloud or (one.told and not hears))
        return replace(self._about_one(own, hears=hears), every=every, put=put)

    def _about_one(self, own: Confirmation | None, *, hears: bool) -> Meant:
        last = self._open.get(self._last_asked if hears else self._last_put)
        if last is not None and (last.aloud if hears else last.told or len(self._open) == 1):
            return Meant((last.question,), asked=True)
        if own is not None and own.confirmation_id in self._open:
            return Meant((own,), asked=last is not None and not hears)
        if last is not None and hears:
            return Meant((last.question,))
        return Meant(tuple(one.question for one in self._open.values()))
