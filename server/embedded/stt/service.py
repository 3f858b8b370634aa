"""M2's gRPC side: checks what comes in, resamples it once, passes it to a worker, and its events back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import grpc.aio
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from protos import stt_pb2, stt_pb2_grpc
from server.embedded.service import EmbeddedConfig, EmbeddedService, MissingPartError
from server.embedded.stt.pool import Stream, WorkerDiedError, WorkerPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RATE_HZ = 16_000
MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 48_000
MAX_VOCABULARY = 500

Context = grpc.aio.ServicerContext[Any, Any]


class WrongRequestError(Exception):
    """INVALID_ARGUMENT, with these words."""


def check(config: stt_pb2.RecognizeConfig) -> dict[str, Any]:
    """A worker's options. Raises WrongRequestError."""
    if config.language and not config.language.lower().startswith("en"):
        raise WrongRequestError(f"this recogniser knows English only, not {config.language[:35]}")
    if not MIN_RATE_HZ <= config.sample_rate_hz <= MAX_RATE_HZ:
        raise WrongRequestError(f"sample_rate_hz has to lie between {MIN_RATE_HZ} and {MAX_RATE_HZ}")
    if len(config.vocabulary) > MAX_VOCABULARY:
        raise WrongRequestError(f"vocabulary may hold {MAX_VOCABULARY} phrases")
    return {
        "interim": config.interim_results,
        "endpointing": config.endpointing,
        "vocabulary": list(config.vocabulary),
    }


class Resampler:
    """To 16 kHz, when it is not."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler = None if rate_hz == RATE_HZ else AudioResampler("s16", "mono", RATE_HZ)

    def feed(self, pcm: bytes) -> bytes:
        """Raises WrongRequestError for half a sample."""
        if len(pcm) % 2:
            raise WrongRequestError("audio has to be whole 16-bit samples")
        if self._resampler is None or not pcm:
            return pcm
        frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = self._rate_hz
        frame.planes[0].update(pcm)
        return b"".join(bytes(out.planes[0])[: out.samples * 2] for out in self._resampler.resample(frame))


def response(event: dict[str, Any]) -> stt_pb2.RecognizeResponse:
    """A worker's event as the proto has it."""
    fields = dict(event)
    kind = fields.pop("kind")
    if kind == "final":
        words = [stt_pb2.Word(text=text, start_ms=start, end_ms=end) for text, start, end in fields.pop("words")]
        return stt_pb2.RecognizeResponse(final=stt_pb2.Final(words=words, **fields))
    message = {
        "speech_started": stt_pb2.SpeechStarted,
        "speech_stopped": stt_pb2.SpeechStopped,
        "partial": stt_pb2.Partial,
        "eager_end": stt_pb2.EagerEnd,
        "speech_resumed": stt_pb2.SpeechResumed,
    }[kind]
    return stt_pb2.RecognizeResponse(**{kind: message(**fields)})


class SpeechToTextService(EmbeddedService, stt_pb2_grpc.SpeechToTextServicer):
    """See the package."""

    name: ClassVar[str] = "stt"
    full_name: ClassVar[str] = "jarvis.stt.v1.SpeechToText"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._pool = WorkerPool()

    async def start(self) -> None:
        """Load the models. Raises MissingPartError."""
        try:
            await self._pool.start()
        except WorkerDiedError:
            raise MissingPartError("PocketSphinx did not start: see the lines above") from None

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        stt_pb2_grpc.add_SpeechToTextServicer_to_server(self, server)

    async def stop(self) -> None:
        """End the workers."""
        await self._pool.stop()

    async def Recognize(  # noqa: N802 - gRPC's name
        self, requests: AsyncIterator[stt_pb2.RecognizeRequest], context: Context
    ) -> AsyncIterator[stt_pb2.RecognizeResponse]:
        """One microphone."""
        try:
            config = await self._config(requests)
            stream = await self._pool.open(check(config))
        except WrongRequestError as wrong:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        except WorkerDiedError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the recogniser is being restarted")
        feeding = asyncio.get_running_loop().create_task(
            self._feed(requests, stream, Resampler(config.sample_rate_hz)), name="stt feed"
        )
        try:
            async for event in self._events(stream, feeding, context):
                yield event
        finally:
            feeding.cancel()
            stream.close()

    async def _config(self, requests: AsyncIterator[stt_pb2.RecognizeRequest]) -> stt_pb2.RecognizeConfig:
        async for first in requests:
            if first.WhichOneof("request") == "config":
                return first.config
            break
        raise WrongRequestError("the first message has to carry config")

    async def _feed(
        self, requests: AsyncIterator[stt_pb2.RecognizeRequest], stream: Stream, resampler: Resampler
    ) -> None:
        """Everything behind the config. Raises WrongRequestError."""
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "audio":
                await stream.audio(resampler.feed(request.audio))
            elif kind == "commit":
                stream.commit()
            else:
                raise WrongRequestError("config comes first, and once")
        stream.end()

    async def _events(
        self, stream: Stream, feeding: asyncio.Task[None], context: Context
    ) -> AsyncIterator[stt_pb2.RecognizeResponse]:
        feeding.add_done_callback(lambda done: _pass_on(done, stream))
        while (event := await stream.events.get()) is not None:
            if isinstance(event, WorkerDiedError):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the recogniser died in the middle")
            elif "wrong" in event:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, event["wrong"])
            else:
                yield response(event)


def _pass_on(feeding: asyncio.Task[None], stream: Stream) -> None:
    """What was wrong with the requests ends the answers."""
    if not feeding.cancelled() and isinstance(feeding.exception(), WrongRequestError):
        stream.events.put_nowait({"wrong": str(feeding.exception())})
