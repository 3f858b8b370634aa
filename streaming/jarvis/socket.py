"""What a session of this dialect needs of its WebSocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from streaming.protocol.close_codes import CloseCode


class FrameSink(Protocol):
    """Takes frames of audio, and pings of silent clients, past the queue. Call its methods only while it is `free`."""

    @property
    def free(self) -> bool:
        """True if the client reads, and nothing has to be written before a frame."""

    def write_frame(self, frame: bytes, now: float) -> None:
        """Write a frame in this tick, whose time is `now`."""

    def write_text(self, text: str) -> None:
        """Write a text now. It may overtake frames of this tick."""


class Socket(Protocol):
    """A session's interface to its WebSocket."""

    traceparent: str  # the client's trace; may be empty

    @property
    def sink(self) -> FrameSink:
        """Where it takes frames of audio: always the same."""

    def wake(self) -> None:
        """There may be something to send."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Send the reason as an `error`, then close."""
