"""Executors: one JSON answer, or progress as Server-Sent Events; `Idempotency-Key`; a client that leaves cancels its task."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from handlers.events import WaitingEvents, relayed, server_sent_event
from handlers.operation import OperationHandler
from handlers.problem import as_api_error, problem_json
from server.operations import executor
from server.operations.operation import Streaming
from server.operations.validation import invalid
from server.routes import operation_routes
from server.shared.idempotency import StoredAnswer, fingerprint
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from server.operations import Caller, Operation
    from server.operations.operation import RequestModel

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class TaskHandler(OperationHandler):
    """An operation that runs a task."""

    async def run(self, operation: Operation, caller: Caller, request: RequestModel) -> None:
        """Whoever brings no key can't come back for the result, and cancels by leaving."""
        key = self._idempotency_key()
        if key:
            await self._once(key, operation, caller, request)
            return
        self.leaving_cancels()
        await self._outcome(operation, caller, request)

    # --- once ---

    def _idempotency_key(self) -> str:
        """Empty when none was sent. Raises ApiError for one that is empty or odd."""
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return ""
        if not _KEY.fullmatch(key):
            raise invalid((("header", "Idempotency-Key"), "1 to 255 visible ASCII characters"))
        return key

    async def _once(self, key: str, operation: Operation, caller: Caller, request: RequestModel) -> None:
        """The stored answer for a key that came before; else run, and keep the answer also for a client that left."""
        store, user_id = self.gateway.idempotency, caller.context.user_id
        claim = fingerprint(operation.name, request.model_dump(mode="json"))
        stored = await store.begin(user_id, key, claim)
        if stored is not None:
            self._headers["Idempotency-Replayed"] = "true"
            await self._deliver(stored)
            return
        answer = None
        try:
            answer = await self._outcome(operation, caller, request)
        finally:
            if answer is None:
                await store.release(user_id, key)
            else:
                await store.store(user_id, key, claim, answer)

    # --- running ---

    async def _outcome(self, operation: Operation, caller: Caller, request: RequestModel) -> StoredAnswer | None:
        """Run and answer; returns the answer, None when it is certain that nothing has run."""
        ended = await (self._with_events if self.wants_events() else self._plain)(operation, caller, request)
        if isinstance(ended, Exception):
            refusal = as_api_error(ended)
            problem = problem_json(refusal, self.request.path, self.request_id).decode()
            answer = StoredAnswer(refusal.status, "application/problem+json", problem)
            if self.answer_begun:
                await self._deliver(answer)
            else:
                self.fail(ended)
            return None if isinstance(ended, ServiceError) and ended.nothing_ran else answer
        answer = StoredAnswer(operation.status, "application/json", to_json(ended, inf_nan_mode="null").decode())
        await self._deliver(answer)
        return answer

    async def _plain(self, operation: Operation, caller: Caller, request: RequestModel) -> Any:
        """The answer, or the exception instead of it."""
        assert operation.run is not None
        try:
            return await operation.run(self.gateway, caller, request)
        except Exception as error:  # noqa: BLE001 - every end is an answer
            return error

    async def _with_events(self, operation: Operation, caller: Caller, request: RequestModel) -> Any:
        """The same, telling progress meanwhile. Nothing is sent before there is any: a refusal keeps its status."""
        waiting = WaitingEvents()
        run = self._plain(operation, replace(caller, progress=waiting.put), request)
        return await relayed(run, f"task of {operation.name}", waiting, self.send_events)

    # --- answering ---

    async def _deliver(self, answer: StoredAnswer) -> None:
        """As the last event, or as the whole answer."""
        body = answer.body.encode()
        succeeded = answer.status < 400
        if self.answer_begun or (succeeded and self.wants_events()):
            await self.send_events(server_sent_event("result" if succeeded else "error", body))
            self.end()
        else:
            await self.reply(answer.status, body, answer.content_type)


routes = operation_routes((op for op in executor.OPERATIONS if op.streaming is Streaming.PROGRESS), TaskHandler)
routes += operation_routes((op for op in executor.OPERATIONS if op.streaming is Streaming.NONE), OperationHandler)
