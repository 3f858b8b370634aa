"""Risky actions that wait for their user. Kept in `State`, so any replica can settle them from a socket or a REST call.

There are two kinds. A live session's lane waits for the decision and then continues. A deferred question belongs to a REST
call that was answered 409; whoever approves it runs the action.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from server.roles import may_execute
from server.shared.in_process_state import QUESTIONS
from server.shared.redis_errors import RedisDownError, RedisRefusedError
from server.shared.session_records import PATIENCE_S, REWRITTEN_WITHIN_S
from server.telemetry.audit import AuditLog
from streaming.agent.actions import hash_of
from streaming.agent.questions import explanation, sentence_for
from streaming.flag import Flag
from streaming.ports import PHONE_USERS, Action, CallContext, Confirmation, ServiceError
from streaming.rfc3339 import rfc3339
from streaming.task_group import to_its_end

if TYPE_CHECKING:
    from server.shared.state import State
    from server.shared.store_epoch import StoreEpoch
    from server.telemetry.audit import ConfirmationState, Via
    from streaming.ports import Verdict

CONFIRMATION_S = 120  # how long a user can be expected to remember the request
TAKEN_LATE_S = 60  # an expired question is kept this much longer, so that one replica can record the expiry
LOOK_AGAIN_S = 2.0  # news of a decision can get lost with a Redis connection; the record cannot
LOOK_FOR_REWRITTEN_S = 0.1  # between two looks for a question that its replica has to write again
HEARD_WITHIN_S = 3.0  # a lane that still waits takes the decision within this time, even if the news was lost
NEWS = "confirmation"
HEARD = "confirmation.heard"


@dataclass(frozen=True, slots=True)
class Question:
    """An action that waits for approval. `deferred`: no lane waits; the approver runs it."""

    user_id: str
    action: Action
    action_hash: str
    risk: str
    session_id: str
    timeout_ms: int | None
    deferred: bool
    expires_at: float  # Unix time


class ConfirmationStore:
    """Implements `streaming.ports.Confirmations`, and deferred questions for REST. The end of every question is audited."""

    def __init__(
        self,
        state: State,
        life_s: float = CONFIRMATION_S,
        audit: AuditLog | None = None,
        *,
        destructive_by_voice: bool = False,
        epoch: StoreEpoch | None = None,
    ) -> None:
        """`epoch` knows whether Redis has just lost its data."""
        self._state = state
        self._epoch = epoch
        self._destructive_by_voice = destructive_by_voice
        self._audit = audit or AuditLog()
        self._deferred: asyncio.Queue[tuple[str, float]] = asyncio.Queue()  # id, and expiry on the loop's clock
        self._life_s = life_s
        self._waiting: dict[str, asyncio.Future[None]] = {}  # a lane of this process waits for each, by id
        self._here: dict[str, Question] = {}  # asked by this process; they can be settled even if the state lost them
        # decisions for lanes of this process, which reach them whatever happens to the state
        self._decided_here: dict[str, bool] = {}
        self._anew = Flag()
        self._approving: dict[str, asyncio.Future[None]] = {}  # approvers, waiting to hear that the lane took it
        state.subscribe(self._on_news)

    # --- asking ---

    async def create(
        self, action: Action, verdict: Verdict, context: CallContext, description: str = ""
    ) -> Confirmation:
        """Ask on behalf of a lane, which then waits for `decision`. `description`: the plan's words for the action."""
        asked = await self._ask(action, verdict, context, None, deferred=False)
        sentence = sentence_for(action, description, by_voice=asked.by_voice)
        asked = replace(asked, sentence=sentence, explanation=explanation(action, verdict, sentence))
        self._await_news(asked.confirmation_id)
        return asked

    async def defer(
        self, action: Action, verdict: Verdict, context: CallContext, timeout_ms: int | None
    ) -> Confirmation:
        """Ask on behalf of a REST caller, who has left with the question's id."""
        asked = await self._ask(action, verdict, context, timeout_ms, deferred=True)
        self._deferred.put_nowait((asked.confirmation_id, asyncio.get_running_loop().time() + self._life_s))
        return asked

    async def _ask(
        self, action: Action, verdict: Verdict, context: CallContext, timeout_ms: int | None, *, deferred: bool
    ) -> Confirmation:
        confirmation_id = secrets.token_urlsafe(16)
        expires_at = time.time() + self._life_s
        question = Question(
            context.user_id,
            action,
            hash_of(action),
            verdict.risk,
            context.session_id,
            timeout_ms,
            deferred,
            expires_at,
        )
        await self._record(confirmation_id, question)
        if not deferred:
            self._here[confirmation_id] = question
        self._audited("asked", confirmation_id, question, context)
        return Confirmation(confirmation_id, rfc3339(expires_at), question.action_hash, self._by_voice(question))

    async def _record(self, confirmation_id: str, question: Question) -> None:
        left_s = question.expires_at - time.time() + TAKEN_LATE_S
        await self._state.put(_key(confirmation_id), json.dumps(asdict(question)), left_s, owner=question.user_id)

    def answerable(self, verdict: Verdict, context: CallContext) -> bool:
        """False for what a caller can approve by no click and by no typed text."""
        return self._destructive_by_voice or verdict.risk != "high" or not context.user_id.startswith(PHONE_USERS)

    def _by_voice(self, question: Question) -> bool:
        """Whether a spoken yes is enough. Speech can be misheard or come from somebody else, so high risk needs a click or typed text."""
        return self._destructive_by_voice or question.risk != "high"

    def asked_ms_ago(self, question: Question) -> int:
        """When its user was asked; at least 1, also if another replica's clock is ahead."""
        return max(1, int((time.time() - question.expires_at + self._life_s) * 1000))

    # --- waiting ---

    async def decision(self, confirmation_id: str) -> bool | None:
        """Wait for the answer; None if it expired. Cancelling the wait withdraws the question."""
        news = self._await_news(confirmation_id)
        try:
            try:
                async with asyncio.timeout(self._life_s):
                    await self._answered(confirmation_id, news)
            except TimeoutError:
                if await self._close(confirmation_id, "expired"):
                    return None
                await asyncio.wait({news}, timeout=LOOK_AGAIN_S)  # somebody answered just in time
            return await self._heard(confirmation_id)
        finally:
            self._waiting.pop(confirmation_id, None)
            self._here.pop(confirmation_id, None)
            if self._decided_here.get(confirmation_id) is False:
                del self._decided_here[confirmation_id]  # leave an unheard approval for its approver to find
            await self._close(confirmation_id, "withdrawn")

    async def _close(self, confirmation_id: str, as_what: ConfirmationState) -> bool:
        """Close the question for answers. False if it was already answered or closed."""
        recorded = await self._state.take(_key(confirmation_id), closes=True)
        if recorded is None:
            return False
        question = _question(recorded)
        self._audited(as_what, confirmation_id, question, CallContext(question.user_id, session_id=question.session_id))
        return True

    async def expire(self) -> None:
        """A loop that closes this process's deferred questions when they expire."""
        loop = asyncio.get_running_loop()
        while True:
            confirmation_id, at = await self._deferred.get()
            await asyncio.sleep(at - loop.time())  # all live equally long: the first queued expires first
            await self._close(confirmation_id, "expired")

    def write_anew(self) -> None:
        """Redis may have lost the questions. `keep` writes those whose lanes wait here, so that every replica can settle them again."""
        self._anew.set()

    async def keep(self) -> None:
        """A loop that writes questions anew when `write_anew` says so. A deferred one stays lost: it may have been approved elsewhere."""
        while True:
            await self._anew.wait()
            self._anew.clear()
            for confirmation_id, question in list(self._here.items()):
                if not await self._was_answered(confirmation_id):
                    await self._record(confirmation_id, question)
                if confirmation_id not in self._here:  # settled meanwhile
                    await self._state.forget(_key(confirmation_id))

    async def _heard(self, confirmation_id: str) -> bool | None:
        """Take the decision and tell its maker that it was received. None if it was withdrawn before."""
        decided = await self._take_decision(confirmation_id)
        if decided is not None:
            await self._state.publish(HEARD, id=confirmation_id)
        return decided

    async def _take_decision(self, confirmation_id: str) -> bool | None:
        """Take the decision. Only the first caller gets it: the lane, or an approver that the lane did not hear."""
        here = self._decided_here.pop(confirmation_id, None)
        if here is not None:
            return here
        recorded = await self._state.take(_decided(confirmation_id))
        return recorded == "yes" if recorded is not None else None

    def _await_news(self, confirmation_id: str) -> asyncio.Future[None]:
        news = self._waiting.get(confirmation_id)
        if news is None:
            loop = asyncio.get_running_loop()
            news = self._waiting[confirmation_id] = loop.create_future()
            loop.call_later(2 * self._life_s, self._forget, confirmation_id)
        return news

    def _forget(self, confirmation_id: str) -> None:
        """What is left of a question that was asked, but never waited for."""
        for held in (self._waiting, self._here, self._decided_here):
            held.pop(confirmation_id, None)

    async def _answered(self, confirmation_id: str, news: asyncio.Future[None]) -> None:
        while not (await asyncio.wait({news}, timeout=LOOK_AGAIN_S))[0]:
            if confirmation_id in self._decided_here or await self._state.get(_decided(confirmation_id)) is not None:
                return

    def _on_news(self, kind: str, news: dict[str, Any]) -> None:
        concerned = {NEWS: self._waiting, HEARD: self._approving}.get(kind)
        waiting = concerned.get(news["id"]) if concerned is not None else None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    # --- settling ---

    async def settle(
        self,
        confirmation_id: str,
        context: CallContext,
        *,
        approve: bool,
        action_hash: str | None = None,
        via: Literal["message", "voice"] = "message",
    ) -> bool:
        """Answer a lane's question. False if the user has no such open question, or may not approve it by voice.

        Deferred questions are approved with `take`. Raises ServiceError ACTION_CHANGED, FORBIDDEN, UNAVAILABLE: see `take`.
        """
        question = await self._open(confirmation_id, context.user_id)
        if question is None or (question.deferred and approve):
            return False
        if approve and via == "voice" and not self._by_voice(question):
            return False
        elsewhere = context.session_id != question.session_id
        way: Via = "other_socket" if elsewhere else via
        answered = await self.take(confirmation_id, context, approve=approve, action_hash=action_hash, via=way)
        return answered is not None

    async def take(
        self,
        confirmation_id: str,
        context: CallContext,
        *,
        approve: bool,
        action_hash: str | None = None,
        via: Via = "",
    ) -> Question | None:
        """Settle a question by REST or by a socket's `call`. Only the first caller gets it; None if the user has no such open question.

        Also None if a lane's question is approved but the lane is gone with its replica: nothing will run.
        Raises ServiceError ACTION_CHANGED if the approval names another action, FORBIDDEN if the approver may not run this one,
        UNAVAILABLE if Redis, which may have the question, is away; the question stays open.
        """
        question = await self._open(confirmation_id, context.user_id)
        if question is None:
            return None
        if approve and not _is_for(question, action_hash):
            raise ServiceError("ACTION_CHANGED", "the approval is for another action than the one that was asked about")
        executor = question.action.executor
        if approve and not may_execute(executor, context.roles):
            raise ServiceError("FORBIDDEN", f"your role may not use the {executor} executor")
        return await to_its_end(self._taken(confirmation_id, question, context, approve=approve, via=via))

    async def _taken(
        self, confirmation_id: str, question: Question, context: CallContext, *, approve: bool, via: Via
    ) -> Question | None:
        """The rest of `take`. Not cancelled halfway: no other answer would count, and the lane would wait for this one."""
        # Redis may have lost the record, and this process still has the question: so the answers compete for a key of their own.
        if not await self._state.put(_answered(confirmation_id), "1", self._life_s + TAKEN_LATE_S, only_new=True):
            return None
        taken = await self._state.take(_key(confirmation_id), closes=True) is not None
        if self._here.pop(confirmation_id, None) is None and not taken:
            return None
        way: Via = via or ("call" if context.session_id else "rest")
        self._audited("approved" if approve else "declined", confirmation_id, question, context, way)
        if question.deferred or await self._tell(confirmation_id, approve=approve):
            return question
        self._audited("withdrawn", confirmation_id, question, context)
        return None

    async def _tell(self, confirmation_id: str, *, approve: bool) -> bool:
        """Tell the lane that asked; False if it is gone. If in doubt, whoever takes the decision's record first settles which."""
        heard = self._approving[confirmation_id] = asyncio.get_running_loop().create_future()
        try:
            if confirmation_id in self._waiting:
                self._decided_here[confirmation_id] = approve
            else:
                await self._state.put(_decided(confirmation_id), "yes" if approve else "no", self._life_s)
            await self._state.publish(NEWS, id=confirmation_id)
            if not approve or (await asyncio.wait({heard}, timeout=HEARD_WITHIN_S))[0]:
                return True  # a declined action does not run, whether or not the lane hears of it
            return await self._take_decision(confirmation_id) is None
        finally:
            del self._approving[confirmation_id]

    async def _open(self, confirmation_id: str, user_id: str) -> Question | None:
        """The user's open question. Another user's question is treated as missing, and stays open."""
        recorded = await self._recorded(confirmation_id)
        if recorded is not None:
            question = _question(recorded)
        elif confirmation_id in self._here and await self._state.get(_decided(confirmation_id)) is None:
            question = self._here[confirmation_id]  # Redis lost it, but the lane still waits
        else:
            return None
        return question if question.user_id == user_id and question.expires_at > time.time() else None

    async def _recorded(self, confirmation_id: str) -> str | None:
        """The question's record. If Redis has just lost it, wait for the replica that asked to write it again.

        Raises ServiceError UNAVAILABLE if another replica may have asked it, and Redis is away.
        """
        key = _key(confirmation_id)
        recorded = await self._state.get(key)
        asked_here = confirmation_id in self._here or confirmation_id in self._waiting
        if recorded is not None or self._epoch is None or asked_here or await self._was_answered(confirmation_id):
            return recorded
        try:
            # Redis may be away, and the question is nowhere else. This also learns of a loss since the last beat, and brings it to
            # the other replicas.
            await self._epoch.beat_within(PATIENCE_S)
        except (RedisDownError, RedisRefusedError):
            raise ServiceError("UNAVAILABLE", "the question cannot be looked up just now: answer it again") from None
        clock = asyncio.get_running_loop().time
        recorded = await self._state.get(key)
        while recorded is None and clock() - self._epoch.news_at < REWRITTEN_WITHIN_S:
            if await self._was_answered(confirmation_id):
                return None
            await asyncio.sleep(LOOK_FOR_REWRITTEN_S)
            recorded = await self._state.get(key)
        return recorded

    async def _was_answered(self, confirmation_id: str) -> bool:
        return await self._state.get(_answered(confirmation_id)) is not None

    def _audited(
        self, decision: ConfirmationState, confirmation_id: str, question: Question, who: CallContext, via: Via = ""
    ) -> None:
        self._audit.decision(
            decision, confirmation_id, question.action, who, risk=question.risk, asked_in=question.session_id, via=via
        )


def _is_for(question: Question, action_hash: str | None) -> bool:
    """True if an approval with this hash is for the question's action. A question whose record was changed cannot be approved."""
    return question.action_hash == hash_of(question.action) and action_hash in {None, question.action_hash}


def _question(recorded: str) -> Question:
    fields = json.loads(recorded)
    return Question(**{**fields, "action": Action(**fields["action"])})


def _key(confirmation_id: str) -> str:
    return f"{QUESTIONS}{confirmation_id}"


def _answered(confirmation_id: str) -> str:
    return f"answered:{confirmation_id}"


def _decided(confirmation_id: str) -> str:
    return f"decided:{confirmation_id}"
