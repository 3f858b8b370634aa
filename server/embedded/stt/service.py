"""M2, speech-to-text: the gRPC side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

import grpc
import grpc.aio

from protos import stt_pb2, stt_pb2_grpc
from server.embedded.callers import cancelled_without_caller
from server.embedded.fallback import Way, first_that_starts, label
from server.embedded.service import EmbeddedConfig, EmbeddedService, InvalidRequestError, MissingPartError
from server.embedded.stt import engine
from server.embedded.stt.config import LANGUAGE, InvalidConfigError, checked
from server.embedded.stt.pool import DecoderPool
from server.embedded.stt.process import DecoderDiedError
from server.embedded.stt.stream import Ears, Recognition
from server.embedded.stt.trunk import RecognizeManyCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from server.embedded.stt.config import RecognizeSettings
    from server.embedded.stt.turn_model import TurnModel

    TrunkContext = grpc.aio.ServicerContext[stt_pb2.TrunkRequest, stt_pb2.TrunkResponse]
    Context = grpc.aio.ServicerContext[stt_pb2.RecognizeRequest, stt_pb2.RecognizeResponse]


class SpeechToTextService(EmbeddedService, stt_pb2_grpc.SpeechToTextServicer):
    """Whisper in decoder processes; PocketSphinx if a part of Whisper's is missing or broken."""

    name: ClassVar[str] = "stt"
    languages: ClassVar[tuple[str, ...]] = (LANGUAGE,)

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._ears: Ears | None = None

    @property
    def pool(self) -> DecoderPool:
        """The decoder processes, once started."""
        assert self._ears is not None, "started first"
        return self._ears.pool

    async def start(self) -> None:
        """Verify and load the models: the wanted ones, else what there is. Raises MissingPartError if nothing recognises speech."""
        options = self.config.option
        choices = engine.choices(options("STT_ENGINE"), options("STT_MODEL_PATH"))
        ways = [Way(choice.does, partial(_recogniser, choice.find), choice.asked_by) for choice in choices]
        turns = await first_that_starts(_turn_models(options("TURN_MODEL_PATH")))
        found = await first_that_starts(ways)
        self._ears = replace(found.part.ears, turn_model=turns.part)
        self.engine = label(found.part.label, [*found.unmet, *turns.unmet])

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
            with cancelled_without_caller():
                await Recognition(settings, self._ears, context.write).run(request_iterator)
        except InvalidConfigError as invalid:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(invalid))
        except ExceptionGroup as group:
            await _abort(group, context)

    async def RecognizeMany(  # type: ignore[override] # as above  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[stt_pb2.TrunkRequest], context: TrunkContext
    ) -> None:
        """Transcribe many microphones in one call."""
        await RecognizeManyCall(cast("Any", self.Recognize), self.instance).serve(request_iterator, context)


@dataclass(frozen=True, slots=True)
class _Recogniser:
    label: str
    ears: Ears


async def _recogniser(find: Callable[[], engine.Engine]) -> _Recogniser:
    """Verify and load everything that an engine needs. Raises MissingPartError."""
    found = await asyncio.to_thread(find)
    detectors = await asyncio.to_thread(found.detectors)
    pool = DecoderPool(found)
    await pool.start()
    return _Recogniser(found.label, Ears(pool, detectors))


def _turn_models(path: str) -> list[Way[TurnModel | None]]:
    async def model() -> TurnModel | None:
        from server.embedded.stt.turn_model import TurnModel  # noqa: PLC0415 - needs numpy, which comes with the engine

        return await asyncio.to_thread(TurnModel, path)

    async def no_model() -> TurnModel | None:
        return None

    without = Way("the words alone tell when a turn ends", no_model)
    return [Way("", model, "TURN_MODEL_PATH"), without] if path else [without]


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
