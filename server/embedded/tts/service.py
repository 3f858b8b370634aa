"""M3's gRPC side: text in, speech out, a sentence at a time, so that the first is heard while the last is still being written.

One thread synthesises, one piece at a time, for all callers in turn: two who speak share it sentence by sentence. A piece is
made whole in milliseconds and then sent as fast as its caller takes it; the next is made when that is done, so a caller who
does not read holds back himself alone.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import grpc
import grpc.aio

from protos import tts_pb2, tts_pb2_grpc
from server.embedded.service import EmbeddedConfig, EmbeddedService
from server.embedded.tts.espeak import Espeak
from server.embedded.tts.manner import InvalidSpeedError, Manner, checked
from server.embedded.tts.pieces import Piece, PieceCutter
from server.embedded.tts.piper import Piper
from server.embedded.tts.speech import Speech
from server.embedded.tts.voices import UnknownVoiceError, VoiceCatalogue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.embedded.tts.engine import Engine, Spoken

    Requests = AsyncIterator[tts_pb2.SynthesizeRequest]
    Context = grpc.aio.ServicerContext[tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse]
    ListContext = grpc.aio.ServicerContext[tts_pb2.ListVoicesRequest, tts_pb2.ListVoicesResponse]

MAX_TEXT_CHARS = 100_000  # of one call: two hours of speech; more is a mistake


class InvalidRequestError(Exception):
    """The caller's fault; the text says what was wrong."""


class TextToSpeechService(EmbeddedService, tts_pb2_grpc.TextToSpeechServicer):
    """See the module."""

    name: ClassVar[str] = "tts"
    full_name: ClassVar[str] = "jarvis.tts.v1.TextToSpeech"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tts")
        self._engine: Engine | None = None
        self._catalogue = VoiceCatalogue((), ())

    async def start(self) -> None:
        """Load the engine in its thread. Raises MissingPartError."""
        path = self.config.option("TTS_VOICE_PATH")
        engine = self._engine = await asyncio.get_running_loop().run_in_executor(self._thread, _load, path)
        self._catalogue = VoiceCatalogue(engine.voices, engine.variants)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        tts_pb2_grpc.add_TextToSpeechServicer_to_server(self, server)

    async def stop(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def engine(self) -> Engine:
        """Loaded."""
        assert self._engine is not None, "the host refuses calls before start"
        return self._engine

    async def ListVoices(  # noqa: N802 - gRPC's name
        self, request: tts_pb2.ListVoicesRequest, _context: ListContext
    ) -> tts_pb2.ListVoicesResponse:
        """Of a language, or all."""
        rate_hz = self.engine.sample_rate_hz
        return tts_pb2.ListVoicesResponse(
            voices=[
                tts_pb2.Voice(
                    id=voice.id, name=voice.name, language=voice.language, gender=voice.gender, sample_rate_hz=rate_hz
                )
                for voice in self._catalogue.listed(request.language)
            ]
        )

    async def Synthesize(  # noqa: N802 - gRPC's name
        self, request_iterator: Requests, context: Context
    ) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        """Speak what comes. INVALID_ARGUMENT. Cancelling the call stops the synthesis within a chunk."""
        try:
            async for response in self._speak(request_iterator):
                yield response
        except (InvalidRequestError, InvalidSpeedError, UnknownVoiceError) as invalid:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(invalid))

    async def _speak(self, requests: Requests) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        manner = checked(await _config(requests), self._catalogue, self.engine)
        rate_hz = self.engine.sample_rate_hz
        yield tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=rate_hz, voice=manner.voice_id))
        speech = Speech(manner, rate_hz)
        async for piece in _pieces(requests):
            if piece.silent:
                continue
            for response in speech.responses(piece, await self._say(piece, manner)):
                yield response
        for response in speech.finish():
            yield response

    async def _say(self, piece: Piece, manner: Manner) -> Spoken:
        """A piece, made in the thread; a caller who has gone is told to it."""
        gone = threading.Event()
        say = partial(self.engine.say, piece.speakable, manner.voice_id, manner.engine_speed, lambda: not gone.is_set())
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, say)
        finally:
            gone.set()


def _load(piper_voice_path: str) -> Engine:
    return Piper(piper_voice_path) if piper_voice_path else Espeak()


async def _config(requests: Requests) -> tts_pb2.SynthesizeConfig:
    async for request in requests:
        if request.WhichOneof("request") == "config":
            return request.config
        break
    raise InvalidRequestError("the first message has to carry config")


async def _pieces(requests: Requests) -> AsyncIterator[Piece]:
    """Sentences as soon as they are whole, the rest when the caller has closed his side."""
    cutter, n_chars = PieceCutter(), 0
    async for request in requests:
        match request.WhichOneof("request"):
            case "text":
                n_chars += len(request.text)
            case "config":
                raise InvalidRequestError("config was sent twice: it belongs into the first message only")
            case _:
                raise InvalidRequestError("a message carried no text")
        if n_chars > MAX_TEXT_CHARS:
            raise InvalidRequestError(f"the text of one call may have {MAX_TEXT_CHARS} characters")
        for piece in cutter.feed(request.text):
            yield piece
    for piece in cutter.flush():
        yield piece
