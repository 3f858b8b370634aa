"""What a client's frames make, besides plain messages: `frames.FrameReader` returns them."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.long_text import LongText


@dataclass(frozen=True, slots=True)
class PingFrame:
    """To be answered by a pong with the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PongFrame:
    """The answer to a ping of ours, or an unsolicited pong."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The client closes. The last event; `code` is 1005 if it gave none."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Violated:
    """The client broke the protocol. The last event; `code` is the close code to send."""

    code: int
    reason: str


SocketEvent = bytes | str | LongText | PingFrame | PongFrame | Closed | Violated
