"""Asks the questions of one turn aloud, one after the other, until they are answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streaming.agent.questions import REMIND_AFTER_S, reminder_of
from streaming.task_group import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from streaming.open_questions import OpenQuestions
    from streaming.ports import Confirmation, Outcome


class Asker:
    """`say` speaks a sentence to its end or until it is interrupted, and returns whether it came to its end; `hush` silences it.

    `on_open` gets the open question, or None. `aloud`: the client gets speech, else it shows the question's text.
    An answer may come by another way while the question is still being spoken, which is then silenced at once, or while it still
    waits for others to be answered, and is then not asked.
    """

    def __init__(
        self,
        say: Callable[[str], Coroutine[None, None, bool]],
        hush: Callable[[], None],
        on_open: Callable[[Confirmation | None], None],
        questions: OpenQuestions,
        *,
        aloud: bool,
    ) -> None:
        self._say = say
        self._hush = hush
        self._on_open = on_open
        self._questions, self._aloud = questions, aloud
        self._one_at_a_time = asyncio.Lock()
        self._again = asyncio.Event()
        self._words = ""  # to be said instead of the mere question
        self._asked: Confirmation | None = None
        self._replaced = False  # True if the user wants something else instead of what was asked about

    @property
    def open(self) -> bool:
        """True while a question waits for its answer."""
        return self._asked is not None

    def replaced(self, outcomes: Sequence[Outcome]) -> bool:
        """True if nothing was done, because the user wants something else: the answer to that is all that is said."""
        return self._replaced and all(outcome.status in {"declined", "skipped"} for outcome in outcomes)

    def again(self, words: str = "") -> None:
        """Repeat the open question, or say these words about it: words spoken during it cannot count as its answer."""
        self._words = words
        self._again.set()

    async def ask(
        self, question: Confirmation, sentence: str, decision: Coroutine[None, None, bool | None]
    ) -> bool | None:
        """The decision; None if nobody answered in time."""
        async with TaskGroup() as group:
            deciding = group.create_task(decision, name="wait for an answer")
            asking = group.create_task(self._ask(question, sentence, group, deciding), name="ask")
            await asyncio.wait([deciding])
            if self._asked is not question:
                asking.cancel()
        self._replaced |= self._questions.replaced(question) and not deciding.result()
        return deciding.result()

    async def _ask(
        self, question: Confirmation, sentence: str, group: asyncio.TaskGroup, deciding: asyncio.Task[bool | None]
    ) -> None:
        async with self._one_at_a_time:
            self._asked = question
            self._questions.show(question, reports=True)
            self._questions.ask(question, told=not self._aloud)
            self._on_open(question)
            try:
                await self._put(question, sentence, group, deciding)
            finally:
                self._asked = None
                self._on_open(None)

    async def _put(
        self, question: Confirmation, sentence: str, group: asyncio.TaskGroup, deciding: asyncio.Task[bool | None]
    ) -> None:
        reminded = False
        words = sentence
        while not deciding.done():
            self._again.clear()
            self._questions.begin(question)
            saying = group.create_task(self._say(words), name="ask aloud")
            await asyncio.wait([saying, deciding], return_when=asyncio.FIRST_COMPLETED)
            if deciding.done():
                self._hush()
                saying.cancel()  # it may not have started to play
            await asyncio.wait([saying])
            if self._aloud and not deciding.done():
                self._questions.ask(question, aloud=saying.result())
            asked_again = group.create_task(self._again.wait(), name="asked again")
            await asyncio.wait(
                [deciding, asked_again],
                timeout=None if reminded else REMIND_AFTER_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not asked_again.done():
                asked_again.cancel()
                reminded, words = True, reminder_of(sentence)
            else:
                words, self._words = self._words or sentence, ""
