"""M2 and M3: streams of speech. Audio is 16-bit little-endian mono PCM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from streaming.ports.call import CallContext


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its position, in milliseconds since the stream (STT) or the utterance (TTS) began."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Endpointing:
    """Wishes about how utterances are found; 0: the service's own value.

    `threshold`: probability of speech from which it begins. `patience`: factor of the silence that the service itself would wait
    for. `least_silence_ms`: an utterance ends after so much silence at least.
    """

    threshold: float = 0.0
    patience: float = 0.0
    least_silence_ms: int = 0


@dataclass(frozen=True, slots=True)
class RecognitionConfig:
    """How to recognise. `sample_rate_hz` is the rate of the PCM passed to `send_audio`."""

    language: str = "en-US"
    sample_rate_hz: int = 16_000
    interim: bool = True
    endpointing: bool = True
    vocabulary: tuple[str, ...] = ()
    progress: bool = False
    tuning: Endpointing = Endpointing()


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech began after `at_ms` of audio."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The utterance ended; its `FinalTranscript` follows."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class InterimTranscript:
    """What was recognised so far; the first `stable_chars` characters will not change again."""

    text: str
    stable_chars: int


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """One utterance as text; empty if it had no words."""

    text: str
    confidence: float
    start_ms: int
    end_ms: int
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class EagerEnd:
    """The speaker has probably finished; `text` may be acted on provisionally."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The speaker continued after an `EagerEnd`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class RecognitionProgress:
    """The audio up to `at_ms` was processed, and has no speech still to be reported. Not every service sends this."""

    at_ms: int


RecognitionEvent = SpeechStarted | SpeechStopped | InterimTranscript | FinalTranscript | EagerEnd | SpeechResumed


class RecognitionStream(Protocol):
    """One open microphone. Sending audio does not wait; `on_taken` counts what has left for the service."""

    def send_audio(self, pcm: bytes) -> None:
        """Queue whole samples. Frames that arrive during a write leave together in the next message."""

    def commit(self) -> None:
        """End the utterance here (push-to-talk)."""

    def end(self) -> None:
        """End the input; what was sent is still recognised."""

    def cancel(self) -> None:
        """Stop now; the iterator ends without error."""

    def __aiter__(self) -> AsyncIterator[RecognitionEvent | RecognitionProgress]:
        """Events in order, with progress if configured, until all audio is answered. Raises ServiceError if the service fails."""


class SpeechToText(Protocol):
    """M2."""

    def recognize(
        self, config: RecognitionConfig, context: CallContext, on_taken: Callable[[int], None]
    ) -> RecognitionStream:
        """Open a stream. `on_taken(bytes)` is called when audio leaves for the service; it becomes the microphone's credit."""


@dataclass(frozen=True, slots=True)
class SynthesisConfig:
    """How to speak. Empty voice and language: the service's default."""

    voice: str = ""
    speed: float = 1.0
    language: str = ""


@dataclass(frozen=True, slots=True)
class SynthesisStarted:
    """First event: the rate of all audio that follows."""

    sample_rate_hz: int
    voice: str


@dataclass(frozen=True, slots=True)
class SynthesisAudio:
    """The next piece of PCM."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class SynthesisWords:
    """Positions of words in the utterance's audio."""

    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class SynthesisDone:
    """The last event."""

    duration_ms: int


SynthesisEvent = SynthesisStarted | SynthesisAudio | SynthesisWords | SynthesisDone


class SynthesisStream(Protocol):
    """One utterance being spoken. If it is not read, HTTP/2 flow control holds the service back."""

    def send_text(self, text: str) -> None:
        """Queue a piece of text."""

    def end(self) -> None:
        """End the text."""

    def cancel(self) -> None:
        """Stop now; the iterator ends without error."""

    def hand_audio_to(self, ear: Callable[[bytes], bool]) -> None:
        """Offer audio to `ear` as it arrives, without waking the reader, while the reader waits for the next event.

        `ear` must not raise. What it refuses (False) comes from the iterator, as does everything else.
        """

    def __aiter__(self) -> AsyncIterator[SynthesisEvent]:
        """Events in order; raises ServiceError if the service fails."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice, selected by `id`."""

    id: str
    name: str
    language: str
    gender: str
    sample_rate_hz: int
    engine: str = ""  # hibari, espeak or piper; empty if the service does not report it


class TextToSpeech(Protocol):
    """M3."""

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> SynthesisStream:
        """Start an utterance."""

    async def voices(self, language: str, context: CallContext) -> Sequence[Voice]:
        """The voices of a language; all if it is empty."""
