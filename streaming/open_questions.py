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

    @property
    def newest(self) -> int:
        return max(self.shown, self.told, self.aloud)


class OpenQuestions:
    """All lanes of a session share one. A question that waits behind another one of its turn is not in it yet."""

    def __init__(self) -> None:
        self._asked: dict[str, _Asked] = {}
        self._order = itertools.count(1)

    def show(self, question: Confirmation) -> None:
        """The client shows it from now on."""
        self._asked[question.confirmation_id] = _Asked(question, next(self._order))

    def say(self, words: str, *, aloud: bool) -> None:
        """The user has got these words, to their end. A question in them was asked now."""
        for asked in self._asked.values():
            if asked.question.sentence and asked.question.sentence in words:
                if aloud:
                    asked.aloud = next(self._order)
                else:
                    asked.told = next(self._order)

    def over(self, question: Confirmation) -> None:
        """It was settled, has expired, or was withdrawn."""
        self._asked.pop(question.confirmation_id, None)

    def meant(self, own: Confirmation | None, *, by_voice: bool) -> tuple[Confirmation, ...]:
        """What words may answer that name no question: one, or several if it cannot be told which. `own`: that of their channel.

        Who speaks answers what was asked aloud last. Who types may see all of them, so only the newest can be meant, if it was in words.
        """
        asked = list(self._asked.values())
        last = max(asked, key=lambda one: one.aloud if by_voice else one.newest, default=None)
        if last is not None and (last.aloud or (last.told and not by_voice)):
            return (last.question,)
        if own is not None and own.confirmation_id in self._asked:
            return (own,)
        return tuple(one.question for one in asked)
