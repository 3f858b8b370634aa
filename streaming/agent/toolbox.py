"""The actions that a language model may request: those of the executors, including memory, that the user may use."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from streaming.agent.actions import executor_of
from streaming.ports import ServiceError, Tool

if TYPE_CHECKING:
    from streaming.outlet import LaneSetup
    from streaming.ports import CallContext

EXECUTORS = ("browser", "os", "search", "memory")
LIST_WITHIN_MS = 1_000  # if an executor is down, its tools are missing and the turn continues


async def toolbox(setup: LaneSetup, context: CallContext) -> tuple[Tool, ...]:
    """All actions that the user's roles allow and whose executor answers."""
    may = setup.provided.permissions.may_execute
    names = [name for name in EXECUTORS if may(name, context.roles)]
    hurried = replace(context, timeout_ms=LIST_WITHIN_MS)
    listed = await asyncio.gather(*(_actions(setup, name, hurried) for name in names))
    return tuple(tool for tools in listed for tool in tools)


async def _actions(setup: LaneSetup, name: str, context: CallContext) -> list[Tool]:
    executor = executor_of(setup.provided.services, name)
    if executor is None:
        return []
    try:
        actions = await executor.actions(context)
    except ServiceError:
        return []
    return [Tool(name, action.name, action.description, action.parameters) for action in actions]
