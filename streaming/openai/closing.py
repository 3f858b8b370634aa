"""The socket, as its session sees it, and how it is closed: the codes, and what is said before them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from streaming.openai.conversation import new_id
from streaming.openai.hearing import transcription_failed
from streaming.openai.mistakes import MistakeError, error_event
from streaming.residents import Departure
from streaming.rfc6455 import POLICY_VIOLATION, SERVICE_RESTART

if TYPE_CHECKING:
    from streaming.openai.conversation import Conversation
    from streaming.openai.event_queue import EventQueue
    from streaming.openai.replies import Replies


class RealtimeSocket(Protocol):
    """A session's interface to its WebSocket."""

    traceparent: str

    def wake(self) -> None:
        """There may be something to send."""

    def end(self, code: int, reason: str) -> None:
        """Send what waits, then close."""

    def hand_over(self, code: int, reason: str) -> None:
        """Close, and send nothing of what waits."""


class Closing(Protocol):
    """The session whose socket is closed."""

    conversation: Conversation
    event_queue: EventQueue
    replies: Replies


# The official clients reconnect after SERVICE_RESTART, but not after POLICY_VIOLATION.
DEPARTURES = {
    Departure.RESTART: (SERVICE_RESTART, "session_restart", "the gateway restarts: connect again"),
    Departure.SIGNED_OUT: (POLICY_VIOLATION, "token_revoked", "the token was signed out"),
}


def last_mistake(code: int, word: str, message: str) -> MistakeError:
    """Why the socket is closed with this code. POLICY_VIOLATION is about the client: its token has ended, or it does not read."""
    return MistakeError(word, message, kind="invalid_request_error" if code == POLICY_VIOLATION else "server_error")


def parting(mistake: MistakeError) -> str:
    """The `error` to a client without a session, or whose session goes on elsewhere."""
    return json.dumps({"event_id": new_id("event"), **error_event(mistake)})


def say_last(live: Closing, mistake: MistakeError) -> None:
    """End what the client waits for, transcripts and responses, and say why."""
    error = {"type": mistake.kind, "code": mistake.code, "message": mistake.message}
    for entry in live.conversation.entries.values():
        if entry.awaited:
            live.event_queue.say(transcription_failed(entry, error))
    live.replies.break_off(error)
    live.event_queue.say(error_event(mistake))
