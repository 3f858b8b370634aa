"""Watching live sessions, and what an observer sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streaming.ports.call import CallContext

Side = Literal["client", "server"]


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """A text message, with secrets removed. `text`: a JSON object that every reader takes, one level down too.

    It stays text because parsed it takes up to 30 times as much memory while it waits, and all who watch would write it anew.
    """

    direction: Side
    text: str


@dataclass(frozen=True, slots=True)
class SeenAudio:
    """The frames that follow come from another channel, or have another encoding."""

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
    """What the observer was too slow for."""

    messages: int
    audio_bytes: int


Seen = SeenMessage | SeenAudio | SeenFrame | Missed


class Watching(Protocol):
    """What a session receives and sends. Whoever has one closes it, also if nothing was taken from it."""

    def __aiter__(self) -> AsyncIterator[Seen]:
        """Itself."""

    async def __anext__(self) -> Seen:
        """The next item; a call that is cancelled loses none. Raises StopAsyncIteration when the session has ended or moved away."""

    async def aclose(self) -> None:
        """See no more."""


class LiveWatching(Watching, Protocol):
    """The same of a session of this process, which can be asked for what has come."""

    async def more(self) -> bool:
        """Wait until there is something to take. False once the session has ended or moved away, and all was taken."""

    def take(self, most: int) -> list[tuple[Seen, int]]:
        """What the next `most` messages and frames show, and how many bytes each had."""


class Observation(Protocol):
    """Live sessions on all replicas."""

    async def watch(self, session_id: str, context: CallContext, *, audio: bool) -> Watching | None:
        """What the session receives and sends from now on; None if the caller (or, for an admin, anybody) has no such session.

        Raises ServiceError RESOURCE_EXHAUSTED if the caller observes too many, or this one too often.
        """
