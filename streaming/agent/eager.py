"""Intent and plan requested early, before the user has certainly finished, without any effect.

Only the lane knows of a guess. A wrong one is withdrawn and a failed one is dropped; the turn then asks for itself.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from streaming.ports import ConversationTurn, ServiceError
from streaming.stored_turns import CONTEXT_TURNS

if TYPE_CHECKING:
    import asyncio

    from streaming.outlet import LaneSetup
    from streaming.ports import Intent, Plan

_PUNCTUATION = ".,;:!?…\"'“”‘’()¿¡"


def spoken(text: str) -> tuple[str, ...]:
    """The spoken words only: recognisers add capitals and punctuation later, and a dash to a word that was cut off."""
    words = (word.strip(_PUNCTUATION).casefold() for word in text.split())
    return tuple(word.rstrip("-–—") or word for word in words if word)


class EarlyPlan:
    """Intent, and if wanted the plan, of words that are probably complete. Starts at once, in tasks of `group`.

    `with_plan` is False while an earlier turn is under way, because the plan must know how it ended.
    """

    def __init__(
        self, setup: LaneSetup, text: str, language: str, group: asyncio.TaskGroup, *, with_plan: bool = True
    ) -> None:
        self.made_at = setup.clock()
        self._services = setup.provided.services
        self._stored = setup.stored
        self._text = text
        self._language = language
        span = setup.provided.tracer.span("eager end of turn", setup.context.traceparent)
        self._context = replace(setup.context, request_id=uuid.uuid4().hex, traceparent=span.traceparent)
        self._intent = group.create_task(self._ask_intent(), name="turn: eager intent")
        self._plan = group.create_task(self._ask_plan(), name="turn: eager plan") if with_plan else None
        (self._plan or self._intent).add_done_callback(lambda _task: span.end())

    def fits(self, text: str) -> bool:
        """True if it was made for the words finally spoken."""
        return spoken(text) == spoken(self._text)

    async def intent(self) -> Intent | None:
        """The intent; None if it failed."""
        return await self._intent

    async def plan(self) -> Plan | None:
        """The plan; None if it failed or was not requested."""
        return await self._plan if self._plan is not None else None

    def withdraw(self) -> None:
        """Stop what is still under way; does nothing if all is done."""
        self._intent.cancel()
        if self._plan is not None:
            self._plan.cancel()

    async def _ask_intent(self) -> Intent | None:
        try:
            return await self._services.intent.recognize(self._text, self._language, self._context)
        except ServiceError:
            return None

    async def _ask_plan(self) -> Plan | None:
        turns = await self._stored.newest(self._services.memory, self._context)
        intent = await self._intent
        if intent is None:
            return None
        history = [*turns, ConversationTurn("user", self._text)][-CONTEXT_TURNS:]  # as the turn will have stored them
        try:
            return await self._services.planner.plan(self._text, intent, history, self._context)
        except ServiceError:
            return None
