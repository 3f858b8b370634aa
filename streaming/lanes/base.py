"""The interface of a lane."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from streaming.outlet import WrongInputError
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.outlet import LaneSetup, SpeechPosition
    from streaming.sound.trail import Position


class Lane(ABC):
    """One stream of work. Inputs are synchronous and never wait; `run` works until it returns, raises or is cancelled."""

    def __init__(self, setup: LaneSetup) -> None:
        self._outlet = setup.outlet
        self._provided = setup.provided
        self._services = setup.provided.services
        self._context = setup.context
        self._clock = setup.clock
        self._listening_clock = setup.listening_clock

    @abstractmethod
    async def run(self) -> None:
        """Do the work. Returning closes the channel with ok. Raises ServiceError."""

    def forget(self) -> None:  # noqa: B027 - some lanes have nothing to end
        """It is over: end what it has opened, as one that was cancelled at once has never run.

        And drop what refers back to it, because the collector hardly ever runs.
        """

    # --- on another replica ---

    def rewind(self) -> Position | None:
        """The position from which another replica would need the microphone's audio; None if it needs none."""
        return None

    @property
    def received_bytes(self) -> int:
        """Microphone payload received so far."""
        return 0

    @property
    def must_finish(self) -> bool:
        """True if moving to another replica now would lose work."""
        return self.save() is None

    def save(self) -> dict[str, Any] | None:
        """What another replica needs to continue, as JSON; None if this work cannot be saved."""
        return None

    def restore(self, saved: dict[str, Any], position: SpeechPosition) -> None:  # noqa: ARG002 - overridden by kinds that can be saved
        """Continue where another replica stood; called before `run`. Raises ServiceError."""
        raise ServiceError("ABORTED", "this kind of work can't be saved to another replica")

    # --- what the client sends ---

    @property
    def ear(self) -> Callable[[bytes, int], None]:
        """What takes microphone frames: `audio`, or what that would hand them to. Asked for once."""
        return self.audio

    def audio(self, payload: bytes, number: int = 0) -> None:  # noqa: ARG002 - overridden by kinds that take audio
        """Take a microphone frame with its number. Raises WrongInputError, AudioFormatError."""
        raise WrongInputError("this channel takes no audio")

    def text(self, piece: str) -> None:  # noqa: ARG002 - as above
        """Take a piece of text to speak."""
        raise WrongInputError("this channel takes no text")

    def commit(self) -> None:
        """End the utterance."""
        raise WrongInputError("this channel has no utterance to end")

    def playback(self, played_ms: int) -> None:  # noqa: ARG002 - as above
        """The client has played this much of the current utterance."""
        raise WrongInputError("this channel plays nothing")

    def end(self) -> None:  # noqa: B027 - lanes without input have nothing to end
        """End the input."""
