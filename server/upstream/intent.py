"""M4, intent recognition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protos import intent_pb2
from server.upstream.convert import asking, from_struct, reading
from streaming.ports import Intent, IntentGuess, IntentInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protos.intent_pb2_grpc import IntentRecognizerAsyncStub
    from server.upstream.call import ServiceLine
    from streaming.ports import CallContext


class IntentClient:
    """Implements `streaming.ports.IntentRecognizer`."""

    def __init__(self, line: ServiceLine[IntentRecognizerAsyncStub]) -> None:
        self._line = line

    async def recognize(self, text: str, language: str, context: CallContext) -> Intent:
        """The most likely intent of `text`."""
        with asking("intent"):
            request = intent_pb2.RecognizeRequest(text=text, language=language, session_id=context.session_id)
        answer = await self._line.unary("Recognize", lambda stub: stub.Recognize, request, context, idempotent=True)
        with reading("intent"):
            others = tuple(
                IntentGuess(other.intent, other.confidence, from_struct(other.entities))
                for other in answer.alternatives
            )
            return Intent(answer.intent, answer.confidence, from_struct(answer.entities), others)

    async def intents(self, language: str, context: CallContext) -> Sequence[IntentInfo]:
        """All intents of the language."""
        with asking("intent"):
            request = intent_pb2.ListIntentsRequest(language=language)
        answer = await self._line.unary("ListIntents", lambda stub: stub.ListIntents, request, context, idempotent=True)
        return [
            IntentInfo(one.name, one.description, tuple(one.examples), tuple(one.entities)) for one in answer.intents
        ]
