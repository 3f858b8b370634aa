from __future__ import annotations

from protos import intent_pb2
from server.upstream.convert import to_struct
from streaming.ports import Intent, IntentGuess, IntentInfo
from tests.server.upstream.observing import CALLER
from tests.support.services import FakeServices


async def test_recognize() -> None:
    async with FakeServices("intent") as fakes, fakes.upstream() as upstream:
        other = intent_pb2.Alternative(intent="search", confidence=0.25, entities=to_struct({"query": "time"}))
        fakes.intent.answer(
            "Recognize",
            intent_pb2.RecognizeResponse(
                intent="get_time", confidence=0.75, entities=to_struct({"count": 2}), alternatives=[other]
            ),
        )
        intent = await upstream.services.intent.recognize("what time is it", "en-GB", CALLER)
        request = fakes.intent.calls[0].requests[0]
    assert intent == Intent("get_time", 0.75, {"count": 2}, (IntentGuess("search", 0.25, {"query": "time"}),))
    assert request == intent_pb2.RecognizeRequest(text="what time is it", language="en-GB", session_id="s-1")


async def test_intents() -> None:
    async with FakeServices("intent") as fakes, fakes.upstream() as upstream:
        one = intent_pb2.Intent(name="get_time", description="d", examples=["a", "b"], entities=["place"])
        fakes.intent.answer("ListIntents", intent_pb2.ListIntentsResponse(intents=[one]))
        assert await upstream.services.intent.intents("en", CALLER) == [
            IntentInfo("get_time", "d", ("a", "b"), ("place",))
        ]
        assert fakes.intent.calls[0].requests[0].language == "en"
