"""The newest turns of a session's conversation, as far as memory has them without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.ports import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming.ports import CallContext, ConversationTurn, Memory

CONTEXT_TURNS = 10  # turns of the conversation shown to the planner: enough for "open the first one"
NOTED_TURNS = CONTEXT_TURNS + 1  # so that a gap is still known when the newest of them does not count


class StoredTurns:
    """What was to be stored, to be compared with what memory has. All lanes of a session share one.

    If memory lacks a turn, "undo that" would be about the one before it. So nothing from before a missing turn is used.
    """

    def __init__(self) -> None:
        self._noted: dict[str, bool] = {}  # the newest turns, oldest first, and whether memory took them

    async def put(self, memory: Memory, turn_id: str, role: str, text: str, context: CallContext) -> None:
        """Add a turn to the conversation, or replace it. Raises ServiceError."""
        try:
            await memory.put_turn(turn_id, role, text, context)
        except BaseException:  # also if it is cancelled: nobody knows then
            self._note(turn_id, stored=False)
            raise
        self._note(turn_id, stored=True)

    def _note(self, turn_id: str, *, stored: bool) -> None:
        self._noted[turn_id] = stored
        if len(self._noted) > NOTED_TURNS:
            del self._noted[next(iter(self._noted))]

    async def newest(self, memory: Memory, context: CallContext, now: str = "") -> Sequence[ConversationTurn]:
        """The newest turns, oldest first; none if memory fails. `now`: the turn that asks, which may be missing."""
        noted = [turn_id for turn_id in self._noted if turn_id != now]
        try:
            turns = await memory.conversation(context.session_id, CONTEXT_TURNS, context)
        except ServiceError:
            return ()
        found = {turn.turn_id for turn in turns}
        if not any(found):
            return turns  # the service gives no ids, so nobody can tell
        later = {now}
        for turn_id in reversed(noted):
            if turn_id not in found:
                return [turn for turn in turns if turn.turn_id in later]
            later.add(turn_id)
        return turns

    # --- on another replica ---

    def save(self) -> dict[str, Any]:
        """What another replica needs, as JSON; empty if memory has taken every turn."""
        return {} if all(self._noted.values()) else self._noted

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Continue with what another replica has saved."""
        self._noted = dict(saved)
