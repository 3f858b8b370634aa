"""One action: whether it may run, and running it. For a plan's steps, `execute` channels and the executors' operations."""

from __future__ import annotations

import hashlib
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from streaming.agent.remembering import MemoryExecutor
from streaming.ports import ServiceError, TaskProgress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streaming.ports import Action, CallContext, Executor, Services, TaskResult, Verdict


def executor_of(services: Services, name: str) -> Executor | None:
    """The executor of that name, or None."""
    match name:
        case "browser":
            return services.browser
        case "os":
            return services.os
        case "search":
            return services.search
        case "memory":
            return MemoryExecutor(services.memory)
    return None


def hash_of(action: Action) -> str:
    """The hash that an approval refers to: SHA-256 of executor, action and parameters, in hex.

    The step's id is left out, because it only says where the action is in its plan. 5.0 and 5 are the same number, as JSON
    has only one number type.
    """
    what = {"executor": action.executor, "action": action.action, "parameters": _plain(action.parameters)}
    return hashlib.sha256(json.dumps(what, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


async def refusal(verdict: Verdict, approved: Callable[[], Awaitable[bool]]) -> ServiceError | None:
    """Why the action may not run (SAFETY_DENIED, NOT_APPROVED), or None if it may.

    `approved` asks the user if the verdict requires it. It raises if nobody can wait for the answer.
    """
    if verdict.verdict == "deny":
        return ServiceError("SAFETY_DENIED", "; ".join(verdict.reasons), details={"risk": verdict.risk})
    if verdict.verdict != "allow" and not await approved():
        return ServiceError("NOT_APPROVED", "it was not approved")
    return None


async def carry_out(
    services: Services,
    task_id: str,
    action: Action,
    context: CallContext,
    on_progress: Callable[[TaskProgress], None],
) -> TaskResult:
    """Run an approved action. Cancelling this cancels the task in the executor. Raises ServiceError."""
    executor = executor_of(services, action.executor)
    if executor is None:
        raise ServiceError("NOT_FOUND", f"there is no executor {action.executor}")
    async with aclosing(executor.execute(task_id, action.action, action.parameters, context)) as events:
        async for event in events:
            if not isinstance(event, TaskProgress):
                return event
            on_progress(event)
    raise ServiceError("INTERNAL", "the executor ended without a result", service=action.executor)
