"""PyPI `openai`, unmodified, against a running gateway with real speech."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest
from openai import AsyncOpenAI, OpenAI
from websockets.typing import Subprotocol

from streaming.sound.codecs import SpeechEncoder
from tests.clients.orderly import Orderly
from tests.clients.published import checked
from tests.support.gateway import ROOT, running_gateway, speech
from tests.support.replicas import with_own

if TYPE_CHECKING:
    from pathlib import Path

    from openai.resources.realtime.realtime import AsyncRealtimeConnection

    from tests.support.gateway import GatewayProcess

FRAME_BYTES = 4_800  # 100 ms
PATIENCE_S = 200.0  # for a machine that is busy


def at_24khz(name: str, silence_ms: int = 1_000) -> bytes:
    encoder = SpeechEncoder("pcm_s16le", 24_000, 16_000)
    return b"".join([*encoder.encode(speech(name, silence_ms=silence_ms)), *encoder.flush()])


class Talk:
    """Everything that a connection said, each event checked against the published model."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self._order = Orderly()

    async def until(self, *kinds: str) -> dict[str, Any]:
        """The next event of one of these types."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = checked(await self.connection.recv_bytes())
                self._order.note(event)
                self.events.append(event)
                if event["type"] in kinds:
                    return event

    async def say(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), FRAME_BYTES):
            await self.connection.input_audio_buffer.append(audio=b64encode(pcm[start : start + FRAME_BYTES]).decode())

    async def type(self, text: str, **response: Any) -> dict[str, Any]:
        """A typed turn; its `response.done`."""
        await self.connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        )
        if response:
            await self.connection.response.create(response=response)  # type: ignore[arg-type] # as a test has it
        else:
            await self.connection.response.create()
        done = await self.until("response.done")
        return dict(done["response"])

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def order(self) -> list[str]:
        """Types in order, repeated ones once."""
        kinds = [event["type"] for event in self.events]
        deltas = [kind for kind in kinds if not kind.endswith(".delta")]
        return [kind for index, kind in enumerate(deltas) if index == 0 or deltas[index - 1] != kind]


def async_client(gateway: GatewayProcess) -> AsyncOpenAI:
    return AsyncOpenAI(
        api_key=gateway.token, base_url=f"{gateway.base}/v1", websocket_base_url=f"{gateway.ws}/v1", max_retries=0
    )


def text_of(response: dict[str, Any]) -> str:
    return " ".join(
        part.get("transcript") or part.get("text") for item in response["output"] for part in item["content"]
    )


async def test_a_spoken_turn_in_the_order_of_the_api(gateway: GatewayProcess) -> None:
    async with async_client(gateway).realtime.connect(model="gpt-realtime") as connection:
        talk = Talk(connection)
        await connection.session.update(
            session={"type": "realtime", "audio": {"output": {"voice": "alloy"}}, "output_modalities": ["audio"]}
        )
        await talk.until("session.updated")
        await talk.say(at_24khz("flite-slt-what-time-is-it"))
        done = await talk.until("response.done")
    assert talk.order() == [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert done["response"]["status"] == "completed"
    (limit,) = talk.of("rate_limits.updated")[0]["rate_limits"]
    assert (limit["name"], limit["limit"]) == ("requests", 10_000)
    assert 0 < limit["remaining"] <= limit["limit"]
    heard = talk.of("conversation.item.input_audio_transcription.completed")[0]
    assert "time" in heard["transcript"].lower()
    said = "".join(event["delta"] for event in talk.of("response.output_audio_transcript.delta"))
    assert said == text_of(done["response"])
    assert said
    audio = b"".join(b64decode(event["delta"]) for event in talk.of("response.output_audio.delta"))
    assert len(audio) > 24_000
    assert len({event["event_id"] for event in talk.events}) == len(talk.events)


async def test_typed_turns_with_memory(gateway: GatewayProcess) -> None:
    async with async_client(gateway).realtime.connect(model="gpt-realtime") as connection:
        talk = Talk(connection)
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await talk.type("remember that my favourite colour is teal", metadata={"topic": "colour"})
        assert talk.of("response.created")[0]["response"]["metadata"] == {"topic": "colour"}
        done = await talk.type("what is my favourite colour?")
    assert "teal" in text_of(done)


async def test_words_into_a_reply_cut_it(gateway: GatewayProcess) -> None:
    async with async_client(gateway).realtime.connect(model="gpt-realtime") as connection:
        talk = Talk(connection)
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "what can you do?"}]}
        )
        await connection.response.create()
        await talk.until("response.output_audio.delta")
        await talk.say(at_24khz("flite-slt-what-time-is-it"))
        await talk.until("input_audio_buffer.speech_started")
        cut = await talk.until("response.done")
        assert cut["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        item = cut["response"]["output"][0]
        assert item["status"] == "incomplete"
        await connection.conversation.item.truncate(item_id=item["id"], content_index=0, audio_end_ms=10)
        await talk.until("conversation.item.truncated")
        await connection.conversation.item.retrieve(item_id=item["id"])
        kept = await talk.until("conversation.item.retrieved")
        assert kept["item"]["content"][0].get("transcript", "") == ""
        done = await talk.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_mistakes_are_answered_and_the_socket_lives(gateway: GatewayProcess) -> None:
    async with async_client(gateway).realtime.connect(model="gpt-realtime") as connection:
        talk = Talk(connection)
        await connection.response.cancel(event_id="mine-1")
        error = (await talk.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "mine-1")
        assert error["message"].startswith("Cancellation failed")
        await connection.input_audio_buffer.commit()
        assert (await talk.until("error"))["error"]["code"] == "input_audio_buffer_commit_empty"
        await connection.conversation.item.retrieve(item_id="nobody")
        assert (await talk.until("error"))["error"]["code"] == "item_retrieve_invalid_item_id"
        await connection.send_raw("no json")
        assert (await talk.until("error"))["error"]["code"] == "invalid_json"
        done = await talk.type("help", output_modalities=["text"])
    assert done["status"] == "completed"


async def test_push_to_talk(gateway: GatewayProcess) -> None:
    async with async_client(gateway).realtime.connect(model="gpt-realtime") as connection:
        talk = Talk(connection)
        await connection.session.update(
            session={"type": "realtime", "audio": {"input": {"turn_detection": None}}, "output_modalities": ["text"]}
        )
        await talk.say(at_24khz("flite-slt-what-time-is-it"))
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        done = await talk.until("response.done")
    assert "input_audio_buffer.speech_started" not in talk.order()
    assert talk.of("input_audio_buffer.committed")
    assert done["response"]["status"] == "completed"
    assert text_of(done["response"])


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
async def test_expected_words_and_languages(gateway: GatewayProcess, kind: str) -> None:
    """Those that cannot help do no harm; a language that is not known is refused at once, and changes nothing."""
    query = {"intent": "transcription"} if kind == "transcription" else {}
    async with async_client(gateway).realtime.connect(model="gpt-realtime", extra_query=query) as connection:
        talk = Talk(connection)

        async def expect(**wishes: Any) -> dict[str, Any]:
            session: Any = {"type": kind, "audio": {"input": {"transcription": {"model": "whisper-1", **wishes}}}}
            await connection.session.update(session=session, event_id="mine")
            return await talk.until("session.updated", "error")

        japanese = "明日の会議は東京駅の近くの会議室で始まります。" * 20
        told = await expect(prompt=japanese, keywords=["k" * 1_000, "time"], languages=["ja", "en_GB"])
        assert told["type"] == "session.updated"
        for name in ("language", "languages"):
            error = (await expect(**{name: "de" if name == "language" else ["de", "fr"]}))["error"]
            assert (error["code"], error["event_id"]) == ("invalid_value", "mine")
            assert error["param"] == f"session.audio.input.transcription.{name}"
        await talk.say(at_24khz("flite-slt-what-time-is-it"))
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
    assert "time" in heard["transcript"].lower()


def test_the_blocking_client(gateway: GatewayProcess) -> None:
    client = OpenAI(
        api_key=gateway.token, base_url=f"{gateway.base}/v1", websocket_base_url=f"{gateway.ws}/v1", max_retries=0
    )
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "help"}]}
        )
        connection.response.create()
        while (event := checked(connection.recv_bytes()))["type"] != "response.done":
            pass
    assert event["response"]["status"] == "completed"


async def test_a_wrong_key_is_refused_before_the_upgrade(gateway: GatewayProcess) -> None:
    from websockets.exceptions import InvalidStatus

    client = AsyncOpenAI(api_key="nobody", websocket_base_url=f"{gateway.ws}/v1", max_retries=0)
    with pytest.raises(InvalidStatus, match="401"):
        await client.realtime.connect(model="gpt-realtime", max_retries=0).enter()


async def test_the_readme_s_python_runs(gateway: GatewayProcess, tmp_path: Path) -> None:
    (example,) = re.findall(
        r"```python\n([^`]*AsyncOpenAI.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    script = tmp_path / "example.py"
    script.write_text(example.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}").replace("TOKEN", gateway.token))
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.decode().startswith("It is")


async def test_a_browser_brings_its_key_as_a_subprotocol(gateway: GatewayProcess) -> None:
    from websockets.asyncio.client import connect

    offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{gateway.token}")]
    async with connect(f"{gateway.ws}/v1/realtime?model=x", subprotocols=offered) as socket:
        assert socket.subprotocol == "realtime"
        assert checked(await socket.recv())["session"]["model"] == "x"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example"}, 400)],
)
async def test_who_is_refused(gateway: GatewayProcess, headers: dict[str, str], status: int) -> None:
    from tornado.httpclient import HTTPClientError, HTTPRequest
    from tornado.websocket import websocket_connect

    known = {} if not headers else {"Authorization": f"Bearer {gateway.token}"}
    with pytest.raises(HTTPClientError) as refused:
        await websocket_connect(HTTPRequest(f"{gateway.ws}/v1/realtime", headers={**known, **headers}))
    assert refused.value.code == status


async def test_a_token_without_the_role_is_refused(gateway: GatewayProcess) -> None:
    from tornado.httpclient import HTTPClientError, HTTPRequest
    from tornado.websocket import websocket_connect

    headers = {"Authorization": f"Bearer {gateway.own_token('guest', 'guest')}"}
    with pytest.raises(HTTPClientError) as refused:
        await websocket_connect(HTTPRequest(f"{gateway.ws}/v1/realtime", headers=headers))
    assert refused.value.code == 403
    assert refused.value.response is not None
    assert json.loads(refused.value.response.body)["error"]["type"] == "permission_error"


async def test_a_cut_in_the_middle_of_a_reply_is_not_noticed(gateway: GatewayProcess) -> None:
    """With the lines of docs/OPENAI.md. The reply is long: of a short one, all may be in the client's memory before the cut."""
    lines = re.findall(
        r"```python\n(seen = .*?)```", (ROOT / "docs" / "OPENAI.md").read_text(encoding="utf-8"), re.DOTALL
    )
    told: list[Any] = []
    body = "\n".join(f"    {line}" for line in lines[0].splitlines())
    names: dict[str, Any] = {"client": async_client(gateway)}
    exec(f"async def talk(each):\n{body}\n            await each(connection, event)", names)

    async def each(connection: AsyncRealtimeConnection, event: Any) -> None:
        told.append(event)
        if event.type == "session.created":
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "what can you do"}]}
            await connection.conversation.item.create(item=item)  # type: ignore[arg-type] # as the page has it
            await connection.response.create()
        elif event.type == "response.output_audio.delta" and sum(one.type == event.type for one in told) == 2:
            connection._connection.transport.abort()
        elif event.type == "response.done":
            await connection.close()

    await asyncio.wait_for(names["talk"](each), PATIENCE_S)
    kinds = [event.type for event in told]
    assert kinds.count("session.created") == kinds.count("response.done") == 1
    assert told[-1].response.status == "completed"
    numbers = [int(event.event_id.rpartition("_")[2]) for event in told]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_drained_gateway_closes_with_1012(services: dict[str, str], tmp_path: Path) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    with running_gateway(tmp_path, **services) as own:
        headers = {"Authorization": f"Bearer {own.token}"}
        async with connect(f"{own.ws}/v1/realtime", additional_headers=headers) as socket:
            checked(await socket.recv())
            own.process.send_signal(signal.SIGTERM)
            assert checked(await socket.recv())["error"]["code"] == "session_restart"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


async def test_functions_of_the_client_with_a_language_model(services: dict[str, str], tmp_path: Path) -> None:
    from tests.support.chat_endpoint import Scene, call, chat_endpoint, words

    weather = {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }

    def script(number: int) -> Scene:
        return words("It rains in Oslo.") if number == 1 else Scene(call("get_weather", '{"city": ', '"Oslo"}'))

    async with chat_endpoint(script) as endpoint:
        settings = {"LLM_BASE_URL": endpoint.url, "LLM_MODEL": "m", **with_own(services, "planner")}
        with running_gateway(tmp_path, **settings) as own:
            async with async_client(own).realtime.connect(model="gpt-realtime") as connection:
                talk = Talk(connection)
                session: Any = {"type": "realtime", "output_modalities": ["text"], "tools": [weather]}
                session["instructions"] = "Talk like a pirate."
                await connection.session.update(session=session)
                (item,) = (await talk.type("what is the weather in Oslo?"))["output"]
                assert (item["name"], json.loads(item["arguments"])) == ("get_weather", {"city": "Oslo"})
                output: Any = {"type": "function_call_output", "call_id": item["call_id"], "output": "rain"}
                await connection.conversation.item.create(item=output)
                await connection.response.create()
                done = await talk.until("response.done")
                (required,) = (await talk.type("go ahead", tool_choice="required"))["output"]
    assert text_of(done["response"]) == "It rains in Oslo."
    assert required["name"] == "get_weather"
    first, second, third = endpoint.asked
    assert third["tool_choice"] == "required"
    assert "Talk like a pirate." in first["messages"][0]["content"]
    assert "get_weather" in {tool["function"]["name"] for tool in first["tools"]}
    assert second["messages"][-1]["content"] == "rain"
