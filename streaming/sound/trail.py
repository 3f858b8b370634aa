"""Which of a microphone's frames another replica would need: those since the utterance under way began.

Positions are kept every so often and not for every frame, so the answer may lie a little early: a recogniser that hears some
silence more decides the same.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

STEP_MS = 200  # between positions that are kept
PREROLL_MS = 600  # before speech was noticed: what a recogniser has to hear to notice it again
SILENCE_KEPT_MS = 1_200  # while nobody speaks: somebody may just have begun


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
        self._done_ms = base_ms  # what came before has become final

    def add(self, frame: int, at_ms: float, payload_bytes: int) -> None:
        """A frame comes; `at_ms` and `payload_bytes` are what came before it here."""
        self._newest_ms = self.base_ms + at_ms
        if not self._positions or self._newest_ms - self._positions[-1].at_ms >= STEP_MS:
            self._positions.append(Position(frame, self._newest_ms, payload_bytes))
            self._forget()

    def speech_started(self, at_ms: float) -> None:
        """Somebody speaks."""
        self._speech_from_ms = at_ms - PREROLL_MS

    def utterance_ended(self, at_ms: float) -> None:
        """Its final transcript is there: nothing before its end is needed any more, or may be heard again."""
        self._speech_from_ms = None
        self._done_ms = max(self._done_ms, at_ms)
        self._forget()

    def _forget(self) -> None:
        needed_ms = self._newest_ms - SILENCE_KEPT_MS if self._speech_from_ms is None else self._speech_from_ms
        while len(self._positions) > 1 and (
            self._positions[1].at_ms <= needed_ms or self._positions[0].at_ms < self._done_ms
        ):
            self._positions.popleft()

    @property
    def needed_at_ms(self) -> float:
        """The same, as a time of the microphone."""
        return self._positions[0].at_ms if self._positions else self.base_ms

    @property
    def needed(self) -> Position | None:
        """From where on; None before the first frame."""
        return self._positions[0] if self._positions else None
