"""What a turn says while a question waits that another turn asks, or this turn's words were about: it may put it in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.agent.answering import Answer
from streaming.agent.apologies import NOT_UNDERSTOOD_NOW
from streaming.agent.brief import NOT_UNDERSTOOD

if TYPE_CHECKING:
    from streaming.open_questions import OpenQuestions
    from streaming.ports import Confirmation, Plan


class Beside:
    """One per turn."""

    def __init__(self, questions: OpenQuestions) -> None:
        self._questions = questions
        self._waiting: Confirmation | None = None
        self._repeated = False  # it is asked again anyway
        self._sentence = ""  # of the one that waited at another replica, where it had another id

    def save(self) -> str:
        """The question's sentence, by which another replica finds it; empty if none waits."""
        return self._waiting.sentence if self._waiting is not None else self._sentence

    def restore(self, sentence: str) -> None:
        """Take up what another replica saved."""
        self._sentence = sentence

    def waits(self, question: Confirmation | None, *, repeated: bool = False) -> None:
        """The question that waits, if there is one. `repeated`: it is asked again after the turn."""
        self._waiting, self._repeated = question, repeated

    def instead_of(self, plan: Plan) -> str:
        """The reply if the planner can make nothing of the words: the question again. Empty if it can, or if no question waits."""
        told = ""
        if plan.intent == NOT_UNDERSTOOD and "cannot" not in plan.entities:
            told = NOT_UNDERSTOOD_NOW
        elif plan.intent == "yes" and not plan.steps:
            told = Answer.NOT_ASKED  # the reply before asked something, but no yes answers it
        if self._waiting is None or not told:
            return ""
        return told if self._repeated else f"{told} {self._waiting.sentence}"

    def begins(self, reply: str) -> None:
        """Words are about to be given. `reply`: the same, unless they are about the question."""
        self._find_again()
        if self._waiting is not None:
            self._questions.begin(self._waiting)
        self._questions.replied(reply)

    def given(self, heard: str, reply: str, *, aloud: bool) -> None:
        """They were, as far as they were heard."""
        self._find_again()
        if self._waiting is not None and self._waiting.sentence in heard:
            self._questions.ask(self._waiting, told=not aloud, aloud=aloud or None)
            return
        self._questions.replied(reply)
        if reply and heard == reply:
            self._questions.heard_out()

    def _find_again(self) -> None:
        """The lane that asks the question asks it anew here, maybe while these words are already spoken."""
        if self._waiting is None and self._sentence:
            self._waiting = self._questions.worded(self._sentence)
