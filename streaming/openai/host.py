"""The session, as seen by its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

    from streaming.openai.conversation import Conversation, Entry
    from streaming.openai.event_queue import EventQueue
    from streaming.ports import CallContext, Identity, LaneServices
    from streaming.session import Session


class Host(Protocol):
    """What a session offers to its parts: `hearing`, `replies`, `functions`, `recorded` and others."""

    session_id: str
    identity: Identity
    conversation: Conversation
    event_queue: EventQueue
    settings: dict[str, Any]
    lanes: Session
    provided: LaneServices
    group: asyncio.TaskGroup

    def call_context(self, session_id: str) -> CallContext:
        """The context of a call for this conversation of the agent's memory."""

    def on_speech(self) -> None:
        """Speech started."""

    def on_words(self, entry: Entry, *, automatic: bool) -> None:
        """The transcript of an utterance is ready. `automatic`: turn detection ended the utterance."""

    def on_quiet(self) -> None:
        """Every reply was heard."""

    def on_delegated(self) -> None:
        """Delegate a turn to the client."""

    def wake(self) -> None:
        """There may be something to send."""
