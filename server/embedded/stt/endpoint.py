"""Where speech begins and ends, by WebRTC's voice activity detector. Counts audio, never a clock.

A start is believed sooner than an end: barge-in depends on it. STRICT mode, because the looser ones hear speech in the noise
floor of an ordinary microphone and never let an utterance end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pocketsphinx import Vad

FRAME_MS = 30
FRAME_BYTES = 960  # 30 ms of 16 kHz, 16 bit
STRICT = 3
START_FRAMES, START_SPEECH_FRAMES = 6, 5  # 180 ms, all but one frame of it speech
END_FRAMES, END_SPEECH_FRAMES = 15, 1  # 450 ms with at most one frame of speech: a pause between words is shorter
EAGER_FRAMES = 7  # 210 ms without speech
RESUME_FRAMES, RESUME_SPEECH_FRAMES = 4, 3
PRE_ROLL_FRAMES = 8  # 240 ms before the first frame of speech: soft consonants come before the detector sees a voice
LEFT_OVER_SPEECH_FRAMES = 3  # a word cut short by a commit
MAX_UTTERANCE_FRAMES = 30_000 // FRAME_MS


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Speech since `at_ms`; `pcm` begins at `pcm_from_ms`, a little earlier."""

    at_ms: int
    pcm_from_ms: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechWent:
    """More of the utterance. `paused`: silent for a while; the last speech ended at `spoken_until_ms`."""

    pcm: bytes
    paused: bool
    spoken_until_ms: int


@dataclass(frozen=True, slots=True)
class SpeechWentOn:
    """Speech again, after `paused`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance is over; its last speech was at `at_ms`."""

    at_ms: int


EndpointEvent = SpeechBegan | SpeechWent | SpeechWentOn | SpeechEnded


class SpeechEndpointer:
    """Cuts 16 kHz PCM into utterances. Times are milliseconds of audio since the first sample."""

    def __init__(self) -> None:
        self._vad = Vad(STRICT, 16_000, FRAME_MS / 1000)
        self._rest = b""
        self._n_frames = 0
        self._begin_idle()

    def _begin_idle(self) -> None:
        self._in_speech = False
        self._recent: deque[tuple[bytes, bool]] = deque(maxlen=PRE_ROLL_FRAMES + START_FRAMES)
        self._flags: deque[bool] = deque(maxlen=END_FRAMES)
        self._utterance_frames = self._silent_frames = 0
        self._spoken_until_ms = 0
        self._paused = False

    @property
    def now_ms(self) -> int:
        """Audio so far, whole frames."""
        return self._n_frames * FRAME_MS

    def feed(self, pcm: bytes) -> list[EndpointEvent]:
        """More audio, of any length; what it shows."""
        data = self._rest + pcm
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        events: list[EndpointEvent] = []
        for start in range(0, whole, FRAME_BYTES):
            events += self._frame(data[start : start + FRAME_BYTES])
        return events

    def flush(self) -> list[EndpointEvent]:
        """End an utterance here: a commit, or no more audio. A word that had only begun counts."""
        rest, self._rest = self._rest, b""
        if self._in_speech:
            last = [SpeechWent(rest, self._paused, self._spoken_until_ms)] if rest else []
            return [*last, self._end()]
        if sum(speech for _, speech in self._recent) >= LEFT_OVER_SPEECH_FRAMES:
            began = self._begin()
            return [began, SpeechWent(rest, paused=False, spoken_until_ms=self.now_ms), self._end()]
        self._begin_idle()
        return []

    def _frame(self, frame: bytes) -> list[EndpointEvent]:
        speech = bool(self._vad.is_speech(frame))
        self._n_frames += 1
        return self._during_speech(frame, speech) if self._in_speech else self._while_idle(frame, speech)

    def _while_idle(self, frame: bytes, speech: bool) -> list[EndpointEvent]:
        self._recent.append((frame, speech))
        window = list(self._recent)[-START_FRAMES:]
        return [self._begin()] if sum(flag for _, flag in window) >= START_SPEECH_FRAMES else []

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

    def _during_speech(self, frame: bytes, speech: bool) -> list[EndpointEvent]:
        self._utterance_frames += 1
        self._flags.append(speech)
        self._silent_frames = 0 if speech else self._silent_frames + 1
        events: list[EndpointEvent] = []
        if self._paused and sum(list(self._flags)[-RESUME_FRAMES:]) >= RESUME_SPEECH_FRAMES:
            self._paused = False
            events.append(SpeechWentOn(self.now_ms - RESUME_FRAMES * FRAME_MS))
        if speech and not self._paused:
            self._spoken_until_ms = self.now_ms
        self._paused = self._paused or self._silent_frames >= EAGER_FRAMES
        events.append(SpeechWent(frame, self._paused, self._spoken_until_ms))
        if self._is_over():
            events.append(self._end())
        return events

    def _is_over(self) -> bool:
        if self._utterance_frames >= MAX_UTTERANCE_FRAMES:
            return True
        return len(self._flags) == END_FRAMES and sum(self._flags) <= END_SPEECH_FRAMES

    def _end(self) -> SpeechEnded:
        ended = SpeechEnded(self._spoken_until_ms)
        self._begin_idle()
        return ended
