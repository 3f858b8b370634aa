"""What lanes are given: the outlet to the client, the services, and the errors that end a lane."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from streaming.open_questions import OpenQuestions
from streaming.sounding import Sounding
from streaming.stored_turns import StoredTurns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from streaming.domain import LaneEvent
    from streaming.ports import CallContext, LaneServices


class WrongInputError(Exception):
    """The client sent input that this kind of lane does not take. The lane continues."""


class Outlet(Protocol):
    """A lane's output to its client, independent of the wire format."""

    def tell(self, event: LaneEvent) -> None:
        """Queue an event. Events are never dropped."""

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        """Queue one audio frame at `pts_ms` of the utterance. Wait for `room` first."""

    def play_at_once(self, frame: bytes, pts_ms: int) -> bool:
        """Send a frame past the queue, if it has to wait for nothing: the hot path. False: nothing was done."""

    def has_room(self, n_bytes: int) -> bool:
        """True if `room` would not wait now."""

    async def room(self, n_bytes: int) -> None:
        """Wait until the client's credit allows `n_bytes` more, or the audio is interrupted."""

    def receipt(self) -> asyncio.Future[None] | None:
        """Done when the client has received all audio so far. None: nobody could repeat it, so there is no point in waiting."""

    async def recorded(self) -> bool:
        """Wait until the session's record has everything told so far, so that effects may begin. False: another replica has the session."""

    async def caught_up(self) -> None:
        """Wait until the client's send queue is short. For lanes that prefer skipping to queueing."""

    def taken(self, n_bytes: int) -> None:
        """`n_bytes` of the client's audio went to the service: return their credit to the client."""

    def interrupt(self) -> None:
        """Make all audio queued so far stale. Audio not yet sent is dropped here, the rest by the client."""


@dataclass(frozen=True, slots=True)
class LaneSetup:
    """What a lane is built from. `clock` is monotonic, in seconds; `listening_clock` stops while the client is away, when nothing is played.

    All lanes of a session share its `sounding`, `questions` and `stored`.
    `aside`: its words are not said in the conversation, so that they answer no question of it.
    """

    outlet: Outlet
    provided: LaneServices
    context: CallContext
    clock: Callable[[], float]
    listening_clock: Callable[[], float]
    sounding: Sounding = field(default_factory=Sounding)
    questions: OpenQuestions = field(default_factory=OpenQuestions)
    stored: StoredTurns = field(default_factory=StoredTurns)
    aside: bool = False


@dataclass(frozen=True, slots=True)
class SpeechPosition:
    """How much of an utterance was sent to the client: frames up to `sent_pts_ms`, -1 if unknown."""

    sent_pts_ms: int = -1
