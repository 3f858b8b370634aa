"""M3's gRPC side: text in, speech out sentence by sentence, so that the first is heard while the last is still being written.

A piece is synthesised as a whole in milliseconds (booth), then sent as fast as its caller takes it. The next one is made when that
is done, so a caller that does not read only holds back itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, cast

import grpc
import grpc.aio

from protos import tts_pb2, tts_pb2_grpc
from server.embedded.fallback import label
from server.embedded.service import EmbeddedConfig, EmbeddedService, InvalidRequestError
from server.embedded.tts import engines
from server.embedded.tts.allowance import Allowance
from server.embedded.tts.booth import Booth
from server.embedded.tts.manner import InvalidSpeedError, Manner, checked
from server.embedded.tts.pieces import Piece, PieceCutter
from server.embedded.tts.rates import at_rate
from server.embedded.tts.runs import joined, runs, standing_for
from server.embedded.tts.scripts import in_place_of, probable_language
from server.embedded.tts.speech import Speech
from server.embedded.tts.trunk import SynthesizeManyCall
from server.embedded.tts.voices import UnknownVoiceError, VoiceCatalogue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.embedded.tts.engine import Spoken

    Requests = AsyncIterator[tts_pb2.SynthesizeRequest]
    Context = grpc.aio.ServicerContext[tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse]
    TrunkContext = grpc.aio.ServicerContext[tts_pb2.TrunkRequest, tts_pb2.TrunkResponse]
    ListContext = grpc.aio.ServicerContext[tts_pb2.ListVoicesRequest, tts_pb2.ListVoicesResponse]

log = logging.getLogger(__name__)

STEP_CHARS = 4 * 1024  # cut at once, in a few milliseconds


class UnsayableError(Exception):
    """No installed engine can say the text, or all fail at it; the error's message says so."""


class TextToSpeechService(EmbeddedService, tts_pb2_grpc.TextToSpeechServicer):
    """Serves the speech calls and the list of voices; each engine is shared through one booth."""

    name: ClassVar[str] = "tts"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._booths: dict[str, Booth] = {}
        self._catalogue = VoiceCatalogue(())

    async def start(self) -> None:
        """Load the engines and warm up the default one. Raises MissingPartError if nothing speaks."""
        loaded = await engines.load(self.config)
        self._booths = {engine.name: Booth(engine) for engine in loaded.part}
        self._catalogue = VoiceCatalogue(loaded.part)
        self.engine = label(f"{loaded.part[0].name} ({self._catalogue.default()})", loaded.unmet)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the servicer."""
        tts_pb2_grpc.add_TextToSpeechServicer_to_server(self, server)

    async def stop(self) -> None:
        """End the threads."""
        for booth in self._booths.values():
            booth.close()

    async def ListVoices(  # noqa: N802 - gRPC's name
        self, request: tts_pb2.ListVoicesRequest, _context: ListContext
    ) -> tts_pb2.ListVoicesResponse:
        """The voices of a language; all if it is empty."""
        return tts_pb2.ListVoicesResponse(
            voices=[
                tts_pb2.Voice(
                    id=voice.id,
                    name=voice.name,
                    language=voice.language,
                    gender=voice.gender,
                    sample_rate_hz=voice.engine.sample_rate_hz,
                    engine=voice.engine.name,
                )
                for voice in self._catalogue.listed(request.language)
            ]
        )

    async def Synthesize(  # noqa: N802 - gRPC's name
        self, request_iterator: Requests, context: Context
    ) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        """Speak the text as it comes. INVALID_ARGUMENT. Cancelling the call stops the synthesis within a chunk."""
        try:
            async for response in self._speak(request_iterator):
                yield response
        except (InvalidRequestError, InvalidSpeedError, UnknownVoiceError, UnsayableError) as invalid:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(invalid))

    async def SynthesizeMany(  # type: ignore[override] # the stubs know generators only; grpc.aio runs writers too  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[tts_pb2.TrunkRequest], context: TrunkContext
    ) -> None:
        """Speak many texts in one call."""
        await SynthesizeManyCall(cast("Any", self.Synthesize), self.instance).serve(request_iterator, context)

    async def _speak(self, requests: Requests) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        manner = checked(await _config(requests), self._catalogue)
        rate_hz = self._catalogue.engine_of(manner.voice_id).sample_rate_hz
        yield tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=rate_hz, voice=manner.voice_id))
        speech = Speech(manner, rate_hz)
        allowance, unsaid = Allowance(), ""
        async for piece in _pieces(requests, allowance):
            spoken = None if piece.silent else await self._say(piece, manner, rate_hz, first=speech.silent)
            if spoken is None:
                unsaid = unsaid or piece.text.strip()
                continue
            allowance.make(len(spoken.pcm) * 500 / rate_hz * manner.engine_speed)
            for response in speech.responses(piece, spoken):
                yield response
        if unsaid and speech.silent:
            raise UnsayableError(f"there is nothing to say in {unsaid[:40]!r}")
        for response in speech.finish():
            yield response

    async def _say(self, piece: Piece, manner: Manner, rate_hz: int, *, first: bool) -> Spoken | None:
        """A piece as PCM of that rate; None if it only has signs that no engine can say.

        Raises UnsayableError for letters or digits that no engine can say, rather than leaving them out silently.
        """
        text = piece.speakable
        spoken = await self._say_run(text, manner, rate_hz, first=first)
        if not spoken.pcm and any(char.isalnum() for char in text):
            raise UnsayableError(f"the voice {manner.voice_id} cannot say {piece.text.strip()[:40]!r}")
        if spoken.pcm and spoken.unsaid:
            parts = [
                (at, await self._say_part(run, manner, rate_hz, first=first)) for at, run in runs(text, spoken.unsaid)
            ]
            return joined(parts, rate_hz)
        return spoken if spoken.pcm else None

    async def _say_part(self, text: str, manner: Manner, rate_hz: int, *, first: bool) -> Spoken:
        """A run within a piece. If no engine can say it, the listener is told that there is such a word."""
        spoken = await self._say_run(text, manner, rate_hz, first=first)
        if spoken.pcm:
            return spoken
        named = await self._say_run(in_place_of(text), manner, rate_hz, first=first)
        return standing_for(text, named, rate_hz)

    async def _say_run(self, text: str, manner: Manner, rate_hz: int, *, first: bool) -> Spoken:
        """A text as PCM of that rate, by another engine if this one can say nothing of it or fails; empty if none can.

        Raises UnsayableError if this one fails and no other speaks its language, or the other one fails too.
        """
        voice, instead_of = manner.voice_id, self._catalogue.instead_of
        try:
            spoken = await self._said_by(voice, text, manner.engine_speed, first=first)
        except UnsayableError:
            other = instead_of(voice, self._catalogue.language_of(voice))
            if other is None:
                raise
        else:
            other = None if spoken.pcm else instead_of(voice, probable_language(text))
            if other is None:
                return spoken
        engine = self._catalogue.engine_of(other)
        spoken = await self._said_by(other, text, engine.speaking_rate(manner.engine_speed), first=first)
        return at_rate(spoken, engine.sample_rate_hz, rate_hz)

    async def _said_by(self, voice_id: str, text: str, speed: float, *, first: bool) -> Spoken:
        """The text by that voice. Raises UnsayableError if its engine fails."""
        engine = self._catalogue.engine_of(voice_id)
        try:
            return await self._booths[engine.name].say(text, voice_id, speed, first=first)
        except Exception:  # a library may fail with anything; the listener must hear the sentence, and those after it
            log.exception("the voice %s failed at a text", voice_id)
            raise UnsayableError(f"the voice {voice_id} fails at {text.strip()[:40]!r}") from None


async def _config(requests: Requests) -> tts_pb2.SynthesizeConfig:
    async for request in requests:
        if request.WhichOneof("request") == "config":
            return request.config
        break
    raise InvalidRequestError("the first message has to carry config")


async def _pieces(requests: Requests, allowance: Allowance) -> AsyncIterator[Piece]:
    """Sentences as soon as they are complete, and the rest once the caller has closed its side."""
    cutter = PieceCutter()
    async for request in requests:
        match request.WhichOneof("request"):
            case "text":
                allowance.take(request.text)
            case "config":
                raise InvalidRequestError("config was sent twice: it belongs into the first message only")
            case _:
                raise InvalidRequestError("a message carried no text")
        for start in range(0, len(request.text), STEP_CHARS):
            for piece in cutter.feed(request.text[start : start + STEP_CHARS]):
                yield piece
    for piece in cutter.flush():
        yield piece
