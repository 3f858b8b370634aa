"""Looking at live sessions: what is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from streaming.ports.call import CallContext

Side = Literal["client", "server"]


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """A text message, without its secrets."""

    direction: Side
    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SeenAudio:
    """The frames that follow are from another channel, or encoded otherwise."""

    direction: Side
    channel: int
    encoding: str
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """A frame of audio."""

    payload: bytes
    pts_ms: int
    last: bool


@dataclass(frozen=True, slots=True)
class Missed:
    """The observer was too slow for so much."""

    messages: int
    audio_bytes: int


Seen = SeenMessage | SeenAudio | SeenFrame | Missed


class Observation(Protocol):
    """Live sessions, wherever they are."""

    async def watch(self, session_id: str, context: CallContext, *, audio: bool) -> AsyncGenerator[Seen] | None:
        """What that session sees and says from now on; None when the caller has no such session (an admin: when nobody has)."""
