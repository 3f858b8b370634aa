"""Executors: one JSON answer, or progress as Server-Sent Events. A client that leaves cancels its task."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from handlers.effects import EffectHandler
from handlers.events import WaitingEvents, relayed, server_sent_event
from handlers.operation import OperationHandler
from server.operations import executor
from server.operations.operation import Streaming
from server.routes import operation_routes

if TYPE_CHECKING:
    from server.operations import Caller, Operation
    from server.operations.operation import RequestModel
    from server.shared.idempotency import StoredAnswer


class TaskHandler(EffectHandler):
    """An operation that runs a task."""

    async def outcome(self, operation: Operation, caller: Caller, request: RequestModel) -> Any:
        """Run the task and send its progress. Nothing is sent before the first event, so a refusal keeps its status."""
        if not self.wants_events():
            return await super().outcome(operation, caller, request)
        waiting = WaitingEvents(drops=True)
        run = self._outcome_or_error(operation, replace(caller, progress=waiting.put), request)
        ended = await relayed(run, f"task of {operation.name}", waiting, self.send_events)
        if isinstance(ended, Exception):
            raise ended
        return ended

    async def _outcome_or_error(self, operation: Operation, caller: Caller, request: RequestModel) -> Any:
        """The answer, or the exception as a value, because a task group would wrap a raised one."""
        try:
            return await super().outcome(operation, caller, request)
        except Exception as error:  # noqa: BLE001 - raised again outside the group
            return error

    async def deliver(self, answer: StoredAnswer) -> None:
        """Send the answer as the last event, or as the whole body."""
        succeeded = answer.status < 400
        if self.answer_begun or (succeeded and self.wants_events()):
            await self.send_events(server_sent_event("result" if succeeded else "error", answer.body.encode()))
            self.end()
        else:
            await super().deliver(answer)


routes = operation_routes((op for op in executor.OPERATIONS if op.streaming is Streaming.PROGRESS), TaskHandler)
routes += operation_routes((op for op in executor.OPERATIONS if op.streaming is Streaming.NONE), OperationHandler)
