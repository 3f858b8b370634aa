"""The questions that the user of a session is being asked, and which of them a yes or no is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.ports import Confirmation


class OpenQuestions:
    """All lanes of a session share one. A question that waits behind another one of its turn is not in it yet."""

    __slots__ = ("_asked",)

    def __init__(self) -> None:
        self._asked: dict[str, tuple[Confirmation, bool]] = {}  # with whether it was put in words; the newest put last

    def put(self, question: Confirmation, *, in_words: bool) -> None:
        """The user is asked this now, perhaps again. `in_words`: aloud or in a reply, not only shown by the client."""
        _, before = self._asked.pop(question.confirmation_id, (question, False))
        self._asked[question.confirmation_id] = question, in_words or before

    def over(self, question: Confirmation) -> None:
        """It was settled, has expired, or was withdrawn."""
        self._asked.pop(question.confirmation_id, None)

    def meant(self, own: Confirmation | None, *, by_voice: bool) -> tuple[Confirmation, ...]:
        """What words may answer that name no question: one, or several if it cannot be told which. `own`: that of their channel.

        Who speaks answers what was asked aloud last. Who types may see all of them, so only the newest can be meant, if it was in words.
        """
        asked = list(self._asked.values())
        in_words = [question for question, told in asked if told]
        if in_words and (by_voice or asked[-1][1]):
            return (in_words[-1],)
        if own is not None and own.confirmation_id in self._asked:
            return (own,)
        return tuple(question for question, _ in asked)
