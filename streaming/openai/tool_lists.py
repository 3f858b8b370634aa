"""A session's `mcp` tools: the agent's own actions are listed as an item; other servers cannot be reached from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.agent.toolbox import EXECUTORS
from streaming.openai.conversation import Entry, new_id
from streaming.openai.turns import AGENT
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from streaming.openai.host import Host

MAX_LISTED = 128  # labels of one session: as many tools as it may have at once
LISTED_EXECUTORS = tuple(name for name in EXECUTORS if name != "memory")  # its actions are those of the memory service


class ToolLists:
    """Lists each server once a session, when it is first named; at most MAX_LISTED of them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._listed: set[str] = set()

    def list_new(self, tools: list[dict[str, Any]]) -> None:
        """Start listing the servers among these checked tools that are new."""
        for tool in tools:
            if tool["type"] == "mcp" and tool["server_label"] not in self._listed and len(self._listed) < MAX_LISTED:
                self._listed.add(tool["server_label"])
                self._host.group.create_task(self._list(tool), name="list tools")

    async def _list(self, tool: dict[str, Any]) -> None:
        host = self._host
        label = tool["server_label"]
        item: dict[str, Any] = {"id": new_id("mcpl"), "type": "mcp_list_tools", "server_label": label, "tools": []}
        previous = host.conversation.add(Entry(item))
        place = {"previous_item_id": previous, "item": item}
        host.event_queue.say({"type": "conversation.item.added", **place})
        host.event_queue.say({"type": "mcp_list_tools.in_progress", "item_id": item["id"]})
        host.wake()
        try:
            found = await self._tools() if label == AGENT else None
        except ServiceError:
            found = None
        if found is None:
            host.event_queue.say({"type": "mcp_list_tools.failed", "item_id": item["id"]})
        else:
            item["tools"] = [one for one in found if _allowed(one["name"], tool.get("allowed_tools"))]
            host.event_queue.say({"type": "mcp_list_tools.completed", "item_id": item["id"]})
            host.event_queue.say({"type": "conversation.item.done", **place})
        host.wake()

    async def _tools(self) -> list[dict[str, Any]]:
        """The actions that this user may run. Raises ServiceError."""
        provided, identity = self._host.provided, self._host.identity
        context = self._host.call_context(self._host.session_id)
        return [
            {"name": f"{name}.{action.name}", "description": action.description, "input_schema": action.parameters}
            for name in LISTED_EXECUTORS
            if provided.permissions.may_execute(name, identity.roles)
            for action in await getattr(provided.services, name).actions(context)
        ]


def _allowed(name: str, allowed: list[str] | dict[str, Any] | None) -> bool:
    names = allowed.get("tool_names") if isinstance(allowed, dict) else allowed
    return names is None or name in names
