"""Which microphone frames another replica would need: those not recognised yet, or part of the current utterance.

Frames may arrive much faster than they are recognised (all at once, after a disconnect). So the need is counted from where the
recogniser says that it has listened to. A recogniser that does not say so is assumed to lag by some seconds at most.

Positions are kept at intervals and not for every frame, so the answer may be slightly early: hearing a little more silence does
not change what a recogniser decides.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

STEP_MS = 200  # between kept positions
PREROLL_MS = 600  # before speech was noticed: what a recogniser must hear to notice it again
SILENCE_KEPT_MS = 1_200  # kept during silence, because speech may just have begun
# For a recogniser that does not report its progress: longer than a burst after a disconnect.
UNCERTAIN_KEPT_MS = 10_000


class Position(NamedTuple):
    """A frame's number, and what came before it: audio in milliseconds, payload in bytes."""

    frame: int
    at_ms: float
    payload_bytes: int


class Trail:
    """Takes every frame, and the recogniser's events."""

    def __init__(self, base_ms: float = 0.0) -> None:
        self.base_ms = base_ms  # microphone time that had passed before the first frame
        self._positions: deque[Position] = deque()
        self._newest_ms = base_ms
        self._speech_from_ms: float | None = None
        self._listened_ms: float | None = None
        self._done_ms = base_ms  # everything before this is final

    def add(self, frame: int, at_ms: float, payload_bytes: int) -> None:
        """Add a frame; `at_ms` and `payload_bytes` are what came before it here."""
        self._newest_ms = self.base_ms + at_ms
        if not self._positions or self._newest_ms - self._positions[-1].at_ms >= STEP_MS:
            self._positions.append(Position(frame, self._newest_ms, payload_bytes))
            self._forget()

    def listened(self, at_ms: float) -> None:
        """The recogniser has come this far without speech."""
        self._listened_ms = at_ms
        self._forget()

    def speech_started(self, at_ms: float) -> None:
        """Speech started."""
        self._speech_from_ms = at_ms - PREROLL_MS
        self._forget()

    def utterance_ended(self, at_ms: float) -> None:
        """The final transcript was told: nothing before its end is needed, or may be heard, again."""
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
        """The exact time from which the audio may be needed."""
        needed_ms = self._silence_needed_ms if self._speech_from_ms is None else self._speech_from_ms
        return max(self._done_ms, needed_ms)

    @property
    def _silence_needed_ms(self) -> float:
        if self._listened_ms is None:
            return self._newest_ms - UNCERTAIN_KEPT_MS
        return min(self._listened_ms, self._newest_ms) - SILENCE_KEPT_MS

    @property
    def needed_at_ms(self) -> float:
        """The time of the position that is needed."""
        return self._positions[0].at_ms if self._positions else self.base_ms

    @property
    def needed(self) -> Position | None:
        """The position from which frames are needed; None before the first frame."""
        return self._positions[0] if self._positions else None
