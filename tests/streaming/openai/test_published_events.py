"""Every client event with every field of OpenAI's published types is understood, and everything else has its typed error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
from openai.types.realtime import RealtimeClientEvent

from streaming.openai.client_events import TYPES
from tests.support.openai_client import FRAME, LONG, Client, scripted

if TYPE_CHECKING:
    from tests.support.world import World

PUBLISHED = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(RealtimeClientEvent)[0])
}
FUNCTION = {"type": "function", "name": "weather", "description": "now", "parameters": {"type": "object"}}
MCP = {
    "type": "mcp",
    "server_label": "jarvis",
    "server_url": "https://example.com",
    "server_description": "d",
    "authorization": "secret",
    "headers": {"a": "b"},
    "allowed_tools": ["os.rm"],
    "require_approval": {"always": {"tool_names": ["os.rm"]}, "never": {"read_only": True}},
    "defer_loading": False,
}
SESSIONS: dict[str, dict[str, Any]] = {
    "server_vad": {
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.4,
            "prefix_padding_ms": 0,
            "silence_duration_ms": 200,
            "idle_timeout_ms": 6_000,
            "create_response": False,
            "interrupt_response": False,
        }
    },
    "semantic_vad": {"turn_detection": {"type": "semantic_vad", "eagerness": "low", "create_response": False}},
    "manual": {"turn_detection": None},
    "mu-law": {"format": {"type": "audio/pcmu"}},
    "A-law": {"format": {"type": "audio/pcma"}},
    "noise": {"noise_reduction": {"type": "far_field", "strength": 0.5}},
    "transcription": {
        "transcription": {
            "model": "gpt-realtime-whisper",
            "language": "en",
            "languages": ["en", "de"],
            "prompt": "words",
            "keywords": ["one"],
            "delay": "low",
        }
    },
    "no transcription": {"transcription": None},
}
WHOLE: dict[str, Any] = {
    "model": "gpt-realtime-2.1",
    "include": ["item.input_audio_transcription.logprobs"],
    "instructions": "be brief",
    "max_output_tokens": 200,
    "output_modalities": ["text"],
    "parallel_tool_calls": True,
    "prompt": {"id": "p", "version": "1", "variables": {"a": "b", "c": {"type": "input_text", "text": "d"}}},
    "reasoning": {"effort": "low"},
    "tool_choice": {"type": "function", "name": "weather"},
    "tools": [FUNCTION, MCP],
    "tracing": {"workflow_name": "w", "group_id": "g", "metadata": {"a": 1}},
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 100}},
    "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24_000}, "speed": 1.25, "voice": {"id": "hibari"}}},
}
RESPONSE: dict[str, Any] = {
    "audio": {"output": {"format": {"type": "audio/pcma"}, "voice": "cedar"}},
    "conversation": "none",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": "{}"},
    ],
    "instructions": "be brief",
    "max_output_tokens": "inf",
    "metadata": {"topic": "x"},
    "output_modalities": ["audio"],
    "parallel_tool_calls": False,
    "prompt": {"id": "p"},
    "reasoning": {"effort": "high"},
    "tool_choice": "none",
    "tools": [FUNCTION],
}


def test_the_published_client_events_are_all_known() -> None:
    assert set(PUBLISHED) == set(TYPES)


def test_the_rows_have_every_published_field() -> None:
    session, response = PUBLISHED["session.update"], PUBLISHED["response.create"]
    (realtime, _) = get_args(session.model_fields["session"].annotation)
    params = get_args(response.model_fields["response"].annotation)[0]
    assert {"type", *WHOLE} == set(realtime.model_fields)
    assert set(RESPONSE) == set(params.model_fields)


@pytest.mark.parametrize("change", SESSIONS.values(), ids=SESSIONS)
def test_settings_of_the_input_are_taken_and_told(change: dict[str, Any]) -> None:
    async def test(client: Client, _world: World) -> None:
        client.update(audio={"input": change})
        told = (await client.until("session.updated"))["session"]["audio"]["input"]
        for name, value in change.items():
            if isinstance(value, dict):
                assert value.items() <= told[name].items()
            else:
                assert told[name] == value
        assert client.of("error") == []

    scripted(test)


def test_every_setting_is_taken_and_told() -> None:
    async def test(client: Client, _world: World) -> None:
        client.update(**WHOLE)
        told = (await client.until("session.updated"))["session"]
        for name in WHOLE.keys() - {"model", "audio"}:
            assert told[name] == WHOLE[name], name
        assert told["audio"]["output"] == WHOLE["audio"]["output"]
        assert client.of("error") == []

    scripted(test)


@pytest.mark.parametrize("change", SESSIONS.values(), ids=SESSIONS)
def test_settings_of_a_transcription_session(change: dict[str, Any]) -> None:
    async def test(client: Client, _world: World) -> None:
        client.send("session.update", session={"type": "transcription", "audio": {"input": change}})
        await client.until("session.updated")
        assert client.of("error") == []

    scripted(test, transcription=True)


def test_a_response_with_every_field() -> None:
    async def test(client: Client, _world: World) -> None:
        client.send("response.create", response=RESPONSE, event_id="mine")
        created = (await client.until("response.created"))["response"]
        assert created["metadata"] == {"topic": "x"}
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "completed"
        assert "conversation_id" not in done
        assert done["audio"]["output"] == {"format": {"type": "audio/pcma"}, "voice": "cedar"}
        assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]
        assert client.of("error") == []
        assert client.of("conversation.item.added") == []

    scripted(test)


@pytest.mark.parametrize("kind", sorted(PUBLISHED))
def test_an_unknown_field_and_a_wrong_event_id_of_every_event(kind: str) -> None:
    async def test(client: Client, _world: World) -> None:
        client.send(kind, event_id="mine", audio_codec="x")
        error = await client.error()
        assert (error["code"], error["param"], error["event_id"]) == ("unknown_parameter", "audio_codec", "mine")
        client.send(kind, event_id={"a": 1}, audio_codec="x")
        assert "event_id" not in await client.error()

    scripted(test)


def test_ids_are_the_same_in_all_events_of_a_turn() -> None:
    async def test(client: Client, _world: World) -> None:
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("hello")
        done = (await client.until("response.done"))["response"]
        (user, reply) = [event["item"]["id"] for event in client.of("conversation.item.added")]
        heard = [
            event for event in client.events if event["type"].startswith(("input_audio", "conversation.item.input"))
        ]
        assert {event["item_id"] for event in heard} == {user}
        parts = [event for event in client.events if event["type"].startswith("response.") and "item_id" in event]
        assert {(event["response_id"], event["item_id"], event["output_index"]) for event in parts} == {
            (done["id"], reply, 0)
        }
        assert {event["content_index"] for event in parts} == {0}
        places = [event["previous_item_id"] for event in client.of("conversation.item.added")]
        assert places == [None, user]
        assert [item["id"] for item in done["output"]] == [reply]
        words = "".join(event["delta"] for event in client.of("response.output_audio_transcript.delta"))
        assert words == done["output"][0]["content"][0]["transcript"]

    scripted(test)


def test_a_reply_in_text_has_the_order_of_the_api() -> None:
    async def test(client: Client, _world: World) -> None:
        client.type("hello", output_modalities=["text"])
        done = (await client.until("response.done"))["response"]
        kinds = [event["type"] for event in client.events if event["type"].startswith("response.")]
        assert kinds == [
            "response.created",
            "response.output_item.added",
            "response.content_part.added",
            *["response.output_text.delta"] * kinds.count("response.output_text.delta"),
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]
        words = "".join(event["delta"] for event in client.of("response.output_text.delta"))
        assert words == client.of("response.output_text.done")[0]["text"] == done["output"][0]["content"][0]["text"]
        assert words

    scripted(test)


def test_a_second_response_meanwhile_names_the_first() -> None:
    async def test(client: Client, _world: World) -> None:
        client.type(LONG)
        first = (await client.until("response.created"))["response"]["id"]
        client.send("response.create", event_id="mine")
        error = await client.error()
        assert error["code"] == "conversation_already_has_active_response"
        assert first in error["message"]
        client.send("response.cancel", response_id=first)
        done = (await client.until("response.done"))["response"]
        assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}

    scripted(test)


def test_an_item_reference_is_answered_as_what_it_refers_to() -> None:
    async def test(client: Client, world: World) -> None:
        item = {"id": "mine", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
        client.send("conversation.item.create", item=item)
        where = {"conversation": "none", "input": [{"type": "item_reference", "id": "mine"}]}
        client.send("response.create", response=where)
        await client.until("response.done")
        assert "planner hello" in world.asked
        client.send("response.create", response={**where, "input": [{"type": "item_reference", "id": "no"}]})
        assert (await client.error())["code"] == "item_reference_invalid_item_id"

    scripted(test)


def test_text_that_is_no_event() -> None:
    async def test(client: Client, _world: World) -> None:
        assert client.live is not None
        for text in ("", "[]", "null", '{"type": 1}', json.dumps({"type": "response.create", "response": []})):
            client.live.receive(text)
            assert (await client.error())["type"] == "invalid_request_error"

    scripted(test)
