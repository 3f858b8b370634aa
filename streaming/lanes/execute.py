"""`execute`: one task of an executor, with live progress. A command that came before is answered with what it came to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streaming.agent.tasks import TaskRun
from streaming.domain import TaskEnded
from streaming.lanes.base import Lane
from streaming.outlet import LaneError, LaneSetup
from streaming.ports import RunKey

if TYPE_CHECKING:
    from streaming.ports import Action, Outcome

_CODES = {
    "denied": "SAFETY_DENIED",
    "declined": "NOT_APPROVED",
    "timeout": "DEADLINE_EXCEEDED",
    "cancelled": "CANCELLED",
}


class ExecuteLane(Lane):
    """Asks safety, then the user where safety says so, then the executor. `command_id` empty: it can't come again."""

    def __init__(self, setup: LaneSetup, action: Action, timeout_ms: int | None, command_id: str = "") -> None:
        super().__init__(setup)
        self._action = action
        self._setup = replace(setup, context=replace(setup.context, timeout_ms=timeout_ms))
        request = {"executor": action.executor, "action": action.action, "parameters": action.parameters}
        who = setup.context
        self._once = self._provided.once if command_id else None
        self._key = RunKey(who.user_id, who.session_id, command_id, "execute", request | {"timeout_ms": timeout_ms})

    async def run(self) -> None:
        """Ends ok when the task ran, whatever came of it; raises LaneError when it did not get that far."""
        kept = await self._once.claim(self._key) if self._once is not None else None
        status, message = await self._work() if kept is None else self._tell_again(kept)
        if status in _CODES:
            raise LaneError(_CODES[status], message or status)

    async def _work(self) -> tuple[str, str]:
        run = TaskRun(self._setup, self._outlet.tell, self._action)
        answer: dict[str, Any] | None = None
        try:
            outcome = await self._judged(run)
            answer = {"status": outcome.status, "result": outcome.result, "message": outcome.message}
        except BaseException as error:
            if run.started:  # it may have run in part: never again
                status = "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
                answer = {"status": status, "result": {}, "message": "it was stopped, and may have run in part"}
            raise
        finally:
            if self._once is not None:
                await (self._once.release(self._key) if answer is None else self._once.keep(self._key, answer))
        return outcome.status, outcome.message

    async def _judged(self, run: TaskRun) -> Outcome:
        verdict = await self._services.safety.check([self._action], self._context)
        return await run.run(verdict)

    def _tell_again(self, kept: dict[str, Any]) -> tuple[str, str]:
        if "status" not in kept:
            raise LaneError("ALREADY_ANSWERED", "it ran; the result is not kept any more")
        status, message = kept["status"], kept["message"]
        self._outlet.tell(TaskEnded(status, kept["result"], message or None))
        return status, message
