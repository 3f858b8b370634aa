"""Runs one action by its executor: permission, safety verdict, confirmation, progress, outcome."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from streaming.agent.actions import carry_out, hash_of, refusal
from streaming.domain import TaskEnded, TaskNeedsConfirmation, TaskProgressed, TaskStarted
from streaming.ports import Outcome, ServiceError, TaskProgress, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streaming.agent.asking import Asker
    from streaming.domain import LaneEvent
    from streaming.outlet import LaneSetup
    from streaming.ports import Action, CallContext, Confirmation

FAILED_STATUS = {
    "DEADLINE_EXCEEDED": "timeout",
    "CANCELLED": "cancelled",
    "PERMISSION_DENIED": "denied",
    "SAFETY_DENIED": "denied",
    "NOT_APPROVED": "declined",
}
UNANSWERED = "nobody answered in time"


class TaskRun:
    """Runs one action and tells the client about each stage."""

    def __init__(
        self,
        setup: LaneSetup,
        tell: Callable[[LaneEvent], None],
        action: Action,
        *,
        step_id: str | None = None,
        turn_id: str | None = None,
        description: str = "",
        asker: Asker | None = None,
        counted_as: str = "",
    ) -> None:
        """`counted_as`: its name for the user's limit, if it may go on at another replica."""
        self._setup = setup
        self._tell = tell
        self._action = action
        self._step_id = step_id
        self._turn_id = turn_id
        self._description = description  # the plan's description
        self._asker = asker  # None: only the client asks the question
        self._counted_as = counted_as
        self.task_id = uuid.uuid4().hex
        self.started = False  # True: the task may have had effects
        self._question: Confirmation | None = None
        self._asked_at = 0.0  # on the loop's clock
        self._unanswered = False  # True: the question expired

    @property
    def _context(self) -> CallContext:
        return self._setup.context

    async def run(self, judge: Callable[[], Awaitable[Verdict]]) -> Outcome:
        """Run the action if permission, quota, verdict and user allow it. `judge` asks for the verdict, only once the others do.

        Raises what `judge` raises, ServiceError if confirming fails, and RATE_LIMITED if the task is no step of a turn.
        """
        outcome = await self._judged(judge)
        message = outcome.message or None
        self._tell(TaskEnded(outcome.status, dict(outcome.result), message, self._step_id, self._turn_id))
        return outcome

    async def _judged(self, judge: Callable[[], Awaitable[Verdict]]) -> Outcome:
        if not self._permitted():
            return self._forbidden()
        quota = self._setup.provided.quota
        if quota is not None:
            try:
                await quota.take(self._action, self._context, self._counted_as)
            except ServiceError as exhausted:
                if self._turn_id is None:
                    raise
                return self._failed(exhausted)
        verdict = await judge()
        if verdict.verdict == "confirm" and not self._setup.provided.confirmations.answerable(verdict, self._context):
            return self._outcome("denied", message="it cannot be approved by telephone")
        refused = await refusal(verdict, partial(self._confirmed, verdict))
        if refused is not None:
            return self._outcome("declined", message=UNANSWERED) if self._unanswered else self._failed(refused)
        if not self._permitted():  # the user has got another token during the question
            return self._forbidden()
        self._tell(TaskStarted(self.task_id, self._step_id, self._turn_id))
        if not await self._setup.outlet.recorded():
            raise ServiceError("ABORTED", "the session has moved to another replica")
        if not self._permitted():
            return self._forbidden()
        self.started = True
        services = self._setup.provided.services
        try:
            done = await carry_out(services, self.task_id, self._action, self._as_asked(), self._tell_progress)
        except ServiceError as broken:
            self._note_end(done=False)
            return self._failed(broken)
        self._note_end(done=done.status == "ok")
        return self._outcome(done.status, done.result, done.message)

    def _as_asked(self) -> CallContext:
        if self._question is None:
            return self._context
        waited_s = asyncio.get_running_loop().time() - self._asked_at
        return replace(self._context, asked_ms_ago=max(1, int(waited_s * 1000)))

    def _permitted(self) -> bool:
        return self._setup.provided.permissions.may_execute(self._action.executor, self._context.roles)

    def _forbidden(self) -> Outcome:
        return self._outcome("denied", message=f"your role may not use the {self._action.executor} executor")

    def _note_end(self, *, done: bool) -> None:
        if self._question is not None:
            self._setup.questions.ended(self._question, done=done)

    def _failed(self, broken: ServiceError) -> Outcome:
        return self._outcome(FAILED_STATUS.get(broken.code, "failed"), message=broken.message)

    def _outcome(self, status: str, result: dict[str, Any] | None = None, message: str = "") -> Outcome:
        return Outcome(self._step_id or self._action.id, status, result or {}, message)

    async def _confirmed(self, verdict: Verdict) -> bool:
        confirmations = self._setup.provided.confirmations
        self._asked_at = asyncio.get_running_loop().time()
        question = self._question = await confirmations.create(self._action, verdict, self._context, self._description)
        self._tell(
            TaskNeedsConfirmation(
                question.confirmation_id,
                "; ".join(verdict.reasons),
                verdict.risk,
                question.expires_at,
                self._action.executor,
                self._action.action,
                dict(self._action.parameters),
                question.action_hash,
                question.sentence,
                self._step_id,
                self._turn_id,
            )
        )
        decision = confirmations.decision(question.confirmation_id)
        try:
            if self._asker is None:
                self._setup.questions.show(question)
                approved = await decision
            else:
                approved = await self._asker.ask(question, question.sentence, decision)
        finally:
            self._setup.questions.over(question)
        self._unanswered = approved is None
        return bool(approved) and hash_of(self._action) == question.action_hash

    def _tell_progress(self, event: TaskProgress) -> None:
        if not event.data and self._setup.provided.sheds_progress():
            return
        self._tell(
            TaskProgressed(
                event.message, event.percent, event.stream or None, event.data or None, self._step_id, self._turn_id
            )
        )
