"""What every lane is to its session, and what it is given to reach its client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.microphone_trail import Position
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
class LaneFrame:
    """What a lane is built from. `clock` is monotonic, in seconds."""

    outlet: Outlet
    provided: LaneServices
    context: CallContext
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class SpeechPosition:
    """How much of an utterance reached the client: frames up to `sent_pts_ms`, -1 when that is not known."""

    sent_pts_ms: int = -1


class Lane(ABC):
    """One stream of work. Inputs are synchronous and never wait; `run` does the work until it returns, raises or is cancelled."""

    def __init__(self, frame: LaneFrame) -> None:
        self._outlet = frame.outlet
        self._provided = frame.provided
        self._services = frame.provided.services
        self._context = frame.context
        self._clock = frame.clock

    @abstractmethod
    async def run(self) -> None:
        """Do the work. Returning closes the channel ok. Raises LaneError, ServiceError."""

    # --- on another replica ---

    def rewind(self) -> Position | None:
        """From where on another replica would need the microphone's audio; None: there is none."""
        return None

    @property
    def received_bytes(self) -> int:
        """Microphone payload received so far."""
        return 0

    def carry(self) -> dict[str, Any] | None:
        """What another replica needs to go on, as JSON; None: this work can't be carried."""
        return None

    def take_up(self, carried: dict[str, Any], position: SpeechPosition) -> None:  # noqa: ARG002 - kinds that carry override
        """Go on where another replica stood, before `run`. Raises LaneError."""
        raise LaneError("ABORTED", "this kind of work can't be carried to another replica")

    # --- what the client sends ---

    def audio(self, payload: bytes, number: int = 0) -> None:  # noqa: ARG002 - kinds that take it override
        """A microphone frame, and its number. Raises WrongInputError, AudioFormatError."""
        raise WrongInputError("this channel takes no audio")

    def text(self, piece: str) -> None:  # noqa: ARG002 - as above
        """A piece of text to speak."""
        raise WrongInputError("this channel takes no text")

    def commit(self) -> None:
        """The utterance ends here."""
        raise WrongInputError("this channel has no utterance to end")

    def playback(self, played_ms: int) -> None:  # noqa: ARG002 - as above
        """The client has played so much of the current utterance."""
        raise WrongInputError("this channel plays nothing")

    def end(self) -> None:  # noqa: B027 - lanes without input have nothing to end
        """No more input."""
