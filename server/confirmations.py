"""Risky actions waiting for their user. Kept in `State`, so that any replica's socket or REST call can settle them.

Two kinds: a question of a live session, whose lane waits for the decision and goes on; and a deferred one, left by a REST
call that was answered 409: whoever approves it runs it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from streaming.ports import Action, Confirmation

if TYPE_CHECKING:
    from server.state import State
    from streaming.ports import CallContext, Verdict

log = structlog.get_logger(__name__)

CONFIRMATION_S = 120  # as long as somebody can be expected to remember what they asked for
LOOK_AGAIN_S = 5.0  # news of a decision may be lost with a connection to Redis; its record is not
NEWS = "confirmation"


@dataclass(frozen=True, slots=True)
class Question:
    """What may be done once it is approved. `deferred`: nobody waits, the approver runs it."""

    user_id: str
    action: Action
    risk: str
    session_id: str
    timeout_ms: int | None
    deferred: bool
    expires_at: float  # Unix time


class ConfirmationStore:
    """Implements `streaming.ports.Confirmations`, and the deferred kind for REST."""

    def __init__(self, state: State, life_s: float = CONFIRMATION_S) -> None:
        self._state = state
        self._life_s = life_s
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        state.subscribe(self._on_news)

    # --- asking ---

    async def create(self, action: Action, verdict: Verdict, context: CallContext) -> Confirmation:
        """Ask for a lane that will wait for the `decision`."""
        asked = await self._ask(action, verdict, context, None, deferred=False)
        self._await_news(asked.confirmation_id)
        return asked

    async def defer(
        self, action: Action, verdict: Verdict, context: CallContext, timeout_ms: int | None
    ) -> Confirmation:
        """Ask for a caller who has gone away with the question's id."""
        return await self._ask(action, verdict, context, timeout_ms, deferred=True)

    async def _ask(
        self, action: Action, verdict: Verdict, context: CallContext, timeout_ms: int | None, *, deferred: bool
    ) -> Confirmation:
        confirmation_id = secrets.token_urlsafe(16)
        expires_at = time.time() + self._life_s
        question = Question(context.user_id, action, verdict.risk, context.session_id, timeout_ms, deferred, expires_at)
        await self._state.put(_key(confirmation_id), json.dumps(asdict(question)), self._life_s)
        log.info(
            "confirmation asked",
            id=confirmation_id,
            executor=action.executor,
            action=action.action,
            risk=verdict.risk,
            user=context.user_id,
        )
        moment = datetime.fromtimestamp(expires_at, UTC).isoformat(timespec="seconds")
        return Confirmation(confirmation_id, moment.replace("+00:00", "Z"))

    # --- waiting ---

    async def decision(self, confirmation_id: str) -> bool | None:
        """Wait for the answer; None when it expired. A wait that is given up withdraws the question."""
        news = self._await_news(confirmation_id)
        try:
            async with asyncio.timeout(self._life_s):
                return await self._answer(confirmation_id, news)
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(confirmation_id, None)
            await self._state.take(_key(confirmation_id))

    def _await_news(self, confirmation_id: str) -> asyncio.Future[bool]:
        news = self._waiting.get(confirmation_id)
        if news is None:
            loop = asyncio.get_running_loop()
            news = self._waiting[confirmation_id] = loop.create_future()
            loop.call_later(2 * self._life_s, self._waiting.pop, confirmation_id, None)  # asked, and never waited for
        return news

    async def _answer(self, confirmation_id: str, news: asyncio.Future[bool]) -> bool:
        while True:
            done, _ = await asyncio.wait({news}, timeout=LOOK_AGAIN_S)
            if done:
                return news.result()
            recorded = await self._state.get(_decided(confirmation_id))
            if recorded is not None:
                return recorded == "yes"

    def _on_news(self, kind: str, news: dict[str, Any]) -> None:
        if kind != NEWS:
            return
        waiting = self._waiting.get(news["id"])
        if waiting is not None and not waiting.done():
            waiting.set_result(bool(news["approve"]))

    # --- settling ---

    async def settle(self, confirmation_id: str, context: CallContext, *, approve: bool) -> bool:
        """Answer a lane's question; False when the user has no such open one. Approving a deferred one is `take`'s."""
        question = await self._open(confirmation_id, context.user_id)
        if question is None or (question.deferred and approve):
            return False
        return await self.take(confirmation_id, context, approve=approve) is not None

    async def take(self, confirmation_id: str, context: CallContext, *, approve: bool) -> Question | None:
        """Settle once, for whoever is first; None when the user has no such open question."""
        question = await self._open(confirmation_id, context.user_id)
        if question is None or await self._state.take(_key(confirmation_id)) is None:
            return None
        log.info(
            "confirmation settled",
            id=confirmation_id,
            executor=question.action.executor,
            action=question.action.action,
            user=context.user_id,
            approve=approve,
        )
        if not question.deferred:
            await self._state.put(_decided(confirmation_id), "yes" if approve else "no", self._life_s)
            await self._state.publish(NEWS, id=confirmation_id, approve=approve)
        return question

    async def _open(self, confirmation_id: str, user_id: str) -> Question | None:
        """Another user's question is as if it did not exist, and stays open for its own."""
        recorded = await self._state.get(_key(confirmation_id))
        if recorded is None:
            return None
        fields = json.loads(recorded)
        question = Question(**{**fields, "action": Action(**fields["action"])})
        return question if question.user_id == user_id and question.expires_at > time.time() else None


def _key(confirmation_id: str) -> str:
    return f"confirmation:{confirmation_id}"


def _decided(confirmation_id: str) -> str:
    return f"decided:{confirmation_id}"
