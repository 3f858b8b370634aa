"""Items that a client adds: their fields, and sound inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streaming.openai.conversation import Conversation
from streaming.openai.items import checked_item
from streaming.openai.mistakes import MistakeError
from streaming.ports import FinalTranscript
from tests.support.openai_client import FRAME, Client, scripted
from tests.support.world import broken

if TYPE_CHECKING:
    from tests.support.world import World


def message(*content: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content), **more}


TEXT = {"type": "input_text", "text": "hello"}
SOUND = {"type": "input_audio", "audio": FRAME}
OUTPUT = {"type": "function_call_output", "call_id": "a", "output": "1"}


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (None, "missing_required_parameter", "item"),
        ("hello", "invalid_type", "item"),
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "magic"}, "invalid_value", "item.type"),
        (message(TEXT, colour="red"), "unknown_parameter", "item.colour"),
        (message(TEXT, call_id="a"), "unknown_parameter", "item.call_id"),
        (message(TEXT, status="great"), "invalid_value", "item.status"),
        (message(TEXT, id=5), "invalid_type", "item.id"),
        (message(TEXT, id="x" * 65), "invalid_value", "item.id"),
        ({"type": "message", "content": [TEXT]}, "missing_required_parameter", "item.role"),
        (message(TEXT, role="tool"), "invalid_value", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "role": "user", "content": "hello"}, "invalid_type", "item.content"),
        (message(), "invalid_value", "item.content"),
        (message("hello"), "invalid_type", "item.content[0]"),
        (message({"text": "a"}), "missing_required_parameter", "item.content[0].type"),
        (message({"type": "text", "text": "beta"}), "invalid_value", "item.content[0].type"),
        (message({"type": "input_text"}), "missing_required_parameter", "item.content[0].text"),
        (message({"type": "input_text", "text": 5}), "invalid_type", "item.content[0].text"),
        (message(TEXT | {"colour": 1}), "unknown_parameter", "item.content[0].colour"),
        (message(TEXT, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}), "invalid_value", "item.content[1].type"),
        (message({"type": "input_audio"}), "missing_required_parameter", "item.content[0].audio"),
        (message({"type": "input_audio", "audio": "***"}), "invalid_value", "item.content[0].audio"),
        (message({"type": "input_audio", "audio": "AAAA"}), "invalid_value", "item.content"),
        (message(SOUND, role="system"), "invalid_value", "item.content[0].type"),
        (message({"type": "output_audio", "audio": FRAME}, role="assistant"), "invalid_value", "item.content[0].audio"),
        ({"type": "function_call", "arguments": "{}"}, "missing_required_parameter", "item.name"),
        ({"type": "function_call", "name": "x", "arguments": {}}, "invalid_type", "item.arguments"),
        (OUTPUT | {"output": {}}, "invalid_type", "item.output"),
        (OUTPUT | {"name": "x"}, "unknown_parameter", "item.name"),
        ({"type": "mcp_approval_response", "approval_request_id": "a"}, "missing_required_parameter", "item.approve"),
        ({"type": "mcp_approval_response", "approval_request_id": "a", "approve": "yes"}, "invalid_type", "item.approve"),
    ],
)  # fmt: skip
def test_items_that_are_refused(item: Any, code: str, param: str) -> None:
    async def test(client: Client, _world: World) -> None:
        client.send("conversation.item.create", event_id="mine", item=item)
        error = await client.error()
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        assert client.of("conversation.item.added") == []

    scripted(test)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("session.update", {"session": {"type": "realtime"}}),
        ("input_audio_buffer.append", {"audio": FRAME}),
        ("input_audio_buffer.commit", {}),
        ("input_audio_buffer.clear", {}),
        ("conversation.item.create", {"item": message(TEXT)}),
        ("conversation.item.retrieve", {"item_id": "a"}),
        ("conversation.item.delete", {"item_id": "a"}),
        ("conversation.item.truncate", {"item_id": "a", "content_index": 0, "audio_end_ms": 0}),
        ("response.create", {}),
        ("response.cancel", {}),
        ("output_audio_buffer.clear", {}),
    ],
)
def test_an_event_has_its_own_fields_only(kind: str, fields: dict[str, Any]) -> None:
    async def test(client: Client, world: World) -> None:
        client.send(kind, event_id="mine", colour="red", **fields)
        error = await client.error()
        assert (error["code"], error["param"], error["event_id"]) == ("unknown_parameter", "colour", "mine")
        assert [event["type"] for event in client.events] == ["session.created", "error"]
        assert world.recognitions == []

    scripted(test)


def test_sound_in_an_item_is_recognised_before_it_is_answered() -> None:
    async def test(client: Client, world: World) -> None:
        client.send("conversation.item.create", item=message(TEXT, SOUND, SOUND, id="mine"))
        client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.created")
        while not world.recognitions or world.recognitions[-1].commits < 2:
            await client.soon()
        assert world.asked == []
        heard = world.recognitions[-1]
        assert len(heard.heard) == pytest.approx(2 * 3_200, abs=100)  # 100 ms of 16 kHz each
        heard.push(FinalTranscript("what is", 0.9, 0, 100), FinalTranscript("the time", 0.9, 100, 200))
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        assert world.asked[0] == "intent hello\nwhat is\nthe time"
        told = client.of("conversation.item.input_audio_transcription.completed")
        assert [(event["content_index"], event["transcript"]) for event in told] == [(1, "what is"), (2, "the time")]
        assert [event["usage"]["seconds"] for event in told] == [0.1, 0.1]
        client.send("conversation.item.retrieve", item_id="mine")
        item = (await client.until("conversation.item.retrieved"))["item"]
        assert [part.get("transcript") for part in item["content"]] == [None, "what is", "the time"]

    scripted(test)


def test_speech_without_words_restores_a_conversation() -> None:
    async def test(client: Client, _world: World) -> None:
        part = {"type": "output_audio", "transcript": None, "audio": None}
        client.send("conversation.item.create", item=message(part, role="assistant", status="incomplete"))
        assert (await client.until("conversation.item.done"))["item"]["content"] == [{"type": "output_audio"}]
        client.type("hello", output_modalities=["text"])
        assert (await client.until("response.done"))["response"]["status"] == "completed"

    scripted(test)


def test_a_known_transcript_needs_no_recogniser() -> None:
    async def test(client: Client, world: World) -> None:
        client.send("conversation.item.create", item=message({**SOUND, "transcript": "hello"}))
        client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.done")
        assert world.recognitions == []
        assert world.asked[0] == "intent hello"

    scripted(test)


def test_sound_in_the_input_of_a_response() -> None:
    async def test(client: Client, world: World) -> None:
        for place in ("auto", "none"):
            asked = len(world.recognitions)
            client.send(
                "response.create",
                response={"conversation": place, "input": [message(SOUND)], "output_modalities": ["text"]},
            )
            await client.until("response.created")
            while len(world.recognitions) == asked:
                await client.soon()
            world.recognitions[-1].push(FinalTranscript(f"hello {place}", 0.9, 0, 100))
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            assert f"intent hello {place}" in world.asked

    scripted(test)


def test_sound_that_cannot_be_recognised_leaves_the_other_words() -> None:
    async def test(client: Client, world: World) -> None:
        client.send("conversation.item.create", item=message(TEXT, SOUND))
        await client.until("conversation.item.done")
        while not world.recognitions:
            await client.soon()
        world.failing["stt"] = broken("stt", "INVALID_ARGUMENT")
        world.recognitions[-1].push(broken("stt", "INVALID_ARGUMENT"))
        await client.until("conversation.item.input_audio_transcription.failed")
        client.send("response.create", response={"output_modalities": ["text"], "instructions": "x"})
        assert (await client.until("response.done"))["response"]["status"] == "completed"

    scripted(test)


@pytest.mark.parametrize(
    "item",
    [
        message(*[{"type": "input_text", "text": ""}] * 2_000),
        {"type": "function_call", "name": "x" * 250_000, "arguments": "", "call_id": "c" * 250_000},
    ],
    ids=["empty parts", "long names"],
)
def test_what_is_no_word_counts_too(item: dict[str, Any]) -> None:
    conversation = Conversation()
    for _ in range(10):
        conversation.add(checked_item(item))
    with pytest.raises(MistakeError, match="conversation_too_long"):
        conversation.check(checked_item(item))


NAMES = {str(number): 0 for number in range(9_000)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"type": "message", "role": "user", "content": [], **NAMES}, "more than 1000 fields"),
        ({"type": "message", "role": "user", "content": [{"type": "input_text", **NAMES}]}, "more than 1000 fields"),
    ],
)
def test_thousands_of_unknown_names_are_not_looked_at_one_by_one(given: dict[str, Any], message: str) -> None:
    with pytest.raises(MistakeError, match=message):
        checked_item(given)
