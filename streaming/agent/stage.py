"""Runs turns one at a time. While a turn's question waits for its answer, other words get a turn of their own above it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from streaming.task_group import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from streaming.agent.delivery import Delivery
    from streaming.agent.turns import Turn
    from streaming.ports import Confirmation


WordsT = TypeVar("WordsT")


class Stage(Generic[WordsT]):
    """`words` are those that wait for a turn, None at their end; `serve` gives one of them its turn, with `run`."""

    def __init__(
        self, words: asyncio.Queue[WordsT | None], serve: Callable[[WordsT], Coroutine[None, None, None]]
    ) -> None:
        self._words = words
        self._serve = serve
        self._ended = False  # no more words will come
        self.turn: Turn | None = None  # the current one
        self.task: asyncio.Task[None] | None = None
        self.floor = asyncio.Lock()  # held by the turn that speaks
        self._beneath: list[Turn] = []  # those whose question waits meanwhile
        self._questions: dict[str, Confirmation] = {}  # by turn, oldest first
        self._changed = asyncio.Event()  # a question was asked or settled

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns that are not over, oldest first."""
        return (*self._beneath, *([self.turn] if self.turn is not None else []))

    @property
    def asks(self) -> bool:
        """True while the current turn's question waits for its answer."""
        return self.turn is not None and self.turn.turn_id in self._questions

    @property
    def question(self) -> Confirmation | None:
        """The newest question that waits for its answer."""
        return next(reversed(self._questions.values()), None)

    def on_question(self, turn_id: str, question: Confirmation | None) -> None:
        """Take note that a turn asks, or that its question is settled (None)."""
        if question is None:
            self._questions.pop(turn_id, None)
        else:
            self._questions[turn_id] = question
        self._changed.set()

    def settled(self, questions: Sequence[Confirmation]) -> None:
        """Take note that they were answered, before their turns do: what was said besides the answer is for after those turns."""
        for turn_id in [turn_id for turn_id, open_one in self._questions.items() if open_one in questions]:
            self.on_question(turn_id, None)

    def ask_again(self, question: Confirmation | None = None, words: str = "") -> bool:
        """Repeat the question (None: the newest), or say these words about it. False if no turn here asks it."""
        asked = self._questions
        asking = [turn for turn in self.turns if turn.turn_id in asked and question in (None, asked[turn.turn_id])]
        if asking:
            asking[-1].ask_again(words)
        return bool(asking)

    def stop(self) -> bool:
        """Cancel the current turn. False if there is none."""
        if self.task is None or self.task.done():
            return False
        return self.task.cancel()

    def give_way(self) -> None:
        """Let the current turn make room for other words, if a language model still makes its reply."""
        if self.turn is not None:
            self.turn.give_way()

    @property
    def thinks(self) -> bool:
        """True while a language model makes the current turn's reply, and nothing of it is playing."""
        return self.turn is not None and self.turn.thinks

    @property
    def meanwhile(self) -> bool:
        """True while the current turn answers other words than those that its question is about."""
        return bool(self._beneath)

    @property
    def delivery(self) -> Delivery | None:
        """Of the current turn."""
        return self.turn.delivery if self.turn is not None else None

    @property
    def replying(self) -> Delivery | None:
        """The same while its words are playing or paused."""
        return self.delivery if self.delivery is not None and self.delivery.under_way else None

    async def run(self, turn: Turn, work: Coroutine[None, None, None]) -> None:
        """Run a turn to its end."""
        below = self.turn, self.task
        if self.turn is not None:
            self._beneath.append(self.turn)
        self.turn = turn
        late: list[WordsT] = []  # taken just as the question was answered
        try:
            async with TaskGroup() as group:
                # awaiting the task would raise if "stop" cancelled it, and cancel the whole lane
                task = self.task = group.create_task(work, name=f"turn {turn.turn_id}")
                while not task.done():
                    words = await self._other_words(turn, task, group)
                    if words is None:
                        continue
                    if turn.turn_id in self._questions:
                        await self._serve(words)
                        self.ask_again()
                    else:
                        late.append(words)
        finally:
            self.turn, self.task = below
            if self._beneath:
                self._beneath.pop()
            turn.forget()
        for words in late:
            await self._serve(words)

    def forget(self) -> None:
        """The lane is over: drop it, as it refers to us. The collector hardly ever runs."""
        del self._serve

    async def _other_words(self, turn: Turn, task: asyncio.Task[None], group: asyncio.TaskGroup) -> WordsT | None:
        """Words that come while the turn's question waits; None as soon as it is over, asks, or is answered."""
        self._changed.clear()
        changed = group.create_task(self._changed.wait(), name="question changed")
        waited: set[asyncio.Task[Any]] = {task, changed}
        taking: asyncio.Task[WordsT | None] | None = None
        if turn.turn_id in self._questions and not self._ended:
            taking = group.create_task(self._words.get(), name="other words")
            waited.add(taking)
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        if taking is None or not taking.done():
            if taking is not None:
                taking.cancel()
            return None
        words = taking.result()
        if words is None:
            self._ended = True
            self._words.put_nowait(None)
        return words
