"""What a lane is given: its way to the client, and how it ends when it cannot go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.ports import CallContext, LaneServices


class LaneError(Exception):
    """The lane can't go on: its channel closes with this code (UPPER_SNAKE) and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class WrongInputError(Exception):
    """The client sent something this kind of lane has no use for; the lane goes on."""


class Outlet(Protocol):
    """A lane's way to its client, in no wire format."""

    @property
    def generation(self) -> int:
        """Raised by each interruption."""

    def tell(self, event: object) -> None:
        """Queue a domain event; never dropped."""

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        """Queue one frame of audio at `pts_ms` of the utterance. Only as much as `room` allowed."""

    async def room(self, n_bytes: int) -> None:
        """Wait until the client's credit covers so many bytes more, or all audio so far became stale."""

    async def caught_up(self) -> None:
        """Wait until little is left to be sent to the client: for what may be left out when it is slow."""

    def taken(self, n_bytes: int) -> None:
        """So many bytes of the client's audio have left for the service: give the credit back."""

    def interrupt(self) -> int:
        """Make all audio queued so far stale; returns the new generation."""


@dataclass(frozen=True, slots=True)
class LaneSetup:
    """What a lane is built from. `clock` is monotonic, in seconds."""

    outlet: Outlet
    provided: LaneServices
    context: CallContext
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class SpeechPosition:
    """How much of an utterance reached the client: frames up to `sent_pts_ms`, -1 when that is not known."""

    sent_pts_ms: int = -1
