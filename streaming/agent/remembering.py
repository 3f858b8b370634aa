"""M10 as an executor: the planner's memory steps are tasks like any others."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from streaming.ports import ActionInfo, ServiceError, StoreItem, TaskResult

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from streaming.ports import CallContext, Memory, TaskEvent

SEARCH_LIMIT = 5  # as many as a user wants to hear


class MemoryExecutor:
    """Implements `streaming.ports.Executor`: store, retrieve, search, delete."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def execute(
        self,
        task_id: str,  # noqa: ARG002 - memory has no task ids
        action: str,
        parameters: dict[str, Any],
        context: CallContext,
    ) -> AsyncGenerator[TaskEvent, None]:
        """Run a task, without progress. Raises ServiceError."""
        yield TaskResult("ok", await self._result(action, parameters, context))

    async def actions(self, context: CallContext) -> Sequence[ActionInfo]:  # noqa: ARG002 - the same for everybody
        """The actions of memory."""
        return _ACTIONS

    async def _result(self, action: str, given: dict[str, Any], context: CallContext) -> dict[str, Any]:
        match action:
            case "store":
                item = StoreItem(
                    given.get("value"), given.get("key", ""), tuple(given.get("tags", ())), given.get("metadata", {})
                )
                before = await self._replaced(item, context)
                key, created_at = await self._memory.store(item, context)
                return {"key": key, "created_at": created_at, **before}
            case "retrieve":
                return asdict(await self._memory.retrieve(given.get("key", ""), context))
            case "search":
                limit = int(given.get("limit", SEARCH_LIMIT))
                hits = await self._memory.search(given.get("query", ""), limit, tuple(given.get("tags", ())), context)
                return {"results": [{**asdict(hit.item), "score": hit.score} for hit in hits]}
            case "delete":
                await self._memory.delete(given.get("key", ""), context)
                return {}
        raise ServiceError("NOT_FOUND", f"memory has no action {action}", service="memory")

    async def _replaced(self, new: StoreItem, context: CallContext) -> dict[str, Any]:
        """What is replaced by a new item, so that the user is told of it, and can have it back. Empty if nothing was there.

        `known`: it has the same value. `replaced`: its value; None if the user could not tell it again, as it is no text, is damaged, or
        was to expire. It is asked for before: a store that is sent again, because its answer was lost, would find its own item.
        """
        try:
            old = await self._memory.retrieve(new.key, context) if new.key else None
        except ServiceError as error:
            if error.code == "DATA_LOSS":
                return {"known": False, "replaced": None}
            if error.code != "NOT_FOUND":
                raise
            old = None
        if old is None:
            return {}
        tellable = isinstance(old.value, str) and not old.expires_at
        return {"known": old.value == new.value, "replaced": old.value if tellable else None}


def _action(name: str, description: str, required: list[str], **properties: Any) -> ActionInfo:
    return ActionInfo(
        name,
        description,
        {"type": "object", "properties": properties, "required": required, "additionalProperties": False},
    )


_KEY = {"type": "string", "minLength": 1, "maxLength": 128}
_TAGS = {"type": "array", "items": {"type": "string"}}
_ACTIONS = (
    _action(
        "store",
        "Remember something about the user, beyond this conversation",
        ["value"],
        value={"type": "string"},
        key=_KEY,
        tags=_TAGS,
    ),
    _action(
        "search",
        "Look for something that the user asked to remember",
        ["query"],
        query={"type": "string"},
        tags=_TAGS,
    ),
    _action("retrieve", "What is remembered under a key", ["key"], key=_KEY),
    _action("delete", "Forget what is remembered under a key", ["key"], key=_KEY),
)
