"""The table of all operations, and look-up by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.operations import agent, auth, executor, memory, openai, ops, voice
from server.operations import sessions as realtime

if TYPE_CHECKING:
    from server.operations.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *voice.OPERATIONS,
    *agent.OPERATIONS,
    *executor.OPERATIONS,
    *memory.OPERATIONS,
    *auth.OPERATIONS,
    *realtime.OPERATIONS,
    *openai.OPERATIONS,
    *ops.OPERATIONS,
)

BY_NAME: dict[str, Operation] = {operation.name: operation for operation in OPERATIONS}
