"""What every lane is to its session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from streaming.outlet import WrongInputError
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from streaming.outlet import LaneSetup, SpeechPosition
    from streaming.sound.trail import Position


class Lane(ABC):
    """One stream of work. Inputs are synchronous and never wait; `run` does the work until it returns, raises or is cancelled."""

    def __init__(self, setup: LaneSetup) -> None:
        self._outlet = setup.outlet
        self._provided = setup.provided
        self._services = setup.provided.services
        self._context = setup.context
        self._clock = setup.clock
        self._listening_clock = setup.listening_clock

    @abstractmethod
    async def run(self) -> None:
        """Do the work. Returning closes the channel ok. Raises ServiceError."""

    # --- on another replica ---

    def rewind(self) -> Position | None:
        """From where on another replica would need the microphone's audio; None: there is none."""
        return None

    @property
    def received_bytes(self) -> int:
        """Microphone payload received so far."""
        return 0

    @property
    def must_finish(self) -> bool:
        """Would a move to another replica lose work that is being done now?"""
        return self.save() is None

    def save(self) -> dict[str, Any] | None:
        """What another replica needs to go on, as JSON; None: this work can't be saved."""
        return None

    def restore(self, saved: dict[str, Any], position: SpeechPosition) -> None:  # noqa: ARG002 - kinds that carry override
        """Go on where another replica stood, before `run`. Raises ServiceError."""
        raise ServiceError("ABORTED", "this kind of work can't be saved to another replica")

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
