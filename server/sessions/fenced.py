"""The task group of clients' work: a failing task is logged and ends alone.

`asyncio.TaskGroup` ends all its tasks when one fails. That is right for the gateway's own loops, which it cannot do without, but
the work of one client must not end that of the others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context

_T = TypeVar("_T")

log = structlog.get_logger(__name__)


class FencedGroup(asyncio.TaskGroup):
    """A task group in which a failed task counts as cancelled."""

    def create_task(  # type: ignore[override]  # generators are no longer coroutines
        self, coro: Coroutine[Any, Any, _T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[_T]:
        task = super().create_task(_fenced(coro, name), name=name, context=context)
        task.add_done_callback(lambda _task: coro.close())  # a task cancelled before its first step never awaited it
        return task


async def _fenced(work: Coroutine[Any, Any, _T], name: str | None) -> _T:
    try:
        return await work
    except Exception as failed:
        log.exception("task failed", task=name)
        raise asyncio.CancelledError from failed
