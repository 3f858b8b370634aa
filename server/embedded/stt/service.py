"""M2, speech-to-text: the gRPC side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import grpc
import grpc.aio

from protos import stt_pb2, stt_pb2_grpc
from server.embedded.service import EmbeddedConfig, EmbeddedService, MissingPartError
from server.embedded.stt import whisper
from server.embedded.stt.config import InvalidConfigError, checked
from server.embedded.stt.pool import DecoderPool
from server.embedded.stt.process import DecoderDiedError
from server.embedded.stt.stream import InvalidRequestError, Recognition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.embedded.stt.config import RecognizeSettings

    Context = grpc.aio.ServicerContext[stt_pb2.RecognizeRequest, stt_pb2.RecognizeResponse]


class SpeechToTextService(EmbeddedService, stt_pb2_grpc.SpeechToTextServicer):
    """PocketSphinx in decoder processes; faster-whisper for the final transcripts when STT_MODEL_PATH names a model."""

    name: ClassVar[str] = "stt"
    full_name: ClassVar[str] = "jarvis.stt.v1.SpeechToText"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._whisper_path = config.option("STT_MODEL_PATH")
        self.pool = DecoderPool(self._whisper_path)

    async def start(self) -> None:
        """Load the models in their processes. Raises MissingPartError."""
        if self._whisper_path:
            whisper.check(self._whisper_path)
        await self.pool.start()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        stt_pb2_grpc.add_SpeechToTextServicer_to_server(self, server)

    async def stop(self) -> None:
        """End the processes."""
        await self.pool.stop()

    async def Recognize(  # type: ignore[override] # the stubs know generators only; grpc.aio runs writers too  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[stt_pb2.RecognizeRequest], context: Context
    ) -> None:
        """Transcribe a microphone until its caller closes it. INVALID_ARGUMENT, UNAVAILABLE."""
        try:
            settings = await _settings(request_iterator)
            await Recognition(settings, self.pool, context.write).run(request_iterator)
        except InvalidConfigError as invalid:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(invalid))
        except ExceptionGroup as group:
            await _abort(group, context)


async def _settings(requests: AsyncIterator[stt_pb2.RecognizeRequest]) -> RecognizeSettings:
    async for request in requests:
        if request.WhichOneof("request") == "config":
            return checked(request.config)
        break
    raise InvalidConfigError("the first message has to carry config")


async def _abort(group: ExceptionGroup[Exception], context: Context) -> NoReturn:
    """The status of what went wrong first; a fault of this code stays an exception for gRPC to log."""
    known: tuple[tuple[type[Exception], grpc.StatusCode, str], ...] = (
        (InvalidRequestError, grpc.StatusCode.INVALID_ARGUMENT, ""),
        (DecoderDiedError, grpc.StatusCode.UNAVAILABLE, "the speech decoder died and is being replaced: try again"),
        (MissingPartError, grpc.StatusCode.UNAVAILABLE, ""),
    )
    for kind, code, words in known:
        found: Any = group.subgroup(kind)
        if found is not None:
            await context.abort(code, words or str(found.exceptions[0]))
    raise group
