"""What a language model may ask for: the actions of the executors that the user may use, and memory's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streaming.agent.actions import executor_of
from streaming.ports import ServiceError, Tool

if TYPE_CHECKING:
    from streaming.outlet import LaneSetup
    from streaming.ports import CallContext

EXECUTORS = ("browser", "os", "search")
LIST_WITHIN_MS = 1_000  # an executor that is down costs its tools, not the turn


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_KEY = {"type": "string", "minLength": 1, "maxLength": 128}
_TAGS = {"type": "array", "items": {"type": "string"}}

MEMORY = (
    Tool(
        "memory",
        "store",
        "Remember something about the user, beyond this conversation",
        _object(["value"], value={"type": "string"}, key=_KEY, tags=_TAGS),
    ),
    Tool(
        "memory",
        "search",
        "Look for something that the user asked to remember",
        _object(["query"], query={"type": "string"}, tags=_TAGS),
    ),
    Tool("memory", "retrieve", "What is remembered under a key", _object(["key"], key=_KEY)),
    Tool("memory", "delete", "Forget what is remembered under a key", _object(["key"], key=_KEY)),
)


async def toolbox(setup: LaneSetup, context: CallContext) -> tuple[Tool, ...]:
    """Everything that the user's role allows and that answers now."""
    may = setup.provided.permissions.may_execute
    names = [name for name in EXECUTORS if may(name, context.roles)]
    hurried = replace(context, timeout_ms=LIST_WITHIN_MS)
    listed = await asyncio.gather(*(_actions(setup, name, hurried) for name in names))
    own = MEMORY if may("memory", context.roles) else ()
    return (*(tool for tools in listed for tool in tools), *own)


async def _actions(setup: LaneSetup, name: str, context: CallContext) -> list[Tool]:
    executor = executor_of(setup.provided.services, name)
    if executor is None:
        return []
    try:
        actions = await executor.actions(context)
    except ServiceError:
        return []
    return [Tool(name, action.name, action.description, action.parameters) for action in actions]
