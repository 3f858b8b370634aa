"""`execute`: one task of an executor, with live progress. A repeated command is answered with the first one's result."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from streaming.agent.tasks import TaskRun
from streaming.domain import TaskEnded
from streaming.lanes.base import Lane
from streaming.ports import RunKey, ServiceError, run_once

if TYPE_CHECKING:
    from streaming.outlet import LaneSetup
    from streaming.ports import Action

_CODES = {
    "denied": "SAFETY_DENIED",
    "declined": "NOT_APPROVED",
    "timeout": "DEADLINE_EXCEEDED",
    "cancelled": "CANCELLED",
}


class ExecuteLane(Lane):
    """Checks safety, asks the user if required, and runs the task. Empty `command_id`: the command cannot be repeated."""

    def __init__(self, setup: LaneSetup, action: Action, timeout_ms: int | None, command_id: str = "") -> None:
        super().__init__(setup)
        self._action = action
        self._setup = replace(setup, context=replace(setup.context, timeout_ms=timeout_ms))
        request = {"executor": action.executor, "action": action.action, "parameters": action.parameters}
        who = setup.context
        self._once = self._provided.once if command_id else None
        self._key = RunKey(who.user_id, who.session_id, command_id, "execute", request | {"timeout_ms": timeout_ms})

    async def run(self) -> None:
        """Ends ok if the task ran, whatever its result. Raises ServiceError if it never started."""
        task = TaskRun(self._setup, self._outlet.tell, self._action)
        work = partial(self._work, task)
        if self._once is None:
            answer = await work()
        else:
            key = replace(self._key, roles=tuple(self._context.roles))
            quota = self._provided.quota
            refusal = quota.refusal(self._action, self._context) if quota is not None else None
            answer, again = await run_once(self._once, key, work, partial(_answer_after, task), refusal)
            if again:
                self._tell_again(answer)
        if answer["status"] in _CODES:
            raise ServiceError(_CODES[answer["status"]], answer["message"] or answer["status"])

    async def _work(self, task: TaskRun) -> dict[str, Any]:
        outcome = await task.run(lambda: self._services.safety.check([self._action], self._context))
        return {"status": outcome.status, "result": outcome.result, "message": outcome.message}

    def _tell_again(self, kept: dict[str, Any]) -> None:
        if "status" not in kept:
            raise ServiceError("ALREADY_ANSWERED", "it ran, but its result is no longer kept")
        self._outlet.tell(TaskEnded(kept["status"], kept["result"], kept["message"] or None))


def _answer_after(task: TaskRun, error: BaseException) -> dict[str, Any] | None:
    """The result to keep. A task that has started may have run in part, so it must not run again."""
    if not task.started:
        return None
    status = "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
    return {"status": status, "result": {}, "message": "it was stopped, and may have run in part"}
