"""What a session of this dialect needs of its WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from streaming.protocol.close_codes import CloseCode


class Socket(Protocol):
    """The narrow way to a WebSocket."""

    traceparent: str  # that the client came with; empty: none

    def wake(self) -> None:
        """There may be something to send."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Say why in an `error`, then close."""
