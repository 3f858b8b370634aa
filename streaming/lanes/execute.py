"""`execute`: one task of an executor, with live progress."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streaming.lanes.base import Lane, LaneError, LaneFrame
from streaming.tasks import TaskRun

if TYPE_CHECKING:
    from streaming.ports import Action

_CODES = {
    "denied": "SAFETY_DENIED",
    "declined": "NOT_APPROVED",
    "timeout": "DEADLINE_EXCEEDED",
    "cancelled": "CANCELLED",
}


class ExecuteLane(Lane):
    """Asks safety, then the user where safety says so, then the executor."""

    def __init__(self, frame: LaneFrame, action: Action, timeout_ms: int | None) -> None:
        super().__init__(frame)
        self._action = action
        self._frame = replace(frame, context=replace(frame.context, timeout_ms=timeout_ms))

    async def run(self) -> None:
        """Ends ok when the task ran, whatever came of it; raises LaneError when it did not get that far."""
        verdict = await self._services.safety.check([self._action], self._context)
        outcome = await TaskRun(self._frame, self._action).run(verdict)
        if outcome.status in _CODES:
            raise LaneError(_CODES[outcome.status], outcome.message or outcome.status)
