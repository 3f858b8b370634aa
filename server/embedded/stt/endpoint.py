"""Where utterances begin and end, by audio time alone. Pure but for the voice detector handed in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

FRAME_MS = 30  # the longest that WebRTC's detector takes
START_FRAMES, START_VOICED = 6, 5  # 5 of 6 frames voiced begin an utterance: 150 ms, short enough to barge in
END_FRAMES, END_VOICED = 15, 1  # 450 ms with at most one voiced frame end it
EAGER_FRAMES = 8  # 240 ms: probably the end
PRE_ROLL_FRAMES = 10  # 300 ms before the detection belong to the utterance: soft first sounds
MAX_UTTERANCE_MS = 30_000  # then it ends whatever is said: nobody waits longer for an answer


class VoiceDetector(Protocol):
    """Is there a voice in a frame of 30 ms?"""

    def is_speech(self, frame: bytes) -> bool:
        """16-bit mono PCM."""


class Change(Enum):
    """What a frame brought about."""

    STARTED = "started"
    EAGER_END = "eager end"
    RESUMED = "resumed"
    ENDED = "ended"


@dataclass(slots=True)
class Utterance:
    """The one under way: where it began, where voice was last heard, its audio."""

    start_ms: int
    voiced_until_ms: int
    pcm: bytearray


class Endpointer:
    """Feed frames; read `utterance`. With `automatic` false only `commit` ends one (push-to-talk)."""

    def __init__(self, detector: VoiceDetector, *, automatic: bool) -> None:
        self._detector = detector
        self._automatic = automatic
        self._recent: deque[bool] = deque(maxlen=START_FRAMES)
        self._pre_roll: deque[bytes] = deque(maxlen=PRE_ROLL_FRAMES)
        self._ending: deque[bool] = deque(maxlen=END_FRAMES)
        self._eager = False
        self.at_ms = 0
        self.utterance: Utterance | None = None

    def feed(self, frame: bytes) -> Change | None:
        """One frame of 30 ms."""
        voiced = self._detector.is_speech(frame)
        self.at_ms += FRAME_MS
        if self.utterance is None:
            return self._outside(frame, voiced=voiced)
        return self._inside(self.utterance, frame, voiced=voiced)

    def _outside(self, frame: bytes, *, voiced: bool) -> Change | None:
        self._pre_roll.append(frame)
        self._recent.append(voiced)
        if sum(self._recent) < START_VOICED:
            return None
        start_ms = self.at_ms - len(self._pre_roll) * FRAME_MS
        self.utterance = Utterance(start_ms, self.at_ms, bytearray(b"".join(self._pre_roll)))
        self._ending.clear()
        self._eager = False
        return Change.STARTED

    def _inside(self, utterance: Utterance, frame: bytes, *, voiced: bool) -> Change | None:
        utterance.pcm += frame
        self._ending.append(voiced)
        if voiced:
            utterance.voiced_until_ms = self.at_ms
        if not self._automatic:
            return None
        if self.at_ms - utterance.start_ms >= MAX_UTTERANCE_MS:
            return Change.ENDED
        return self._by_silence(voiced=voiced)

    def _by_silence(self, *, voiced: bool) -> Change | None:
        ending = self._ending
        if len(ending) == END_FRAMES and sum(ending) <= END_VOICED:
            return Change.ENDED
        silent = len(ending) >= EAGER_FRAMES and not any(list(ending)[-EAGER_FRAMES:])
        if silent and not self._eager:
            self._eager = True
            return Change.EAGER_END
        if voiced and self._eager and sum(list(ending)[-START_FRAMES:]) >= START_VOICED - 2:
            self._eager = False
            return Change.RESUMED
        return None

    def finish(self) -> Utterance | None:
        """The utterance under way is over; the next may begin."""
        done, self.utterance = self.utterance, None
        self._recent.clear()
        self._pre_roll.clear()
        return done
