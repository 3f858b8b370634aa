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
from typing import TYPE_CHECKING, Any, Literal

from server.audit import AuditLog
from streaming.ports import Action, CallContext, Confirmation

if TYPE_CHECKING:
    from server.audit import Decision, Via
    from server.state import State
    from streaming.ports import Verdict

CONFIRMATION_S = 120  # as long as somebody can be expected to remember what they asked for
TAKEN_LATE_S = 60  # a question that expired is kept for so much longer, for one replica to write down that it did
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
    """Implements `streaming.ports.Confirmations`, and the deferred kind for REST. Every question's end is audited."""

    def __init__(self, state: State, life_s: float = CONFIRMATION_S, audit: AuditLog | None = None) -> None:
        self._state = state
        self._audit = audit or AuditLog()
        self._deferred: asyncio.Queue[tuple[str, float]] = (
            asyncio.Queue()
        )  # ids, and when they expire on the loop's clock
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
        asked = await self._ask(action, verdict, context, timeout_ms, deferred=True)
        self._deferred.put_nowait((asked.confirmation_id, asyncio.get_running_loop().time() + self._life_s))
        return asked

    async def _ask(
        self, action: Action, verdict: Verdict, context: CallContext, timeout_ms: int | None, *, deferred: bool
    ) -> Confirmation:
        confirmation_id = secrets.token_urlsafe(16)
        expires_at = time.time() + self._life_s
        question = Question(context.user_id, action, verdict.risk, context.session_id, timeout_ms, deferred, expires_at)
        await self._state.put(_key(confirmation_id), json.dumps(asdict(question)), self._life_s + TAKEN_LATE_S)
        self._audited("asked", confirmation_id, question, context)
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
            if await self._close(confirmation_id, "expired"):
                return None
            await asyncio.wait({news}, timeout=LOOK_AGAIN_S)  # somebody was just in time
            return news.result() if news.done() else await self._recorded(confirmation_id)
        finally:
            self._waiting.pop(confirmation_id, None)
            await self._close(confirmation_id, "withdrawn")

    async def _close(self, confirmation_id: str, as_what: Decision) -> bool:
        """Nobody may answer any more; False when it was answered, or closed, before."""
        recorded = await self._state.take(_key(confirmation_id))
        if recorded is None:
            return False
        question = _question(recorded)
        self._audited(as_what, confirmation_id, question, CallContext(question.user_id, session_id=question.session_id))
        return True

    async def expire(self) -> None:
        """A loop: deferred questions of this process that nobody has answered in time are closed."""
        loop = asyncio.get_running_loop()
        while True:
            confirmation_id, at = await self._deferred.get()
            await asyncio.sleep(at - loop.time())  # all live equally long: the first is the first to expire
            await self._close(confirmation_id, "expired")

    async def _recorded(self, confirmation_id: str) -> bool | None:
        """The decision, where one was made."""
        recorded = await self._state.get(_decided(confirmation_id))
        return None if recorded is None else recorded == "yes"

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
            recorded = await self._recorded(confirmation_id)
            if recorded is not None:
                return recorded

    def _on_news(self, kind: str, news: dict[str, Any]) -> None:
        if kind != NEWS:
            return
        waiting = self._waiting.get(news["id"])
        if waiting is not None and not waiting.done():
            waiting.set_result(bool(news["approve"]))

    # --- settling ---

    async def settle(
        self, confirmation_id: str, context: CallContext, *, approve: bool, via: Literal["message", "voice"] = "message"
    ) -> bool:
        """Answer a lane's question; False when the user has no such open one. Approving a deferred one is `take`'s."""
        question = await self._open(confirmation_id, context.user_id)
        if question is None or (question.deferred and approve):
            return False
        elsewhere = context.session_id != question.session_id
        way: Via = "other_socket" if elsewhere else via
        return await self.take(confirmation_id, context, approve=approve, via=way) is not None

    async def take(
        self, confirmation_id: str, context: CallContext, *, approve: bool, via: Via = ""
    ) -> Question | None:
        """Settle once, for whoever is first; None when the user has no such open question. By REST, or a socket's `call`."""
        question = await self._open(confirmation_id, context.user_id)
        if question is None or await self._state.take(_key(confirmation_id)) is None:
            return None
        way: Via = via or ("call" if context.session_id else "rest")
        self._audited("approved" if approve else "declined", confirmation_id, question, context, way)
        if not question.deferred:
            await self._state.put(_decided(confirmation_id), "yes" if approve else "no", self._life_s)
            await self._state.publish(NEWS, id=confirmation_id, approve=approve)
        return question

    async def _open(self, confirmation_id: str, user_id: str) -> Question | None:
        """Another user's question is as if it did not exist, and stays open for its own."""
        recorded = await self._state.get(_key(confirmation_id))
        if recorded is None:
            return None
        question = _question(recorded)
        return question if question.user_id == user_id and question.expires_at > time.time() else None

    def _audited(
        self, decision: Decision, confirmation_id: str, question: Question, who: CallContext, via: Via = ""
    ) -> None:
        self._audit.decision(
            decision, confirmation_id, question.action, who, risk=question.risk, asked_in=question.session_id, via=via
        )


def _question(recorded: str) -> Question:
    fields = json.loads(recorded)
    return Question(**{**fields, "action": Action(**fields["action"])})


def _key(confirmation_id: str) -> str:
    return f"confirmation:{confirmation_id}"


def _decided(confirmation_id: str) -> str:
    return f"decided:{confirmation_id}"
