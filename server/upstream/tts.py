"""M3, text-to-speech: text in pieces up, audio down on demand."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from protos import tts_pb2
from server.upstream.convert import asking
from server.upstream.status import failure
from server.upstream.stream import BidiMethod, BidiStream
from streaming.ports import (
    SynthesisAudio,
    SynthesisDone,
    SynthesisStarted,
    SynthesisWords,
    Voice,
    Word,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from protos.tts_pb2_grpc import TextToSpeechAsyncStub
    from server.upstream.background import Background
    from server.upstream.call import ServiceLine
    from streaming.ports import CallContext, SynthesisConfig, SynthesisEvent


_SYNTHESIZE: BidiMethod[TextToSpeechAsyncStub, tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse] = BidiMethod(
    "Synthesize", lambda stub: stub.Synthesize, guard_writes=False
)


class TextSource:
    """Pieces of text in order. Waiting pieces are sent together."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()

    def text(self, piece: str) -> None:
        """Queue a piece."""
        self._pieces.append(piece)

    def take(self) -> tts_pb2.SynthesizeRequest | None:
        """All waiting text."""
        if not self._pieces:
            return None
        text = "".join(self._pieces)
        self._pieces.clear()
        return tts_pb2.SynthesizeRequest(text=text)

    def sent(self) -> None:
        """Nothing to do: text has no credit."""

    def linger_s(self) -> float:
        """Text is sent at once."""
        return 0.0


class TtsStream:
    """Implements `streaming.ports.SynthesisStream`."""

    def __init__(
        self, stream: BidiStream[tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse], source: TextSource
    ) -> None:
        self._stream = stream
        self._source = source

    def send_text(self, text: str) -> None:
        """Queue text; ignored once the stream has ended. Text that is not valid Unicode ends the stream with INVALID_ARGUMENT."""
        if not text or not self._stream.live:
            return
        try:
            text.encode()
        except UnicodeEncodeError:
            self._stream.fail(failure("tts", "INVALID_ARGUMENT", "text must be valid Unicode"))
            return
        self._source.text(text)
        self._stream.wake()

    def end(self) -> None:
        """End the text."""
        self._stream.end()

    def cancel(self) -> None:
        """Stop now; the iterator ends without error."""
        self._stream.cancel()

    async def __aiter__(self) -> AsyncGenerator[SynthesisEvent, None]:
        """Events in order, fetched only on demand. Raises ServiceError."""
        try:
            while (response := await self._stream.read()) is not None:
                event = _event(response)
                if event is not None:
                    yield event
        finally:
            self._stream.cancel()


class TtsClient:
    """Implements `streaming.ports.TextToSpeech`."""

    def __init__(self, line: ServiceLine[TextToSpeechAsyncStub], background: Background) -> None:
        self._line = line
        self._background = background

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> TtsStream:
        """Start an utterance at once."""
        source = TextSource()
        stream = BidiStream(self._line, _SYNTHESIZE, lambda: _config_message(config), source, context, self._background)
        return TtsStream(stream, source)

    async def voices(self, language: str, context: CallContext) -> Sequence[Voice]:
        """The voices of a language; all if it is empty."""
        with asking("tts"):
            request = tts_pb2.ListVoicesRequest(language=language)
        answer = await self._line.unary("ListVoices", lambda stub: stub.ListVoices, request, context, idempotent=True)
        return [
            Voice(voice.id, voice.name, voice.language, voice.gender, voice.sample_rate_hz, voice.engine)
            for voice in answer.voices
        ]


def _config_message(config: SynthesisConfig) -> tts_pb2.SynthesizeRequest:
    message = tts_pb2.SynthesizeConfig(voice=config.voice, speed=config.speed, language=config.language)
    return tts_pb2.SynthesizeRequest(config=message)


def _event(response: tts_pb2.SynthesizeResponse) -> SynthesisEvent | None:
    """The event in our types; None for an unknown event of a newer service."""
    match response.WhichOneof("event"):
        case "audio":
            return SynthesisAudio(response.audio)
        case "words":
            return SynthesisWords(tuple(Word(word.text, word.start_ms, word.end_ms) for word in response.words.words))
        case "started":
            return SynthesisStarted(response.started.sample_rate_hz, response.started.voice)
        case "done":
            return SynthesisDone(response.done.duration_ms)
    return None
