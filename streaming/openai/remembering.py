"""A conversation's items in the agent's memory: stored before a turn that needs them, and corrected as the client corrects them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streaming.ports import ServiceError

if TYPE_CHECKING:
    from streaming.openai.conversation import Entry
    from streaming.openai.host import Host


class Remembered:
    """Calls of the memory. A failure is left to the turn, which notices and reports it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._correcting: set[asyncio.Task[None]] = set()  # corrections under way

    def correct(self, entry: Entry) -> None:
        """Replace the words of this item. Items of one utterance or turn share a memory: it keeps the others' words."""
        if not entry.memory_id:
            return
        entries = self._host.conversation.entries.values()
        text = " ".join(other.text for other in entries if other.memory_id == entry.memory_id and other.text)
        task = self._host.group.create_task(
            self.put(self._host.session_id, entry, text), name="correct the conversation"
        )
        self._correcting.add(task)
        task.add_done_callback(self._correcting.discard)

    async def put(self, session_id: str, entry: Entry, text: str) -> None:
        """Store words under the item's id in memory."""
        role = "assistant" if entry.role == "assistant" else "user"
        context = self._host.call_context(session_id)
        try:
            await self._host.provided.services.memory.put_turn(entry.memory_id, role, text, context)
        except ServiceError:
            return

    async def settled(self) -> None:
        """Wait until no correction is under way."""
        if self._correcting:
            await asyncio.wait(self._correcting)
