"""Which of a microphone's frames another replica would need: those that are not recognised yet, or belong to the utterance under way.

Frames may come much faster than they are recognised (all at once, after a cut). So what is needed counts from how far the
recogniser says that it has listened. One that does not say so is taken to be late by some seconds at most.

Positions are kept every so often and not for every frame, so the answer may lie a little early: a recogniser that hears some
silence more decides the same.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

STEP_MS = 200  # between positions that are kept
PREROLL_MS = 600  # before speech was noticed: what a recogniser has to hear to notice it again
SILENCE_KEPT_MS = 1_200  # while nobody speaks: somebody may just have begun
UNCERTAIN_KEPT_MS = (
    10_000  # of a recogniser that does not tell how far it has listened: longer than a burst after a cut
)


class Position(NamedTuple):
    """A frame's number, and what had come before it: audio in milliseconds, payload in bytes."""

    frame: int
    at_ms: float
    payload_bytes: int


class Trail:
    """Fed with every frame and with what the recogniser made of them."""

    def __init__(self, base_ms: float = 0.0) -> None:
        self.base_ms = base_ms  # of the microphone's time that had gone by before the first frame
        self._positions: deque[Position] = deque()
        self._newest_ms = base_ms
        self._speech_from_ms: float | None = None
        self._listened_ms: float | None = None
        self._done_ms = base_ms  # what came before has become final

    def add(self, frame: int, at_ms: float, payload_bytes: int) -> None:
        """A frame comes; `at_ms` and `payload_bytes` are what came before it here."""
        self._newest_ms = self.base_ms + at_ms
        if not self._positions or self._newest_ms - self._positions[-1].at_ms >= STEP_MS:
            self._positions.append(Position(frame, self._newest_ms, payload_bytes))
            self._forget()

    def listened(self, at_ms: float) -> None:
        """The recogniser has come so far, and nobody speaks."""
        self._listened_ms = at_ms
        self._forget()

    def speech_started(self, at_ms: float) -> None:
        """Somebody speaks."""
        self._speech_from_ms = at_ms - PREROLL_MS
        self._forget()

    def utterance_ended(self, at_ms: float) -> None:
        """Its final transcript is there: nothing before its end is needed any more, or may be heard again."""
        self._speech_from_ms = None
        self._done_ms = max(self._done_ms, at_ms)
        self._forget()

    def _forget(self) -> None:
        needed_ms = self._silence_needed_ms if self._speech_from_ms is None else self._speech_from_ms
        while len(self._positions) > 1 and (
            self._positions[1].at_ms <= needed_ms or self._positions[0].at_ms < self._done_ms
        ):
            self._positions.popleft()

    @property
    def from_ms(self) -> float:
        """From when on the audio may be needed, exactly."""
        needed_ms = self._silence_needed_ms if self._speech_from_ms is None else self._speech_from_ms
        return max(self._done_ms, needed_ms)

    @property
    def _silence_needed_ms(self) -> float:
        if self._listened_ms is None:
            return self._newest_ms - UNCERTAIN_KEPT_MS
        return min(self._listened_ms, self._newest_ms) - SILENCE_KEPT_MS

    @property
    def needed_at_ms(self) -> float:
        """The same, as a time of the microphone."""
        return self._positions[0].at_ms if self._positions else self.base_ms

    @property
    def needed(self) -> Position | None:
        """From where on; None before the first frame."""
        return self._positions[0] if self._positions else None
