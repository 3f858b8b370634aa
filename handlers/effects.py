"""Operations with an effect. With an `Idempotency-Key` they run at most once, however often they are requested."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from handlers.operation import OperationHandler
from handlers.problem import as_api_error, problem_json
from server.errors import ApiError, timed_out, to_service_error
from server.operations.validation import invalid
from server.shared.idempotency import IdempotencyKey, StoredAnswer, fingerprint
from streaming.ports import ServiceError, run_once

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.operations import Caller, Operation
    from server.operations.operation import RequestModel

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class EffectHandler(OperationHandler):
    """The first request of a key runs to its end, even if its client leaves; repeated requests get its result."""

    async def run(self, operation: Operation, caller: Caller, request: RequestModel) -> None:
        """Run the operation. Without a key, the client cannot fetch the result later, so its leaving cancels the run."""
        key = self._idempotency_key(operation, caller, request)
        work = partial(self._answered, operation, caller, request)
        try:
            if key is None:
                self.leaving_cancels()
                answer = await work()
            else:
                answer, again = await run_once(
                    self.gateway.idempotency, key, partial(self._settled, work), self._answer_after
                )
                if again:
                    self._headers["Idempotency-Replayed"] = "true"
        except Exception as error:
            if not self.answer_begun:
                raise
            answer = self._refusal(error)
        await self.deliver(answer)

    def _idempotency_key(self, operation: Operation, caller: Caller, request: RequestModel) -> IdempotencyKey | None:
        """The key, or None if none was sent. Raises ApiError for an invalid one."""
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return None
        if not _KEY.fullmatch(key):
            raise invalid((("header", "Idempotency-Key"), "1 to 255 visible ASCII characters"))
        asked = fingerprint(operation.name, request.model_dump(mode="json"))
        return IdempotencyKey(caller.context.user_id, key, asked, tuple(caller.identity.roles))

    async def _answered(self, operation: Operation, caller: Caller, request: RequestModel) -> StoredAnswer:
        """Run the operation and return the complete answer. Raises the operation's errors."""
        answer = await self.outcome(operation, caller, request)
        body = "" if answer is None else to_json(answer, inf_nan_mode="null").decode()
        return StoredAnswer(operation.status, "application/json", body)

    @staticmethod
    async def _settled(work: Callable[[], Awaitable[StoredAnswer]]) -> StoredAnswer:
        """The answer of `work`. An error that will be kept says so the first time too."""
        try:
            return await work()
        except ServiceError as error:
            raise error.settling("Idempotency-Key") from None
        except TimeoutError:
            raise timed_out().settling("Idempotency-Key") from None

    async def outcome(self, operation: Operation, caller: Caller, request: RequestModel) -> Any:
        """Run the operation and return its response model; None if it has none."""
        assert operation.run is not None, "an operation without `run` has a handler of its own"
        return await operation.run(self.gateway, caller, request)

    def _answer_after(self, error: BaseException) -> StoredAnswer | None:
        """The answer to keep for repeated requests; None if it is certain that nothing has run."""
        known = to_service_error(error) if isinstance(error, ApiError) else error
        if isinstance(known, ServiceError) and known.nothing_ran:
            return None
        return self._refusal(error)

    def _refusal(self, error: BaseException) -> StoredAnswer:
        refusal = as_api_error(error)
        problem = problem_json(refusal, self.request.path, self.request_id).decode()
        return StoredAnswer(refusal.status, "application/problem+json", problem)

    async def deliver(self, answer: StoredAnswer) -> None:
        """Send a stored answer."""
        if answer.body:
            await self.reply(answer.status, answer.body.encode(), answer.content_type)
        else:
            self.finish_empty(answer.status)
