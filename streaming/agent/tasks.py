"""Running one action with an executor (or memory): permission, safety verdict, confirmation, progress, outcome."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from streaming.agent.questions import question_about, with_other_ways
from streaming.domain import TaskEnded, TaskNeedsConfirmation, TaskProgressed, TaskStarted
from streaming.ports import Outcome, ServiceError, StoreItem, TaskProgress, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.agent.asking import Asker
    from streaming.domain import LaneEvent
    from streaming.outlet import LaneSetup
    from streaming.ports import Action, CallContext

FAILED_STATUS = {"DEADLINE_EXCEEDED": "timeout", "CANCELLED": "cancelled", "PERMISSION_DENIED": "denied"}
MEMORY_SEARCH_LIMIT = 5  # as many as anybody wants to hear


class TaskRun:
    """One action's way to its outcome, told to the client step by step."""

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
    ) -> None:
        self._setup = setup
        self._tell = tell
        self._action = action
        self._step_id = step_id
        self._turn_id = turn_id
        self._description = description  # the plan's words for it
        self._asker = asker  # None: the client alone puts the question
        self.task_id = uuid.uuid4().hex
        self.started = False  # something may have happened

    @property
    def _context(self) -> CallContext:
        return self._setup.context

    async def run(self, verdict: Verdict) -> Outcome:
        """Go as far as permission, verdict and user allow. Raises ServiceError only when confirming breaks."""
        outcome = await self._judged(verdict)
        message = outcome.message or None
        self._tell(TaskEnded(outcome.status, dict(outcome.result), message, self._step_id, self._turn_id))
        return outcome

    async def _judged(self, verdict: Verdict) -> Outcome:
        if not self._setup.provided.permissions.may_execute(self._action.executor, self._context.roles):
            return self._outcome("denied", message=f"your role may not use the {self._action.executor} executor")
        if verdict.verdict == "deny":
            return self._outcome("denied", message="; ".join(verdict.reasons))
        if verdict.verdict != "allow" and not await self._confirmed(verdict):
            return self._outcome("declined", message="it was not approved")
        self._tell(TaskStarted(self.task_id, self._step_id, self._turn_id))
        if not await self._setup.outlet.recorded():
            raise ServiceError("ABORTED", "the session has moved to another replica")
        self.started = True
        try:
            return await self._executed()
        except ServiceError as broken:
            return self._outcome(FAILED_STATUS.get(broken.code, "failed"), message=broken.message)

    def _outcome(self, status: str, result: dict[str, Any] | None = None, message: str = "") -> Outcome:
        return Outcome(self._step_id or self._action.id, status, result or {}, message)

    async def _confirmed(self, verdict: Verdict) -> bool:
        confirmations = self._setup.provided.confirmations
        sentence = question_about(self._action, self._description)
        question = await confirmations.create(self._action, verdict, self._context)
        if not question.by_voice:
            sentence = with_other_ways(sentence)
        self._tell(
            TaskNeedsConfirmation(
                question.confirmation_id,
                "; ".join(verdict.reasons),
                verdict.risk,
                question.expires_at,
                self._action.executor,
                self._action.action,
                dict(self._action.parameters),
                sentence,
                self._step_id,
                self._turn_id,
            )
        )
        decision = confirmations.decision(question.confirmation_id)
        if self._asker is None:
            return bool(await decision)
        return bool(await self._asker.ask(question.confirmation_id, sentence, decision))

    async def _executed(self) -> Outcome:
        if self._action.executor == "memory":
            return self._outcome("ok", await self._remembered())
        executor = self._setup.provided.services.executor(self._action.executor)
        if executor is None:
            return self._outcome("failed", message=f"there is no executor {self._action.executor}")
        events = executor.execute(self.task_id, self._action.action, self._action.parameters, self._context)
        async with aclosing(events) as stream:
            async for event in stream:
                if isinstance(event, TaskProgress):
                    self._tell_progress(event)
                else:
                    return self._outcome(event.status, event.result, event.message)
        return self._outcome("failed", message="the executor ended without a result")

    def _tell_progress(self, event: TaskProgress) -> None:
        if not event.data and self._setup.provided.sheds_progress():
            return
        self._tell(
            TaskProgressed(
                event.message, event.percent, event.stream or None, event.data or None, self._step_id, self._turn_id
            )
        )

    async def _remembered(self) -> dict[str, Any]:
        """The planner's memory steps: store, retrieve, search, delete."""
        memory, given, context = self._setup.provided.services.memory, self._action.parameters, self._context
        match self._action.action:
            case "store":
                item = StoreItem(
                    given.get("value"), given.get("key", ""), tuple(given.get("tags", ())), given.get("metadata", {})
                )
                key, created_at = await memory.store(item, context)
                return {"key": key, "created_at": created_at}
            case "retrieve":
                return asdict(await memory.retrieve(given.get("key", ""), context))
            case "search":
                limit = int(given.get("limit", MEMORY_SEARCH_LIMIT))
                hits = await memory.search(given.get("query", ""), limit, tuple(given.get("tags", ())), context)
                return {"results": [{**asdict(hit.item), "score": hit.score} for hit in hits]}
            case "delete":
                await memory.delete(given.get("key", ""), context)
                return {}
        raise ServiceError("NOT_FOUND", f"memory has no action {self._action.action}", service="memory")
