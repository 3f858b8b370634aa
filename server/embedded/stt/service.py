"""M2, speech-to-text: the gRPC side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

import grpc
import grpc.aio

from protos import stt_pb2, stt_pb2_grpc
from server.embedded.service import EmbeddedConfig, EmbeddedService, InvalidRequestError, MissingPartError
from server.embedded.stt import engine
from server.embedded.stt.config import InvalidConfigError, checked
from server.embedded.stt.pool import DecoderPool
from server.embedded.stt.process import DecoderDiedError
from server.embedded.stt.stream import Ears, Recognition
from server.embedded.stt.trunk import RecognizeManyCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.embedded.stt.config import RecognizeSettings
    from server.embedded.stt.turn_model import TurnModel

    TrunkContext = grpc.aio.ServicerContext[stt_pb2.TrunkRequest, stt_pb2.TrunkResponse]
    Context = grpc.aio.ServicerContext[stt_pb2.RecognizeRequest, stt_pb2.RecognizeResponse]


class SpeechToTextService(EmbeddedService, stt_pb2_grpc.SpeechToTextServicer):
    """Whisper in decoder processes; PocketSphinx if Whisper's parts are missing."""

    name: ClassVar[str] = "stt"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._ears: Ears | None = None

    @property
    def pool(self) -> DecoderPool:
        """The decoder processes, once started."""
        assert self._ears is not None, "started first"
        return self._ears.pool

    async def start(self) -> None:
        """Verify and load the models. Raises MissingPartError."""
        options = self.config.option
        chosen = await asyncio.to_thread(engine.chosen, options("STT_ENGINE"), options("STT_MODEL_PATH"))
        turn_model = await asyncio.to_thread(_turn_model, options("TURN_MODEL_PATH"))
        pool = DecoderPool(chosen)
        await pool.start()
        self._ears = Ears(pool, chosen.detectors(), turn_model)
        self.engine = chosen.label

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the servicer."""
        stt_pb2_grpc.add_SpeechToTextServicer_to_server(self, server)

    async def stop(self) -> None:
        """End the decoder processes."""
        if self._ears is not None:
            await self._ears.pool.stop()

    async def Recognize(  # type: ignore[override] # the stubs know generators only; grpc.aio runs writers too  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[stt_pb2.RecognizeRequest], context: Context
    ) -> None:
        """Transcribe a microphone until its caller closes it. INVALID_ARGUMENT, UNAVAILABLE."""
        assert self._ears is not None, "started first"
        try:
            settings = await _settings(request_iterator)
            await Recognition(settings, self._ears, context.write).run(request_iterator)
        except InvalidConfigError as invalid:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(invalid))
        except ExceptionGroup as group:
            await _abort(group, context)

    async def RecognizeMany(  # type: ignore[override] # as above  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[stt_pb2.TrunkRequest], context: TrunkContext
    ) -> None:
        """Transcribe many microphones in one call."""
        await RecognizeManyCall(cast("Any", self.Recognize)).serve(request_iterator, context)


def _turn_model(path: str) -> TurnModel | None:
    if not path:
        return None
    from server.embedded.stt.turn_model import TurnModel  # noqa: PLC0415 - needs numpy, which comes with the engine

    return TurnModel(path)


async def _settings(requests: AsyncIterator[stt_pb2.RecognizeRequest]) -> RecognizeSettings:
    async for request in requests:
        if request.WhichOneof("request") == "config":
            return checked(request.config)
        break
    raise InvalidConfigError("the first message has to carry config")


async def _abort(group: ExceptionGroup[Exception], context: Context) -> NoReturn:
    """Abort with the status of the first failure. A bug of ours stays an exception, which gRPC logs."""
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
