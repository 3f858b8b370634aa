"""A session of OpenAI's dialect with scripted services: events in, events out, on virtual time."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import FinalTranscript, SeenMessage, ServiceError, SpeechStarted, SpeechStopped
from streaming.residents import Departure
from tests.support.openai_client import FRAME, LONG, Client, scripted, spoken

if TYPE_CHECKING:
    from tests.support.world import World


def test_settings_merge_deeply_and_are_told_whole() -> None:
    async def test(client: Client, _world: World) -> None:
        created = await client.until("session.created")
        assert created["session"]["audio"]["input"]["turn_detection"]["interrupt_response"] is True
        client.update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 900}}})
        detection = (await client.until("session.updated"))["session"]["audio"]["input"]["turn_detection"]
        assert (detection["silence_duration_ms"], detection["create_response"]) == (900, True)
        client.update(tracing="auto")
        again = (await client.until("session.updated"))["session"]
        assert again["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 900
        client.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}, "output": {"voice": "hibari"}})
        semantic = (await client.until("session.updated"))["session"]["audio"]
        assert semantic["input"]["turn_detection"]["type"] == "semantic_vad"
        assert semantic["output"]["voice"] == "hibari"

    scripted(test)


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, "invalid_value", "session.audio.input.format.rate"),
        ({"audio": {"output": {"voice": "nobody"}}}, "invalid_value", "session.audio.output.voice"),
        ({"modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({"colour": "red"}, "unknown_parameter", "session.colour"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"audio": {"input": {"turn_detection": {"type": "magic"}}}}, "invalid_value", "session.audio.input.turn_detection.type"),
        ({"audio": 5}, "invalid_type", "session.audio"),
        ({"audio": {"input": 5}}, "invalid_type", "session.audio.input"),
        ({"audio": {"input": {"turn_detection": False}}}, "invalid_type", "session.audio.input.turn_detection"),
        ({"audio": {"input": {"colour": 1}}}, "unknown_parameter", "session.audio.input.colour"),
        ({"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}}, "decimal_above_max_value", "session.audio.input.turn_detection.threshold"),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}}, "unknown_parameter", "session.audio.input.turn_detection.threshold"),
        ({"audio": {"input": {"turn_detection": {"idle_timeout_ms": 1}}}}, "integer_below_min_value", "session.audio.input.turn_detection.idle_timeout_ms"),
        ({"audio": {"input": {"noise_reduction": {"type": "magic"}}}}, "invalid_value", "session.audio.input.noise_reduction.type"),
        ({"audio": {"input": {"transcription": {"keywords": "one"}}}}, "invalid_type", "session.audio.input.transcription.keywords"),
        ({"audio": {"output": {"speed": 2}}}, "decimal_above_max_value", "session.audio.output.speed"),
        ({"instructions": 5}, "invalid_type", "session.instructions"),
        ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
        ({"max_output_tokens": True}, "invalid_value", "session.max_output_tokens"),
        ({"tools": {}}, "invalid_type", "session.tools"),
        ({"tools": [5]}, "invalid_type", "session.tools[0]"),
        ({"tools": [{"name": "a"}]}, "missing_required_parameter", "session.tools[0].type"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "invalid_value", "session.tools[0].name"),
        ({"tools": [{"type": "function", "function": {"name": "a"}}]}, "missing_required_parameter", "session.tools[0].name"),
        ({"tools": [{"type": "mcp", "server_label": "a", "colour": 1}]}, "unknown_parameter", "session.tools[0].colour"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "colour": 1}}}}, "unknown_parameter", "session.audio.input.format.colour"),
        ({"tools": [{"type": "mcp"}]}, "missing_required_parameter", "session.tools[0].server_label"),
        ({"tools": [{"type": "mcp", "server_label": "a", "allowed_tools": 5}]}, "invalid_type", "session.tools[0].allowed_tools"),
        ({"tools": [{"type": "mcp", "server_label": "a", "allowed_tools": [5]}]}, "invalid_type", "session.tools[0].allowed_tools[0]"),
        ({"tools": [{"type": "mcp", "server_label": "a", "require_approval": "maybe"}]}, "invalid_value", "session.tools[0].require_approval"),
        ({"tool_choice": "maybe"}, "invalid_value", "session.tool_choice"),
        ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "session.tool_choice.name"),
        ({"tracing": 5}, "invalid_type", "session.tracing"),
        ({"truncation": "some"}, "invalid_type", "session.truncation"),
        ({"truncation": {"type": "retention_ratio", "retention_ratio": 2}}, "decimal_above_max_value", "session.truncation.retention_ratio"),
        ({"reasoning": {"effort": "huge"}}, "invalid_value", "session.reasoning.effort"),
        ({"include": ["everything"]}, "invalid_value", "session.include[0]"),
        ({"prompt": {}}, "missing_required_parameter", "session.prompt.id"),
        ({"prompt": {"id": "p", "variables": {"a": 1}}}, "invalid_type", "session.prompt.variables.a"),
        ({"prompt": {"id": "p", "variables": {"a": {"type": "input_image"}}}}, "invalid_value", "session.prompt.variables.a.type"),
        ({"audio": {"input": {"turn_detection": {"type": []}}}}, "invalid_value", "session.audio.input.turn_detection.type"),
        ({"audio": {"input": {"format": {"type": []}}}}, "invalid_value", "session.audio.input.format.type"),
        ({"audio": {"input": {"turn_detection": {"eagerness": [], "type": "semantic_vad"}}}}, "invalid_value", "session.audio.input.turn_detection.eagerness"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
    ],
)  # fmt: skip
def test_settings_that_are_refused_change_nothing(change: dict[str, Any], code: str, param: str) -> None:
    async def test(client: Client, _world: World) -> None:
        before = (await client.until("session.created"))["session"]
        client.send("session.update", event_id="mine", session={"type": "realtime", **change})
        error = await client.error()
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        client.update(instructions="x")
        assert (await client.until("session.updated"))["session"] == {**before, "instructions": "x"}

    scripted(test)


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("nothing", {}, "invalid_value"),
        ("input_audio_buffer.append", {}, "missing_required_parameter"),
        ("input_audio_buffer.append", {"audio": "!"}, "invalid_value"),
        ("input_audio_buffer.append", {"audio": 5}, "invalid_type"),
        ("input_audio_buffer.append", {"audio": b64encode(b"abc").decode()}, "invalid_value"),
        ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty"),
        ("output_audio_buffer.clear", {}, "invalid_value"),
        ("conversation.item.create", {}, "missing_required_parameter"),
        ("conversation.item.create", {"item": {"type": []}}, "invalid_value"),
        ("conversation.item.create", {"item": {"type": "message", "role": "user", "content": [{"type": "text"}]}}, "invalid_value"),
        ("conversation.item.create", {"item": {"type": "message", "role": [], "content": []}}, "invalid_value"),
        ("conversation.item.create", {"item": {"type": "message", "role": "user", "content": [{"type": []}]}}, "invalid_value"),
        ("conversation.item.delete", {"item_id": "x"}, "item_delete_invalid_item_id"),
        ("conversation.item.retrieve", {"item_id": "x"}, "item_retrieve_invalid_item_id"),
        ("conversation.item.truncate", {"item_id": "x", "content_index": 0, "audio_end_ms": 0}, "item_truncate_invalid_item_id"),
        ("conversation.item.truncate", {"item_id": "x"}, "missing_required_parameter"),
        ("conversation.item.truncate", {"item_id": "x", "content_index": 0, "audio_end_ms": -1}, "integer_below_min_value"),
        ("conversation.item.truncate", {"item_id": "x", "content_index": 0, "audio_end_ms": 1.5}, "invalid_type"),
        ("session.update", {"session": "x"}, "invalid_type"),
        ("response.create", {"response": {"metadata": dict.fromkeys(map(str, range(17)), "a")}}, "object_above_max_properties"),
        ("response.create", {"response": {"metadata": {"a": "b" * 513}}}, "string_above_max_length"),
        ("response.cancel", {}, "response_cancel_not_active"),
        ("response.create", {"response": {"conversation": []}}, "invalid_type"),
        ("response.create", {"response": {"conversation": "other"}}, "invalid_value"),
        ("response.create", {"response": {"metadata": {"k" * 65: "a"}}}, "invalid_value"),
        ("response.create", {"response": {"metadata": {"a": 1}}}, "invalid_type"),
        ("response.create", {"response": {"input": {}}}, "invalid_type"),
        ("response.create", {"response": {"input": [{"type": "item_reference", "id": "x"}]}}, "item_reference_invalid_item_id"),
        ("response.create", {"response": {"colour": "red"}}, "unknown_parameter"),
        ("response.create", {"response": {"audio": {"output": {"voice": "nobody"}}}}, "invalid_value"),
        ("conversation.item.create", {"item": {"type": "function_call_output", "call_id": "x", "output": ""}}, "invalid_tool_call_id"),
        ("conversation.item.create", {"item": {"type": "function_call", "name": "x", "arguments": "{}", "call_id": []}}, "invalid_type"),
        ("conversation.item.create", {"item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": 5}]}}, "invalid_type"),
        ("conversation.item.create", {"item": {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": 5}]}}, "invalid_type"),
        ("conversation.item.create", {"previous_item_id": 5, "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}}, "invalid_type"),
        ("conversation.item.create", {"item": {"type": "mcp_approval_response", "approval_request_id": "x", "approve": True}}, "approval_request_not_found"),
        ("conversation.item.create", {"previous_item_id": "x", "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}}, "item_create_invalid_previous_item_id"),
        ("response.create", {"response": {"modalities": ["text"]}}, "unknown_parameter"),
        ("response.create", {"response": []}, "invalid_type"),
        ("response.create", {"response": {"audio": {"output": {"format": "pcm16"}}}}, "invalid_value"),
    ],
)  # fmt: skip
def test_mistakes_are_typed_and_the_socket_lives(kind: str, fields: dict[str, Any], code: str) -> None:
    async def test(client: Client, _world: World) -> None:
        client.send(kind, event_id="mine", **fields)
        error = await client.error()
        assert (error["code"], error["event_id"]) == (code, "mine")
        client.type("hello", output_modalities=["text"])
        assert (await client.until("response.done"))["response"]["status"] == "completed"

    scripted(test)


def test_a_spoken_turn_and_one_into_its_reply() -> None:
    async def test(client: Client, world: World) -> None:
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak(LONG)
        await client.until("response.output_audio.delta")
        await asyncio.sleep(0.5)
        client.speak("something else entirely")
        started = await client.until("response.done")
        assert started["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        order = [event["type"] for event in client.events]
        assert order.index("response.done") > max(
            at for at, kind in enumerate(order) if kind.endswith("speech_started")
        )
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        assert spoken(world)[0] == "one two three"

    scripted(test)


def test_only_what_was_heard_is_remembered() -> None:
    async def test(client: Client, world: World) -> None:
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("hello")
        delta = await client.until("response.output_audio.delta")
        await client.until("response.done")  # all was sent
        await asyncio.sleep(0.5)  # words take 200 ms each
        client.hear(SpeechStarted(900))
        await client.until("input_audio_buffer.speech_started")
        await asyncio.sleep(0.1)
        assert spoken(world) == ["one two three"]
        truncate = {"item_id": delta["item_id"], "content_index": 0}
        client.send("conversation.item.truncate", **truncate, audio_end_ms=350)
        assert (await client.until("conversation.item.truncated"))["audio_end_ms"] == 350
        await asyncio.sleep(0.1)
        assert spoken(world) == ["one two"]
        client.send("conversation.item.truncate", **truncate, audio_end_ms=1_900)  # of 1,200: a clock runs on
        assert (await client.until("conversation.item.truncated"))["audio_end_ms"] == 1_200
        client.send("conversation.item.truncate", **truncate, audio_end_ms=10**6)
        assert (await client.error())["param"] == "audio_end_ms"

    scripted(test)


def test_push_to_talk_answers_when_asked_to() -> None:
    async def test(client: Client, world: World) -> None:
        client.update(
            audio={
                "input": {"turn_detection": None, "format": {"type": "audio/pcmu"}},
                "output": {"format": {"type": "audio/pcma"}},
            }
        )
        client.send("input_audio_buffer.append", audio=b64encode(bytes(1600)).decode())
        client.send("input_audio_buffer.commit")
        assert (await client.until("input_audio_buffer.committed"))["previous_item_id"] is None
        assert world.recognitions[-1].commits == 1
        client.send("response.create", response={"metadata": {"a": "b"}})
        created = await client.until("response.created")
        assert created["response"]["metadata"] == {"a": "b"}
        client.send("response.create", event_id="second")
        assert (await client.error())["code"] == "conversation_already_has_active_response"
        client.hear(FinalTranscript("hello", 0.9, 0, 400))
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
        frames = [b64decode(event["delta"]) for event in client.of("response.output_audio.delta")]
        assert sum(map(len, frames)) == 6 * 200 * 8  # six words of 200 ms at 8 kHz, a byte each

    scripted(test)


def test_a_cleared_buffer_is_forgotten() -> None:
    async def test(client: Client, world: World) -> None:
        client.update(audio={"input": {"turn_detection": None}})
        client.send("input_audio_buffer.append", audio=FRAME)
        client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        client.send("input_audio_buffer.commit")
        assert (await client.error())["code"] == "input_audio_buffer_commit_empty"
        client.send("input_audio_buffer.append", audio=FRAME)
        client.send("input_audio_buffer.commit")
        await client.until("input_audio_buffer.committed")
        assert len(world.recognitions) == 2

    scripted(test)


def test_a_reply_is_cancelled_and_the_next_one_begins() -> None:
    async def test(client: Client, _world: World) -> None:
        client.type(LONG)
        await client.until("response.output_audio.delta")
        client.send("response.cancel")
        await client.until("response.output_audio.done")
        cut = (await client.until("response.done"))["response"]
        assert cut["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        client.type("again")
        assert (await client.until("response.done"))["response"]["status"] == "completed"

    scripted(test)


def test_a_reply_is_cancelled_before_it_begins() -> None:
    async def test(client: Client, world: World) -> None:
        world.slow_s["planner"] = 5.0
        client.type("hello")
        await client.until("response.created")
        client.send("response.cancel")
        assert (await client.until("response.done"))["response"]["status"] == "cancelled"
        world.slow_s.clear()
        client.type("again")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        assert len(client.of("response.done")) == 2

    scripted(test)


def test_a_reply_beside_the_conversation() -> None:
    async def test(client: Client, world: World) -> None:
        client.type("hello")
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "beside"}]}
        client.send(
            "response.create",
            response={"conversation": "none", "metadata": {"k": "v"}, "input": [item], "output_modalities": ["text"]},
        )
        done = [(await client.until("response.done"))["response"], (await client.until("response.done"))["response"]]
        beside = next(response for response in done if response["metadata"])
        assert beside["output"][0]["content"][0]["text"].endswith("beside")
        assert "conversation_id" not in beside
        kept = {event["item"]["id"] for event in client.of("conversation.item.added")}
        assert beside["output"][0]["id"] not in kept

    scripted(test)


def test_a_service_that_is_down_fails_the_response_not_the_session() -> None:
    async def test(client: Client, world: World) -> None:
        from tests.support.world import broken

        world.failing["planner"] = broken("planner")
        client.type("hello", output_modalities=["text"])
        failed = (await client.until("response.done"))["response"]
        assert (failed["status"], failed["status_details"]["error"]["code"]) == ("failed", "unavailable")
        world.failing.clear()
        world.failing["tts"] = broken("tts")
        client.type("hello")
        silent = (await client.until("response.done"))["response"]
        assert silent["output"][0]["content"][0]["transcript"]
        client.send("input_audio_buffer.append", audio=FRAME)
        world.failing["stt"] = broken("stt")
        client.hear(SpeechStarted(0), SpeechStopped(100), broken("stt"))
        await client.until("conversation.item.input_audio_transcription.failed")
        asked = len(world.recognitions)
        client.send("input_audio_buffer.append", audio=FRAME)
        assert len(world.recognitions) == asked + 1

    scripted(test)


def test_what_a_service_refuses_to_take_is_the_clients_mistake() -> None:
    async def test(client: Client, world: World) -> None:
        world.failing["intent"] = ServiceError("INVALID_ARGUMENT", "the text is too long", service="intent")
        client.type("so long", output_modalities=["text"])
        failed = (await client.until("response.done"))["response"]["status_details"]["error"]
        assert (failed["type"], failed["code"]) == ("invalid_request_error", "invalid_argument")

    scripted(test)


def test_blank_words_and_blank_instructions_are_none() -> None:
    async def test(client: Client, world: World) -> None:
        client.type(" \n", instructions=" ")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        assert world.asked[0] == "intent hello"
        client.send("response.create", response={"conversation": "none", "instructions": " ", "input": []})
        failed = (await client.until("response.done"))["response"]["status_details"]["error"]
        assert (failed["type"], failed["code"]) == ("invalid_request_error", "nothing_to_answer")

    scripted(test)


def test_a_conversation_begins_with_a_greeting() -> None:
    async def test(client: Client, world: World) -> None:
        client.send("response.create")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        assert world.asked[0] == "intent hello"
        client.send("response.create", response={"input": []})  # a context of its own, and an empty one
        failed = (await client.until("response.done"))["response"]
        assert failed["status_details"]["error"]["code"] == "nothing_to_answer"
        client.send("response.create", response={"conversation": "none", "input": []})
        failed = (await client.until("response.done"))["response"]
        assert failed["status_details"]["error"]["code"] == "nothing_to_answer"
        client.send("response.create", response={"instructions": "greet", "output_modalities": ["text"]})
        assert (await client.until("response.done"))["response"]["status"] == "completed"

    scripted(test)


def test_transcription_alone() -> None:
    async def test(client: Client, _world: World) -> None:
        assert (await client.until("session.created"))["session"]["type"] == "transcription"
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("hello")
        await client.until("conversation.item.input_audio_transcription.completed")
        await asyncio.sleep(1)
        assert client.of("response.created") == []
        client.send("response.create")
        assert (await client.error())["code"] == "invalid_value"

    scripted(test, transcription=True)


@pytest.mark.parametrize(
    ("reason", "code", "kind"),
    [(Departure.RESTART, 1012, "server_error"), (Departure.SIGNED_OUT, 1008, "invalid_request_error")],
)
def test_a_departure_is_said_before_the_close(reason: Departure, code: int, kind: str) -> None:
    async def test(client: Client, _world: World) -> None:
        assert client.live is not None
        client.live.leave(reason)
        assert client.ended == code
        assert client.events[-1]["error"]["type"] == kind

    scripted(test)


def test_an_observer_sees_events_without_secrets() -> None:
    async def test(client: Client, _world: World) -> None:
        assert client.live is not None
        seen = client.live.watch(audio=False)
        client.send("input_audio_buffer.append", audio=FRAME)
        tool = {"type": "mcp", "server_label": "x", "authorization": "secret", "server_url": "https://x"}
        client.update(tools=[tool])
        await client.until("session.updated")
        first: Any = await anext(seen)
        assert json.loads(first.text)["session"]["tools"][0]["authorization"] == "(hidden)"
        await anext(seen)
        second: Any = await anext(seen)
        assert (second.direction, json.loads(second.text)["type"]) == ("server", "session.updated")
        await seen.aclose()

    scripted(test)


def test_an_observer_without_audio_gets_none_in_whatever_form_it_comes() -> None:
    async def test(client: Client, _world: World) -> None:
        assert client.live is not None
        seen = client.live.watch(audio=False)
        client.send("input_audio_buffer.append", event_id="x" * 300, audio=FRAME)
        client.live.receive(json.dumps({"audio": FRAME, "type": "input_audio_buffer.append"}))
        item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": FRAME}]}
        client.send("conversation.item.create", item=item)
        client.send("response.create", response={"conversation": "none", "input": [item]})
        client.live.closed()
        await client.live.close()
        text = "".join([one.text async for one in seen if isinstance(one, SeenMessage)])
        assert FRAME not in text
        assert '"audio":"(hidden)"' in text

    scripted(test)


def test_the_end_of_an_item_names_the_one_before_as_its_start_did() -> None:
    async def test(client: Client, _world: World) -> None:
        client.type("hello")
        await client.until("response.done")
        for kind in ("added", "done"):
            user, agent = client.of(f"conversation.item.{kind}")
            assert (user["previous_item_id"], agent["previous_item_id"]) == (None, user["item"]["id"])

    scripted(test)


def test_thousands_of_flaws_are_told_in_one() -> None:
    async def test(client: Client, _world: World) -> None:
        names = {str(number): 0 for number in range(9_000)}
        client.send("session.update", session={"type": "realtime", "audio": {"input": names}})
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", "session")
        assert "more than 1024 flaws" in error["message"]

    scripted(test)
