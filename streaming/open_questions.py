"""The questions that the user of a session is being asked, and which of them a yes or no is about."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.ports import Confirmation


@dataclass(slots=True)
class _Asked:
    """A question, and the order in which it was shown by the client, told in a reply's text, and asked aloud. 0: it was not."""

    question: Confirmation
    shown: int
    told: int = 0
    aloud: int = 0


class OpenQuestions:
    """All lanes of a session share one. A question that waits behind another one of its turn is not in it yet."""

    def __init__(self) -> None:
        self._asked: dict[str, _Asked] = {}
        self._order = itertools.count(1)

    def show(self, question: Confirmation) -> None:
        """The client shows it from now on."""
        self._asked[question.confirmation_id] = _Asked(question, next(self._order))

    def asked_aloud(self, question: Confirmation) -> None:
        """Its words were said to their end."""
        self.put(question, aloud=True)

    def put(self, question: Confirmation, *, aloud: bool) -> None:
        """The user has got its words, to their end: aloud, or as a reply's text."""
        asked = self._asked.get(question.confirmation_id)
        if asked is None:
            return  # it is over
        if aloud:
            asked.aloud = next(self._order)
        else:
            asked.told = next(self._order)

    def over(self, question: Confirmation) -> None:
        """It was settled, has expired, or was withdrawn."""
        self._asked.pop(question.confirmation_id, None)

    def meant(self, own: Confirmation | None, *, by_voice: bool) -> tuple[Confirmation, ...]:
        """What words may answer that name no question: one, or several if it cannot be told which. `own`: that of their channel.

        Who speaks answers what was asked aloud last, or in text where nothing is asked aloud. Who types may see all of them, so only the
        newest can be meant, if it was in words.
        """
        asked = list(self._asked.values())
        if not by_voice:
            newest = max(asked, key=lambda one: max(one.shown, one.told, one.aloud), default=None)
            if newest is not None and (newest.told or newest.aloud):
                return (newest.question,)
        elif heard := [one for one in asked if one.aloud]:
            return (max(heard, key=lambda one: one.aloud).question,)
        if own is not None and own.confirmation_id in self._asked:
            return (own,)
        if told := [one for one in asked if one.told and by_voice]:
            return (max(told, key=lambda one: one.told).question,)
        return tuple(one.question for one in asked)
