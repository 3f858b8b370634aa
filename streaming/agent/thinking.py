"""A turn with a language model, in rounds: its words are spoken as they come, then the steps it requests are run."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from streaming.agent.apologies import apology
from streaming.ports import CLIENT, Prompt, ReplyWords, Round, ServiceError
from streaming.task_group import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.ports import CallContext, Outcome, Planner, Step

MAX_ROUNDS = 10  # the planner ends earlier; this stops one that does not


class ThinkingTurn(Protocol):
    """The turn, as seen by Thinking."""

    def add_words(self, words: str, *, last: bool, cut: bool = False) -> None:
        """Add words to the reply."""

    def no_more_words(self) -> None:
        """The round has no more words."""

    async def say_words(self) -> bool:
        """Speak until there are no more words. False if the user interrupted."""

    async def act(self, steps: Sequence[Step]) -> Sequence[Outcome]:
        """Run the steps that safety and the user allow. Raises ServiceError."""

    def hand_over(self, calls: Sequence[Step], rounds: tuple[Round, ...]) -> None:
        """Let the client run these calls, which belong to the last of `rounds`."""

    def trouble(self, broken: ServiceError) -> None:
        """Tell the client what failed."""

    async def keep_company(self, done: asyncio.Event) -> None:
        """Say now and then that it takes long, until `done`."""


class Thinking:
    """Runs once. `interrupt` ends the call to the language model at any time."""

    def __init__(self, planner: Planner, context: CallContext, speaker: ThinkingTurn) -> None:
        self._planner = planner
        self._context = context
        self._speaker = speaker
        self._reading: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()  # set when the round has words, or has ended
        self._read_all = asyncio.Event()  # set when the round has ended
        self._words = ""  # of the current round
        self._steps: list[Step] = []
        self._left = asyncio.Event()  # set when the rest is not wanted any more
        self.complete = False  # True if the reply is complete
        self.unanswered: ServiceError | None = None  # why the model said and did nothing at all

    def leave(self) -> None:
        """Ask the language model nothing more. Steps that are running are finished."""
        self._left.set()
        self.interrupt()

    def interrupt(self) -> bool:
        """The user interrupted: stop reading. False if it is not reading."""
        return self._reading is not None and self._reading.cancel()

    async def run(self, prompt: Prompt) -> None:
        """Run until the reply is complete or interrupted. A failure ends it with an apology, or as `unanswered`."""
        for _ in range(MAX_ROUNDS):
            if not await self._round(prompt) or self.complete or self._left.is_set():
                return
            calls = [step for step in self._steps if step.executor == CLIENT]
            own = [step for step in self._steps if step.executor != CLIENT]
            if calls and not own:
                return  # `_read` has already handed them over
            try:
                outcomes = await self._speaker.act(own)
            except ServiceError as broken:
                await self._give_up(broken)
                return
            if self._left.is_set():
                return
            rounds = (*prompt.rounds, Round(self._words, tuple(self._steps), tuple(outcomes)))
            if calls:
                self._speaker.hand_over(calls, rounds)
                return
            prompt = replace(prompt, rounds=rounds, tool_choice="auto")  # the requirement to call is met
        await self._give_up(
            ServiceError("ABORTED", "the language model repeated itself without an answer", service="mind")
        )

    async def _round(self, prompt: Prompt) -> bool:
        """Read and speak one round. False if it was interrupted."""
        self._words, self._steps = "", []
        self._begun.clear()
        self._read_all.clear()
        async with TaskGroup() as group:
            self._reading = group.create_task(self._read(prompt), name="turn: read the language model")
            group.create_task(self._speaker.keep_company(self._read_all), name="turn: say that it takes long")
            await self._begun.wait()
            to_its_end = await self._speaker.say_words() if self._words else True
        return to_its_end and not self._reading.cancelled()

    async def _read(self, prompt: Prompt) -> None:
        try:
            async with aclosing(self._planner.converse(prompt, self._context)) as events:
                async for event in events:
                    if isinstance(event, ReplyWords):
                        self.complete = event.last
                        self._add(event.text, last=event.last, cut=event.cut)
                    else:
                        self._steps.append(event)
            if not (self.complete or self._steps):
                raise ServiceError("UNAVAILABLE", "the language model broke off", service="mind")  # noqa: TRY301 - reported below, like any failure
            if self._steps and all(step.executor == CLIENT for step in self._steps):
                steps = tuple(self._steps)  # at once, so that the client need not wait until the words have been played
                self._speaker.hand_over(steps, (*prompt.rounds, Round(self._words, steps, ())))
        except ServiceError as broken:
            if self._words or prompt.rounds:
                self._fail(broken)
            else:
                self.complete, self._steps, self.unanswered = True, [], broken
        finally:
            self._speaker.no_more_words()
            self._begun.set()
            self._read_all.set()

    def _add(self, words: str, *, last: bool, cut: bool = False) -> None:
        self._words += words
        self._speaker.add_words(words, last=last, cut=cut)
        if self._words:
            self._begun.set()

    def _fail(self, broken: ServiceError) -> None:
        self._speaker.trouble(broken)
        self.complete, self._steps = True, []
        self._add(apology(broken), last=True)

    async def _give_up(self, broken: ServiceError) -> None:
        self._words = ""
        self._fail(broken)
        self._speaker.no_more_words()
        await self._speaker.say_words()
