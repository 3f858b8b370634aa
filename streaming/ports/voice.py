"""M2 and M3: streams of speech. Audio is 16-bit little-endian mono PCM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from streaming.ports.call import CallContext


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it lies, in milliseconds since the stream (STT) or the utterance (TTS) began."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class RecognitionConfig:
    """How to listen. `sample_rate_hz` is that of the PCM handed to `send_audio`."""

    language: str = "en-US"
    sample_rate_hz: int = 16_000
    interim: bool = True
    endpointing: bool = True
    vocabulary: tuple[str, ...] = ()
    progress: bool = False


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak `at_ms` of audio after the stream's beginning."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The utterance ended; its `FinalTranscript` follows."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class InterimTranscript:
    """What has been understood so far; the first `stable_chars` characters will not change again."""

    text: str
    stable_chars: int


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """One utterance as text; empty when it held no words."""

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
    """The speaker went on after an `EagerEnd`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class RecognitionProgress:
    """The audio up to `at_ms` was listened to, and holds no speech that is still to be told. Not every service says so."""

    at_ms: int


RecognitionEvent = SpeechStarted | SpeechStopped | InterimTranscript | FinalTranscript | EagerEnd | SpeechResumed


class RecognitionStream(Protocol):
    """One open microphone. Audio goes in without waiting; what has not left yet is counted by `on_taken`."""

    def send_audio(self, pcm: bytes) -> None:
        """Queue whole samples. Frames that arrive while a write is under way leave together in the next message."""

    def commit(self) -> None:
        """End the utterance here (push-to-talk)."""

    def end(self) -> None:
        """No more audio; what is left is still recognised."""

    def cancel(self) -> None:
        """Stop now; the iterator ends without an error."""

    def __aiter__(self) -> AsyncIterator[RecognitionEvent | RecognitionProgress]:
        """Events in order, progress if the configuration wants it, until the service has answered all audio; raises ServiceError when it breaks."""


class SpeechToText(Protocol):
    """M2."""

    def recognize(
        self, config: RecognitionConfig, context: CallContext, on_taken: Callable[[int], None]
    ) -> RecognitionStream:
        """Open a stream. `on_taken(bytes)` is called as audio leaves for the service: the microphone's credit."""


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
    """Where words lie in the utterance's audio."""

    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class SynthesisDone:
    """Last event."""

    duration_ms: int


SynthesisEvent = SynthesisStarted | SynthesisAudio | SynthesisWords | SynthesisDone


class SynthesisStream(Protocol):
    """One utterance being spoken. Not reading it holds the service back (HTTP/2 flow control)."""

    def send_text(self, text: str) -> None:
        """Queue a piece of text."""

    def end(self) -> None:
        """No more text."""

    def cancel(self) -> None:
        """Stop the synthesis now; the iterator ends without an error."""

    def __aiter__(self) -> AsyncIterator[SynthesisEvent]:
        """Events in order; raises ServiceError when the service breaks."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that can be asked for by `id`."""

    id: str
    name: str
    language: str
    gender: str
    sample_rate_hz: int
    engine: str = ""  # what speaks: hibari, espeak, piper; empty: the service does not tell


class TextToSpeech(Protocol):
    """M3."""

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> SynthesisStream:
        """Open an utterance."""

    async def voices(self, language: str, context: CallContext) -> Sequence[Voice]:
        """Voices of a language, or all."""
