"""M3, text-to-speech: sends text in pieces, and receives audio as fast as it is read."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from protos import tts_pb2
from server.upstream.convert import asking
from server.upstream.speech_trunk import SPEECH, SpeechStream
from server.upstream.status import failure
from server.upstream.stream import BidiMethod, BidiStream
from server.upstream.trunk import Trunks
from streaming.ports import (
    ServiceError,
    SynthesisAudio,
    SynthesisDone,
    SynthesisStarted,
    SynthesisWords,
    Voice,
    Word,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from protos.tts_pb2_grpc import TextToSpeechAsyncStub
    from server.upstream.background import Background
    from server.upstream.call import ServiceLine
    from streaming.ports import CallContext, SynthesisConfig, SynthesisEvent

    SpokenStream = BidiStream[tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse] | SpeechStream

log = logging.getLogger(__name__)

# Before each attempt after the trunk broke: a restarted service is back within these.
PAUSES_S = (0.0, 0.5, 1.5, 2.5)
BROKEN = frozenset(
    {"UNAVAILABLE", "CIRCUIT_OPEN", "ABORTED", "CANCELLED"}
)  # another stream may do better a little later

_SYNTHESIZE: BidiMethod[TextToSpeechAsyncStub, tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse] = BidiMethod(
    "Synthesize", lambda stub: stub.Synthesize, guard_writes=False
)


class TextSource:
    """Queued pieces of text, in order. Queued pieces are sent together."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()

    def text(self, piece: str) -> None:
        """Queue a piece."""
        self._pieces.append(piece)

    @property
    def waits(self) -> bool:
        """True if there is something to take."""
        return bool(self._pieces)

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
    """Implements `streaming.ports.SynthesisStream`.

    If its trunk breaks, a new stream gets the whole text again. The same text in the same voice sounds the same, so what was
    read already is skipped, and the reader notices no gap. `open_stream` opens a stream.
    """

    def __init__(self, open_stream: Callable[[TextSource], SpokenStream]) -> None:
        self._open_stream = open_stream
        self._source = TextSource()
        self._stream = open_stream(self._source)
        self._text: list[str] = []  # everything sent so far
        self._ended = self._started = self._cancelled = False
        self._repeats = False  # True after the trunk broke, while the service may still be restarting
        self._read_bytes = self._read_words = 0  # read by the owner, over all streams
        self._skip_bytes = self._skip_words = 0  # to skip in the current stream, because an earlier one delivered them
        self._ear: Callable[[bytes], bool] | None = None

    def send_text(self, text: str) -> None:
        """Queue text; ignored once the stream has ended. Text that is not valid Unicode ends the stream with INVALID_ARGUMENT."""
        if not text or self._ended or not (self._stream.live or self._repeats or self._lost_trunk):
            return
        try:
            text.encode()
        except UnicodeEncodeError:
            self._stream.fail(failure("tts", "INVALID_ARGUMENT", "text must be valid Unicode"))
            return
        self._text.append(text)
        self._source.text(text)
        self._stream.wake()

    def end(self) -> None:
        """End the text."""
        self._ended = True
        self._stream.end()

    def cancel(self) -> None:
        """Stop now; the iterator ends without an error."""
        self._cancelled = True
        self._ear = None
        self._stream.cancel()

    def hand_audio_to(self, ear: Callable[[bytes], bool]) -> None:
        """Offer audio to `ear` while the reader waits; only a stream in a trunk does so."""
        self._ear = ear
        if isinstance(self._stream, SpeechStream) and not self._cancelled:
            self._stream.ear = self._hand_over

    def _hand_over(self, audio: bytes) -> bool:
        if self._skip_bytes or self._ear is None or not self._ear(audio):
            return False
        self._read_bytes += len(audio)
        return True

    async def __aiter__(self) -> AsyncGenerator[SynthesisEvent, None]:
        """Events in order, none fetched before it is asked for. Raises ServiceError."""
        pauses_s = iter(PAUSES_S)
        try:
            while True:
                try:
                    event = await self._next()
                except ServiceError as broken:
                    if not self._may_repeat(broken) or (pause_s := next(pauses_s, None)) is None:
                        raise
                    log.info("speech goes on over another stream: %s", broken.code)
                    await asyncio.sleep(pause_s)
                    self._begin_again()
                    continue
                if event is None:
                    return
                yield event
        finally:
            self.cancel()

    def _may_repeat(self, broken: ServiceError) -> bool:
        """True if the trunk broke and every error since then only says that the service is not back yet."""
        self._repeats = self._lost_trunk or (self._repeats and broken.code in BROKEN)
        return self._repeats

    @property
    def _lost_trunk(self) -> bool:
        return isinstance(self._stream, SpeechStream) and self._stream.lost_trunk

    def _begin_again(self) -> None:
        if self._cancelled:
            return  # cancelled: keep the old stream, which ends without an error
        self._source = TextSource()
        self._stream = self._open_stream(self._source)
        self._skip_bytes, self._skip_words = self._read_bytes, self._read_words
        if self._text:
            self._source.text("".join(self._text))
            self._stream.wake()
        if self._ended:
            self._stream.end()
        if self._ear is not None:
            self.hand_audio_to(self._ear)

    async def _next(self) -> SynthesisEvent | None:
        """The next response, without what an earlier stream delivered; None at the end."""
        while (response := await self._stream.read()) is not None:
            event = _event(response)
            if type(event) is SynthesisAudio:
                event = self._fresh_audio(event)
            elif type(event) is SynthesisWords:
                event = self._fresh_words(event)
            elif type(event) is SynthesisStarted:
                event, self._started = None if self._started else event, True
            if event is not None:
                return event
        return None

    def _fresh_audio(self, event: SynthesisAudio) -> SynthesisAudio | None:
        if self._skip_bytes:
            n_bytes = len(event.pcm)
            event = SynthesisAudio(event.pcm[self._skip_bytes :])
            self._skip_bytes = max(0, self._skip_bytes - n_bytes)
        self._read_bytes += len(event.pcm)
        return event if event.pcm else None

    def _fresh_words(self, event: SynthesisWords) -> SynthesisWords | None:
        fresh = event.words[self._skip_words :]
        self._skip_words = max(0, self._skip_words - len(event.words))
        self._read_words += len(fresh)
        return SynthesisWords(fresh) if fresh else None


class TtsClient:
    """Implements `streaming.ports.TextToSpeech`."""

    def __init__(self, line: ServiceLine[TextToSpeechAsyncStub], background: Background) -> None:
        self._line = line
        self._background = background
        self._trunks = Trunks(line, SPEECH, background)

    def open_trunks(self) -> None:
        """Open the trunks before the first utterance. Call it when the service is up."""
        if self._trunks.enabled:
            self._trunks.open()

    def without_trunks(self) -> None:
        """Use a separate call per utterance. Only then are the service's spans part of the caller's trace."""
        self._trunks.enabled = False

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> TtsStream:
        """Start an utterance at once."""

        def open_stream(source: TextSource) -> SpokenStream:
            trunk = self._trunks.pick()
            if trunk is not None:
                with suppress(ServiceError):  # refused: the separate call below fails with the reason when it is read
                    return trunk.open(_config_message(config), partial(SpeechStream, source), context)
            return BidiStream(
                self._line, _SYNTHESIZE, lambda: _config_message(config), source, context, self._background
            )

        return TtsStream(open_stream)

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
