"""A recogniser's answers as the port's events. An async generator: mypyc compiles none, so it stands apart from its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from streaming.ports import (
    EagerEnd,
    FinalTranscript,
    InterimTranscript,
    RecognitionProgress,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Word,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from protos import stt_pb2
    from streaming.ports import RecognitionEvent


class AnsweredStream(Protocol):
    """A stream whose answers are read."""

    def begin_reading(self) -> None:
        """Called before the first answer."""

    async def read(self) -> stt_pb2.RecognizeResponse | None:
        """The next answer; None at the end. Raises ServiceError."""

    def answered(self, event: RecognitionEvent | RecognitionProgress | None) -> None:
        """The service has answered; None: by what we do not know."""

    def end_reading(self) -> None:
        """Nobody reads any more."""


async def events_of(stream: AnsweredStream) -> AsyncGenerator[RecognitionEvent | RecognitionProgress, None]:
    """Events in order. Raises ServiceError."""
    stream.begin_reading()
    try:
        while (response := await stream.read()) is not None:
            event = event_of(response)
            stream.answered(event)
            if event is not None:
                yield event
    finally:
        stream.end_reading()


def event_of(response: stt_pb2.RecognizeResponse) -> RecognitionEvent | RecognitionProgress | None:
    """The event in our types; None for an unknown event of a newer service."""
    match response.WhichOneof("event"):
        case "partial":
            return InterimTranscript(response.partial.text, response.partial.stable_chars)
        case "final":
            return _final(response.final)
        case "speech_started":
            return SpeechStarted(response.speech_started.at_ms)
        case "speech_stopped":
            return SpeechStopped(response.speech_stopped.at_ms)
        case "eager_end":
            return EagerEnd(response.eager_end.at_ms, response.eager_end.text)
        case "speech_resumed":
            return SpeechResumed(response.speech_resumed.at_ms)
        case "progress":
            return RecognitionProgress(response.progress.at_ms)
    return None


def _final(final: stt_pb2.Final) -> FinalTranscript:
    words = tuple(Word(word.text, word.start_ms, word.end_ms, word.confidence) for word in final.words)
    return FinalTranscript(final.text, final.confidence, final.start_ms, final.end_ms, words)
