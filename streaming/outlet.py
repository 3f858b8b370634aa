"""What a lane is built from: its outlet to the client, its services, and the error for input it does not take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.domain import LaneEvent
    from streaming.ports import CallContext, LaneServices


class WrongInputError(Exception):
    """The client sent input that this kind of lane does not take. The lane goes on."""


class Outlet(Protocol):
    """A lane's way to its client, in no wire format."""

    def tell(self, event: LaneEvent) -> None:
        """Queue an event. Events are never dropped."""

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        """Queue one frame of audio at `pts_ms` of the utterance. Wait for `room` first."""

    async def room(self, n_bytes: int) -> None:
        """Wait until the client's credit covers `n_bytes` more, or until the audio is interrupted."""

    async def recorded(self) -> bool:
        """Wait until the session's record holds what was told: an effect may begin then. False: it is another replica's session."""

    async def caught_up(self) -> None:
        """Wait until the client's send queue is short. For lanes that would rather skip than queue."""

    def taken(self, n_bytes: int) -> None:
        """`n_bytes` of the client's audio went to the service: give the client that credit back."""

    def interrupt(self) -> None:
        """Make all audio queued so far stale: what has not left is dropped, the client drops the rest."""


@dataclass(frozen=True, slots=True)
class LaneSetup:
    """What a lane is built from. `clock` is monotonic, in seconds; `listening_clock` stands still while the client is away: nothing is played then."""

    outlet: Outlet
    provided: LaneServices
    context: CallContext
    clock: Callable[[], float]
    listening_clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class SpeechPosition:
    """How much of an utterance reached the client: frames up to `sent_pts_ms`, -1 when that is not known."""

    sent_pts_ms: int = -1
