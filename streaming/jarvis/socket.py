"""What a session of this dialect needs of its WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from streaming.protocol.close_codes import CloseCode


class Socket(Protocol):
    """A session's interface to its WebSocket."""

    traceparent: str  # the client's trace; may be empty

    def wake(self) -> None:
        """There may be something to send."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Send the reason as an `error`, then close."""
