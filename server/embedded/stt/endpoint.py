"""Where speech begins, pauses and ends, from a voice detector. Counts audio, never a clock.

A start is believed sooner than an end: barge-in depends on it. How much silence ends an utterance is the caller's to say at
each pause, as it depends on the words so far.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.embedded.stt.voice_detector import FRAME_BYTES, FRAME_MS

if TYPE_CHECKING:
    from server.embedded.stt.voice_detector import VoiceDetector

SPEECH, STILL_SPEECH = 0.5, 0.35  # probabilities: to begin, to go on
START_FRAMES, START_SPEECH_FRAMES = 4, 3  # 128 ms, all but one frame of it speech
PAUSE_FRAMES = 5  # 160 ms; the detector itself lets go some 100 ms after the voice
RESUME_FRAMES, RESUME_SPEECH_FRAMES = 3, 2
DEFAULT_SILENCE_MS = 480  # when nobody looks at the words: a pause between words is shorter
PRE_ROLL_FRAMES = 8  # 256 ms before the first frame of speech: soft consonants come before the detector hears a voice
LEFT_OVER_SPEECH_FRAMES = 2  # a word cut short by a commit
MAX_UTTERANCE_FRAMES = 28_000 // FRAME_MS  # Whisper's window is 30 s


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Speech since `at_ms`; `pcm` begins at `pcm_from_ms`, a little earlier."""

    at_ms: int
    pcm_from_ms: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechWent:
    """More of the utterance."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """Silence for PAUSE_FRAMES; the last speech ended at `at_ms`. Set `silence_needed_ms` before the next event is taken."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechWentOn:
    """Speech again, after a pause."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance is over; its last speech was at `at_ms`."""

    at_ms: int


EndpointEvent = SpeechBegan | SpeechWent | SpeechPaused | SpeechWentOn | SpeechEnded


class SpeechEndpointer:
    """Cuts 16 kHz PCM into utterances. Times are milliseconds of audio since the first sample."""

    def __init__(self, detector: VoiceDetector) -> None:
        self._detector = detector
        self._rest = b""
        self._frames: deque[tuple[bytes, float]] = deque()  # heard by the detector, not yet looked at
        self._events: deque[EndpointEvent] = deque()
        self._n_frames = 0
        self._begin_idle()

    def _begin_idle(self) -> None:
        self._in_speech = self._paused = False
        self._recent: deque[tuple[bytes, bool]] = deque(maxlen=PRE_ROLL_FRAMES + START_FRAMES)
        self._flags: deque[bool] = deque(maxlen=RESUME_FRAMES)
        self._utterance_frames = self._silent_frames = 0
        self._spoken_until_ms = 0
        self.silence_needed_ms = DEFAULT_SILENCE_MS

    @property
    def now_ms(self) -> int:
        """Audio looked at so far, whole frames."""
        return self._n_frames * FRAME_MS

    @property
    def in_speech(self) -> bool:
        """Whether an utterance has begun and not ended."""
        return self._in_speech

    def push(self, pcm: bytes) -> None:
        """More audio, of any length."""
        data = self._rest + pcm
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        probabilities = self._detector.probabilities(data[:whole])
        frames = (data[start : start + FRAME_BYTES] for start in range(0, whole, FRAME_BYTES))
        self._frames.extend(zip(frames, probabilities, strict=True))

    def next(self) -> EndpointEvent | None:
        """What the audio pushed so far shows next; None: nothing more."""
        while not self._events and self._frames:
            self._frame(*self._frames.popleft())
        return self._events.popleft() if self._events else None

    def flush(self) -> list[EndpointEvent]:
        """End an utterance here: a commit, or no more audio. A word that had only begun counts. Call when `next` is None."""
        rest, self._rest = self._rest, b""
        if self._in_speech:
            return [*([SpeechWent(rest)] if rest else []), self._end()]
        if sum(speech for _, speech in self._recent) >= LEFT_OVER_SPEECH_FRAMES:
            return [self._begin(), SpeechWent(rest), self._end()]
        self._begin_idle()
        return []

    def _frame(self, frame: bytes, probability: float) -> None:
        self._n_frames += 1
        if self._in_speech:
            self._during_speech(frame, probability >= STILL_SPEECH)
        else:
            self._while_idle(frame, probability >= SPEECH)

    def _while_idle(self, frame: bytes, speech: bool) -> None:
        self._recent.append((frame, speech))
        window = list(self._recent)[-START_FRAMES:]
        if sum(flag for _, flag in window) >= START_SPEECH_FRAMES:
            self._events.append(self._begin())

    def _begin(self) -> SpeechBegan:
        frames = list(self._recent)
        window = frames[-START_FRAMES:]
        first = next((index for index, (_, speech) in enumerate(window) if speech), 0)
        at_frame = self._n_frames - len(window) + first
        kept = frames[max(0, len(frames) - len(window) + first - PRE_ROLL_FRAMES) :]
        self._in_speech = True
        self._utterance_frames = len(kept)
        self._spoken_until_ms = self.now_ms
        from_ms = self.now_ms - len(kept) * FRAME_MS
        return SpeechBegan(at_frame * FRAME_MS, from_ms, b"".join(pcm for pcm, _ in kept))

    def _during_speech(self, frame: bytes, speech: bool) -> None:
        self._utterance_frames += 1
        self._flags.append(speech)
        self._silent_frames = 0 if speech and not self._paused else self._silent_frames + 1
        if self._paused and sum(self._flags) >= RESUME_SPEECH_FRAMES:
            self._paused, self._silent_frames = False, 0
            self._events.append(SpeechWentOn(self.now_ms - RESUME_FRAMES * FRAME_MS))
        if speech and not self._paused:
            self._spoken_until_ms = self.now_ms
        self._events.append(SpeechWent(frame))
        if self._utterance_frames >= MAX_UTTERANCE_FRAMES:
            self._events.append(self._end())
        elif not self._paused and self._silent_frames >= PAUSE_FRAMES:
            self._paused = True
            self._events.append(SpeechPaused(self._spoken_until_ms))
        elif self._paused and self._silent_frames * FRAME_MS >= self.silence_needed_ms:
            self._events.append(self._end())

    def _end(self) -> SpeechEnded:
        ended = SpeechEnded(self._spoken_until_ms)
        self._begin_idle()
        return ended
