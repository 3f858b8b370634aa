"""A conversation's items in the agent's memory: stored before a turn that needs them, and corrected as the client corrects them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from streaming.openai.utterances import leave
from streaming.ports import ServiceError
from streaming.stored_turns import StoredTurns

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        task = self._host.group.create_task(self._replace(entry, text), name="correct the conversation")
        self._correcting.add(task)
        task.add_done_callback(self._correcting.discard)

    async def _replace(self, entry: Entry, text: str) -> None:
        context = self._host.call_context(self._host.session_id)
        with suppress(ServiceError):
            await self._host.provided.services.memory.put_turn(entry.memory_id, _speaker(entry), text, context)

    async def put(self, entries: Sequence[Entry], beside: str) -> StoredTurns:
        """Store these items in order, once no correction is under way; returns what a turn about them has to know.

        `beside`: the conversation of a reply out of band, which is its own; empty: the session's.
        """
        await self.settled()
        stored = StoredTurns() if beside else self._host.lanes.stored
        memory = self._host.provided.services.memory
        for entry in entries:
            entry.memory_id = f"{entry.item['id']}-{entry.role}"
            context = self._host.call_context(beside or self._host.session_id)
            with suppress(ServiceError):
                await stored.put(memory, entry.memory_id, _speaker(entry), entry.text, context)
        return stored

    def deleted(self, entry: Entry) -> None:
        """The client has deleted this item. Words that got no response were said nevertheless."""
        if entry.role == "user" and not entry.answered:
            leave([entry], self._host.lanes, "deleted")
        self.correct(entry)

    async def settled(self) -> None:
        """Wait until no correction is under way."""
        if self._correcting:
            await asyncio.wait(self._correcting)


def _speaker(entry: Entry) -> str:
    return "assistant" if entry.role == "assistant" else "user"
