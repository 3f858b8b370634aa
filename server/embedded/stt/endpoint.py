"""Finds where speech starts, pauses and ends, with a voice detector. Time is counted in audio, never by a clock.

A start is recognised sooner than an end, because barge-in depends on it. The caller sets at each pause how much silence ends the
utterance, which depends on the words so far.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.embedded.stt.voice_detector import FRAME_BYTES, FRAME_MS

if TYPE_CHECKING:
    from server.embedded.stt.voice_detector import VoiceDetector

SPEECH, STILL_SPEECH = 0.5, 0.35  # probabilities at which speech begins, and continues
STILL_SPEECH_SHARE = STILL_SPEECH / SPEECH
START_FRAMES, START_SPEECH_FRAMES = 4, 3  # 128 ms, of which all but one frame are speech
FALLING_SILENT_FRAMES = 2
KEPT_SILENCE_MS = FALLING_SILENT_FRAMES * FRAME_MS  # behind the speech, in what is decoded
PAUSE_FRAMES = 5  # 160 ms; the detector itself reacts some 100 ms after the voice ends
RESUME_FRAMES, RESUME_SPEECH_FRAMES = 3, 2
DEFAULT_SILENCE_MS = 480  # if nobody looks at the words; pauses between words are shorter
PRE_ROLL_FRAMES = 8  # 256 ms before the first frame of speech: soft consonants precede the detected voice
LEFT_OVER_SPEECH_FRAMES = 2  # a word cut off by a commit
MAX_UTTERANCE_FRAMES = 28_000 // FRAME_MS  # Whisper's window is 30 s


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Speech since `at_ms`. `pcm` starts at `pcm_from_ms`, slightly earlier."""

    at_ms: int
    pcm_from_ms: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechWent:
    """More audio of the utterance."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """Silence for PAUSE_FRAMES; speech ended at `at_ms`. Set `silence_needed_ms` before taking the next event."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechWentOn:
    """Speech continues after a pause."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance ended; its last speech was at `at_ms`."""

    at_ms: int


EndpointEvent = SpeechBegan | SpeechWent | SpeechPaused | SpeechWentOn | SpeechEnded


class SpeechEndpointer:
    """Divides 16 kHz PCM into utterances. Times are milliseconds of audio since the first sample."""

    def __init__(
        self, detector: VoiceDetector, threshold: float = SPEECH, silence_ms: int = DEFAULT_SILENCE_MS
    ) -> None:
        """`threshold`: probability at which speech begins. `silence_ms`: what ends an utterance that nobody looks at."""
        self._detector = detector
        self._speech, self._still_speech = threshold, threshold * STILL_SPEECH_SHARE
        self._silence_ms = silence_ms
        self._rest = b""
        self._frames: deque[tuple[bytes, float]] = deque()  # seen by the detector, but not yet processed
        self._events: deque[EndpointEvent] = deque()
        self._n_frames = 0
        self.silence = 0  # number of the current silence, or of the next one while somebody speaks
        self._begin_idle()

    def _begin_idle(self) -> None:
        self._in_speech = self._paused = False
        self._recent: deque[tuple[bytes, bool]] = deque(maxlen=PRE_ROLL_FRAMES + START_FRAMES)
        self._flags: deque[bool] = deque(maxlen=RESUME_FRAMES)
        self._utterance_frames = self._silent_frames = 0
        self._spoken_until_ms = 0
        self.silence_needed_ms = self._silence_ms

    @property
    def now_ms(self) -> int:
        """Milliseconds of audio processed so far, in whole frames."""
        return self._n_frames * FRAME_MS

    @property
    def in_speech(self) -> bool:
        """True while an utterance is in progress."""
        return self._in_speech

    @property
    def falling_silent(self) -> bool:
        """True if a pause may be near: the utterance is then decoded again in a moment."""
        return self._silent_frames >= FALLING_SILENT_FRAMES

    @property
    def spoken_until_ms(self) -> int:
        """Where the latest speech ended."""
        return self._spoken_until_ms

    def push(self, pcm: bytes) -> None:
        """Add audio of any length."""
        data = self._rest + pcm
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        probabilities = self._detector.probabilities(data[:whole])
        frames = (data[start : start + FRAME_BYTES] for start in range(0, whole, FRAME_BYTES))
        self._frames.extend(zip(frames, probabilities, strict=True))

    def next(self) -> EndpointEvent | None:
        """The next event in the audio so far; None if there is none."""
        while not self._events and self._frames:
            self._frame(*self._frames.popleft())
        return self._events.popleft() if self._events else None

    def goes_on_within(self, silence_ms: int) -> bool | None:
        """At a pause: whether speech goes on before so much silence. None if the audio so far does not tell."""
        flags, silent_frames = self._flags.copy(), self._silent_frames
        for _, probability in self._frames:
            flags.append(probability >= self._still_speech)
            silent_frames += 1
            if sum(flags) >= RESUME_SPEECH_FRAMES:
                return True
            if silent_frames * FRAME_MS >= silence_ms:
                return False
        return None

    def flush(self) -> list[EndpointEvent]:
        """End the utterance at a commit or the end of the audio. A word that has just begun counts. Call it when `next` is None."""
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
            self._during_speech(frame, probability >= self._still_speech)
        else:
            self._while_idle(frame, probability >= self._speech)

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
        if speech and self.falling_silent and not self._paused:
            self.silence += 1
        self._silent_frames = 0 if speech and not self._paused else self._silent_frames + 1
        if self._paused and sum(self._flags) >= RESUME_SPEECH_FRAMES:
            self._paused, self._silent_frames = False, 0
            self.silence += 1
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
        self.silence += 1
        ended = SpeechEnded(self._spoken_until_ms)
        self._begin_idle()
        return ended
