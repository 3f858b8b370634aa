"""M4, intent recognition: hassil's templates first; for near misses, the most similar sentence that they describe."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import grpc.aio
from google.protobuf.struct_pb2 import Struct

from protos import intent_pb2, intent_pb2_grpc
from server.embedded.fairness import FairThreads
from server.embedded.intent import templates
from server.embedded.intent.recognition import prepare, recognise
from server.embedded.service import EmbeddedConfig, EmbeddedService

if TYPE_CHECKING:
    from server.embedded.intent.recognition import IntentCandidate

MAX_TEXT_CHARS = 2_000
MAX_ALTERNATIVES = 3
KEPT_ANSWERS = 256  # people say the same few things again and again

Context = grpc.aio.ServicerContext[Any, Any]


def understood(language: str) -> bool:
    """True for a BCP 47 tag of English; empty means en-US."""
    return not language or language.replace("_", "-").split("-")[0].lower() == "en"


def _struct(values: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


def _answer(best: IntentCandidate, others: tuple[IntentCandidate, ...]) -> intent_pb2.RecognizeResponse:
    return intent_pb2.RecognizeResponse(
        intent=best.intent,
        confidence=best.confidence,
        entities=_struct(best.entities),
        alternatives=[
            intent_pb2.Alternative(
                # the more certain the best guess is, the less likely are the others
                intent=other.intent,
                confidence=round(min(other.confidence, best.confidence) * (1.5 - best.confidence), 2),
                entities=_struct(other.entities),
            )
            for other in others[:MAX_ALTERNATIVES]
        ],
    )


class IntentService(EmbeddedService, intent_pb2_grpc.IntentRecognizerServicer):
    """Serves Recognize (the intent of a text) and ListIntents, from the templates in this folder."""

    name: ClassVar[str] = "intent"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        # A text takes some ten milliseconds, however short it is, and threads would only wait for each other.
        self._threads = FairThreads(1, "intent")
        self._kept: dict[str, intent_pb2.RecognizeResponse] = {}  # by text, the last asked for at the end

    async def start(self) -> None:
        """Compile the templates, and the sentences for near misses."""
        await asyncio.to_thread(prepare)

    async def stop(self) -> None:
        """End the thread."""
        self._threads.close()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the servicer."""
        intent_pb2_grpc.add_IntentRecognizerServicer_to_server(self, server)

    async def Recognize(  # noqa: N802 - gRPC's name
        self, request: intent_pb2.RecognizeRequest, context: Context
    ) -> intent_pb2.RecognizeResponse:
        """The most likely intent."""
        await _check_language(request.language, context)
        length = len(request.text)
        if length > MAX_TEXT_CHARS:
            too_long = f"the text is too long, it has {length} characters and may have {MAX_TEXT_CHARS}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, too_long)
        if not request.text.strip():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the text is empty")
        answer = self._kept.pop(request.text, None)
        if answer is None:
            best, *others = await self._threads.run(partial(recognise, request.text))
            answer = _answer(best, tuple(others))
        self._kept[request.text] = answer
        if len(self._kept) > KEPT_ANSWERS:
            del self._kept[next(iter(self._kept))]
        return answer

    async def ListIntents(  # noqa: N802 - gRPC's name
        self, request: intent_pb2.ListIntentsRequest, context: Context
    ) -> intent_pb2.ListIntentsResponse:
        """The intents of the language file."""
        await _check_language(request.language, context)
        return intent_pb2.ListIntentsResponse(
            intents=[
                intent_pb2.Intent(
                    name=name,
                    description=entry["description"],
                    examples=templates.examples(name),
                    entities=templates.entity_names(name),
                )
                for name, entry in templates.document()["intents"].items()
            ]
        )


async def _check_language(language: str, context: Context) -> None:
    if not understood(language):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"only English is known, not {language[:35]}")
