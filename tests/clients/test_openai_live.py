"""PyPI `openai`'s Live API, unmodified, against a running gateway with real speech."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.clients.published import checked_live
from tests.clients.test_openai_sdk import FRAME_BYTES, PATIENCE_S, async_client, at_24khz
from tests.server.net.websocket.client_frames import TEXT, frame

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from tests.support.gateway import GatewayProcess


class Listening:
    """Everything that a connection said, each event checked against the published model."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []

    async def until(self, *kinds: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = checked_live(await self.connection.recv_bytes())
                self.events.append(event)
                if event["type"] in kinds:
                    return event

    async def say(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), FRAME_BYTES):
            audio = b64encode(pcm[start : start + FRAME_BYTES]).decode()
            await self.connection.session.input_audio.append(audio=audio)

    def words(self, side: str) -> str:
        return "".join(event["delta"] for event in self.events if event["type"] == f"session.{side}_transcript.delta")

    @property
    def audio(self) -> bytes:
        deltas = (event["delta"] for event in self.events if event["type"] == "session.output_audio.delta")
        return b"".join(map(b64decode, deltas))


async def test_a_spoken_question_and_work_for_the_client(gateway: GatewayProcess) -> None:
    client = async_client(gateway)
    async with client.live.connect() as connection:
        talk = Listening(connection)
        await connection.session.start(session={"model": "gpt-live-1", "instructions": "be brief"}, event_id="s")
        started = await talk.until("session.started")
        assert started["client_event_id"] == "s"
        await talk.say(at_24khz("flite-slt-what-time-is-it"))
        while "It is" not in talk.words("output"):
            await talk.until("session.output_transcript.delta")
        assert "time" in talk.words("input").lower()
        while len(talk.audio) < 24_000:  # half a second of it
            await talk.until("session.output_audio.delta")
        async with client.live.sideband.connect(session_id=started["session"]["id"]) as beside:
            await talk.say(at_24khz("flite-slt-list-files"))
            created = await talk.until("session.delegation.created")
            await Listening(beside).until("session.input_audio.append")
            await beside.session.commentary.append(
                content="There are two files.", delegation_id=created["delegation"]["id"]
            )
            await talk.until("session.commentary.appended")
        while "two files" not in talk.words("output"):
            await talk.until("session.output_transcript.delta")
        await connection.session.input_audio.mute()
        await talk.until("session.input_audio.muted")
        unknown: Any = {"type": "session.update", "event_id": "u", "session": {"voice": "x"}}
        await connection.send(unknown)
        refused = (await talk.until("error"))["error"]
        assert (refused["code"], refused["param"], refused["client_event_id"]) == (
            "unknown_parameter",
            "session.voice",
            "u",
        )
        await connection.session.close()
        closed = await talk.until("session.closed")
    assert closed["reason"] == "close_requested"
    assert closed["usage"]["seconds"] > 0


@pytest.mark.parametrize(("session", "status"), [("sess_nobody", 404)])
async def test_a_sideband_of_nobody(gateway: GatewayProcess, session: str, status: int) -> None:
    from tornado.httpclient import HTTPClientError, HTTPRequest
    from tornado.websocket import websocket_connect

    url = f"{gateway.ws}/v1/live/sessions/{session}/attach"
    with pytest.raises(HTTPClientError) as refused:
        await websocket_connect(HTTPRequest(url, headers={"Authorization": f"Bearer {gateway.token}"}))
    assert refused.value.code == status
    assert refused.value.response is not None
    assert json.loads(refused.value.response.body)["error"]["code"] == "not_found"


async def test_nobody_else_enters_a_session(gateway: GatewayProcess) -> None:
    alice, bob, admin = (
        gateway.own_token(name, role) for name, role in (("alice", "user"), ("bob", "user"), ("eve", "admin"))
    )
    async with (
        socket_of(gateway, "/v1/live/sessions", alice) as live,
        socket_of(gateway, "/v1/realtime", alice) as real,
    ):
        await live.send(json.dumps({"type": "session.start", "session": {"model": "gpt-live-1"}}))
        started = json.loads(await live.recv())
        live_id = started["session"]["id"]
        created = json.loads(await real.recv())
        item = {"id": "mine", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
        await real.send(json.dumps({"type": "conversation.item.create", "item": item}))
        for stranger in (bob, admin):
            for session_id in (live_id, created["session"]["id"]):
                with pytest.raises(InvalidStatus) as refused:
                    await socket_of(gateway, f"/v1/live/sessions/{session_id}/attach", stranger)
                assert refused.value.response.status_code == 404
                resume = f"/v1/realtime?resume={session_id}&last_event_id={created['event_id']}"
                async with socket_of(gateway, resume, stranger) as own:
                    first = json.loads(await own.recv())
                    assert first["type"] == "session.created"
                    assert first["session"]["id"] != session_id
                    await own.send(json.dumps({"type": "conversation.item.retrieve", "item_id": "mine"}))
                    assert json.loads(await own.recv())["error"]["code"] == "item_retrieve_invalid_item_id"
        resume = (
            f"/v1/realtime?resume={live_id}&last_event_id={started['event_id']}"  # which the Live API does not have
        )
        async with socket_of(gateway, resume, alice) as another:
            assert json.loads(await another.recv())["type"] == "session.created"
        with pytest.raises(InvalidStatus):
            await socket_of(gateway, f"/v1/live/sessions/{created['session']['id']}/attach", alice)
        await live.send(json.dumps({"type": "session.input_audio.mute"}))
        assert json.loads(await live.recv())["type"] == "session.input_audio.muted"


async def until_closed(socket: ClientConnection) -> list[dict[str, Any]]:
    events = []
    with suppress(ConnectionClosed):
        while True:
            events.append(json.loads(await socket.recv()))
    return events


async def test_behind_a_broken_frame_a_session_goes_on_after_the_error(gateway: GatewayProcess) -> None:
    token = gateway.own_token("alice", "user")
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    async with socket_of(gateway, "/v1/realtime", token) as socket:
        created = json.loads(await socket.recv())
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await socket.send(json.dumps({"type": "response.create"}))
        socket.transport.write(frame(TEXT, b"\xff"))
        told = await until_closed(socket)
    assert [event["type"] for event in told if "response." in event["type"]][-1:] != ["response.done"]
    assert told[-1]["type"] == "error"
    resume = f"/v1/realtime?resume={created['session']['id']}&last_event_id={told[-1]['event_id']}"
    async with socket_of(gateway, resume, token) as socket, asyncio.timeout(PATIENCE_S):
        while (event := json.loads(await socket.recv()))["type"] != "response.done":
            assert event["type"] != "session.created"
    assert event["response"]["status"] == "completed"


async def test_a_session_that_goes_on_through_another_socket_sends_nothing_more_to_the_first(
    gateway: GatewayProcess,
) -> None:
    """A client that changed networks comes back before the gateway knows that it has left."""
    token = gateway.own_token("alice", "user")
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "what can you do?"}]}
    async with socket_of(gateway, "/v1/realtime", token) as former, asyncio.timeout(PATIENCE_S):
        created = json.loads(await former.recv())
        await former.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await former.send(json.dumps({"type": "response.create"}))
        while (event := json.loads(await former.recv()))["type"] != "response.output_audio.delta":
            last = event
        await asyncio.sleep(1)  # more has arrived, which the client never sees
        resume = f"/v1/realtime?resume={created['session']['id']}&last_event_id={last['event_id']}"
        async with socket_of(gateway, resume, token) as socket:
            first = json.loads(await socket.recv())
            while (event := json.loads(await socket.recv()))["type"] != "response.done":
                pass
        told = await until_closed(former)
    assert first["type"] == "response.output_audio.delta"
    number = int(last["event_id"].rpartition("_")[2])
    assert int(first["event_id"].rpartition("_")[2]) == number + 1
    numbers = [int(event["event_id"].rpartition("_")[2]) for event in told]
    assert len(set(numbers)) == len(numbers)  # nothing was sent again there


async def test_behind_a_broken_frame_a_live_session_is_closed(gateway: GatewayProcess) -> None:
    async with socket_of(gateway, "/v1/live/sessions", gateway.own_token("alice", "user")) as live:
        await live.send(json.dumps({"type": "session.start", "session": {"model": "gpt-live-1"}}))
        started = json.loads(await live.recv())
        assert started["type"] == "session.started"
        live.transport.write(frame(TEXT, b"\xff"))
        told = await until_closed(live)
    assert [event["type"] for event in told[-2:]] == ["error", "session.closed"]


def socket_of(gateway: GatewayProcess, path: str, token: str) -> connect:
    return connect(f"{gateway.ws}{path}", additional_headers={"Authorization": f"Bearer {token}"})
