"""M10: what users asked to remember, and conversations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.ports.call import CallContext
    from streaming.ports.mind import ConversationTurn


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """A remembered value (any JSON). Times are RFC 3339; an empty `expires_at` means never."""

    key: str
    value: Any
    session_id: str
    tags: tuple[str, ...]
    metadata: dict[str, Any]
    created_at: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class MemoryHit:
    """A search result; `score` 0 to 1."""

    item: MemoryItem
    score: float


@dataclass(frozen=True, slots=True)
class StoreItem:
    """Something to remember. Empty `key`: the service makes one. `ttl_seconds` 0: kept for ever."""

    value: Any
    key: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    ttl_seconds: int = 0


class Memory(Protocol):
    """M10. All data belongs to the context's user."""

    async def store(self, item: StoreItem, context: CallContext) -> tuple[str, str]:
        """Store an item; returns its key and RFC 3339 creation time."""

    async def retrieve(self, key: str, context: CallContext) -> MemoryItem:
        """One item; NOT_FOUND also if it is another user's."""

    async def delete(self, key: str, context: CallContext) -> None:
        """Delete one item; NOT_FOUND likewise."""

    async def search(self, query: str, limit: int, tags: Sequence[str], context: CallContext) -> Sequence[MemoryHit]:
        """Search the items; best matches first."""

    async def put_turn(self, turn_id: str, role: str, text: str, context: CallContext) -> None:
        """Add a turn to the context's session, or replace the one with that id."""

    async def conversation(self, session_id: str, limit: int, context: CallContext) -> Sequence[ConversationTurn]:
        """The newest turns, oldest first."""
