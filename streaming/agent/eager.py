"""What is understood before the user has certainly finished: intent and plan, asked for early, without any effect.

Nobody but the lane knows of it: a guess that was wrong is withdrawn, one that failed is forgotten, and the turn asks itself.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from streaming.ports import ConversationTurn, ServiceError

if TYPE_CHECKING:
    import asyncio

    from streaming.outlet import LaneSetup
    from streaming.ports import Intent, Plan

CONTEXT_TURNS = 10  # of the conversation, shown to the planner: enough for "open the first one"
_PUNCTUATION = ".,;:!?…\"'“”‘’()¿¡"


def spoken(text: str) -> tuple[str, ...]:
    """The words that were said: recognisers add capitals and punctuation when they are sure."""
    words = (word.strip(_PUNCTUATION).casefold() for word in text.split())
    return tuple(word for word in words if word)


class Guess:
    """Intent, and plan where it is wanted, of words that are probably all. Begins at once, in tasks of `group`.

    `with_plan` False: an earlier turn is still under way, and the plan has to know how it ended.
    """

    def __init__(
        self, setup: LaneSetup, text: str, language: str, group: asyncio.TaskGroup, *, with_plan: bool = True
    ) -> None:
        self.made_at = setup.clock()
        self._services = setup.provided.services
        self._text = text
        self._language = language
        span = setup.provided.tracer.span("eager end of turn", setup.context.traceparent)
        self._context = replace(setup.context, request_id=uuid.uuid4().hex, traceparent=span.traceparent)
        self._intent = group.create_task(self._ask_intent(), name="turn: eager intent")
        self._plan = group.create_task(self._ask_plan(), name="turn: eager plan") if with_plan else None
        (self._plan or self._intent).add_done_callback(lambda _task: span.end())

    def fits(self, text: str) -> bool:
        """Was it made for what was said in the end?"""
        return spoken(text) == spoken(self._text)

    async def intent(self) -> Intent | None:
        """None when it failed."""
        return await self._intent

    async def plan(self) -> Plan | None:
        """None when it failed, or was not asked for."""
        return await self._plan if self._plan is not None else None

    def withdraw(self) -> None:
        """Stop whatever still goes on; nothing happens when all is done."""
        self._intent.cancel()
        if self._plan is not None:
            self._plan.cancel()

    async def _ask_intent(self) -> Intent | None:
        try:
            return await self._services.intent.recognize(self._text, self._language, self._context)
        except ServiceError:
            return None

    async def _ask_plan(self) -> Plan | None:
        try:
            turns = await self._services.memory.conversation(self._context.session_id, CONTEXT_TURNS, self._context)
        except ServiceError:
            turns = ()
        intent = await self._intent
        if intent is None:
            return None
        history = [*turns, ConversationTurn("user", self._text)][-CONTEXT_TURNS:]  # as the turn will have stored them
        try:
            return await self._services.planner.plan(self._text, intent, history, self._context)
        except ServiceError:
            return None
