"""M7 browser, M8 OS, M9 search: tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from streaming.ports.call import CallContext


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Progress of a task. If `data` is output, `stream` is stdout or stderr, else empty."""

    message: str = ""
    percent: float | None = None
    stream: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The last event of a task. `status`: ok, or failed if it ran without success; `message` says why, or what is missing in the result."""

    status: str
    result: dict[str, Any]
    message: str = ""


TaskEvent = TaskProgress | TaskResult


@dataclass(frozen=True, slots=True)
class ActionInfo:
    """An action that can be run; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class Executor(Protocol):
    """M7, M8 or M9."""

    def execute(
        self, task_id: str, action: str, parameters: dict[str, Any], context: CallContext
    ) -> AsyncGenerator[TaskEvent, None]:
        """Run a task; ends after its TaskResult. Closing the generator cancels the task in the executor."""

    async def actions(self, context: CallContext) -> Sequence[ActionInfo]:
        """The executor's actions."""
