"""The client leaves a draining gateway in the next pause of the conversation."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from streaming.client import GatewayClient, TurnParams
from streaming.client.pause import Activity
from streaming.protocol import messages
from streaming.protocol.messages import ExecuteParams, TtsParams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEARD = messages.SttFinal(channel=1, text="hello", confidence=1.0, start_ms=0, end_ms=1)
TURN = messages.TurnIntent(channel=1, turn_id="t", intent="greet", confidence=1.0)
DONE = messages.TurnDone(channel=1, turn_id="t", status="ok")


class Gateway(WebSocketHandler):
    """Says what the test says. The newest socket is the last of `sockets`."""

    sockets: ClassVar[list[Gateway]] = []

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[0]

    def open(self, *_args: str, **_kwargs: str) -> None:
        self.sockets.append(self)
        if self.get_argument("resume", ""):
            self.say(type="session.resumed", epoch="e", recovered=True, replayed=0, taken_seq=9, channels={"1": 0})
            return
        ready = messages.SessionReady(
            session_id="s",
            epoch="e",
            resume_token="r",
            user=messages.User(user_id="u", roles=()),
            heartbeat_ms=20_000,
            resume_window_ms=60_000,
            limits={},
            services={},
        )
        self.say(**json.loads(ready.model_dump_json(exclude_none=True)))

    def on_message(self, message: str | bytes) -> None: ...

    def say(self, **message: Any) -> None:
        self.write_message(json.dumps(message))

    def tell(self, seq: int, event: messages.NumberedEvent) -> None:
        self.say(**json.loads(event.model_dump_json(exclude_none=True)), seq=seq)


@asynccontextmanager
async def connected() -> AsyncIterator[GatewayClient]:
    Gateway.sockets.clear()
    listening, port = bind_unused_port()
    server = HTTPServer(Application([(r"/ws/.*", Gateway)]))
    server.add_sockets([listening])
    try:
        async with GatewayClient(f"http://127.0.0.1:{port}", user_id="u") as client:
            yield client
    finally:
        server.stop()


async def sockets(count: int) -> None:
    while len(Gateway.sockets) < count:
        await asyncio.sleep(0.005)


async def test_a_silent_client_leaves_when_it_is_asked_to() -> None:
    async with connected() as client:
        Gateway.sockets[0].say(type="session.draining", reconnect_after_ms=20)
        await sockets(2)
        Gateway.sockets[1].say(type="session.draining", reconnect_after_ms=0)
        await sockets(3)
        assert client.failed is None


async def test_a_conversation_is_left_in_its_next_pause() -> None:
    async with connected() as client:
        client.open(TurnParams())
        gateway = Gateway.sockets[0]
        gateway.tell(1, messages.SttSpeechStarted(channel=1, at_ms=0))
        gateway.say(type="session.draining", reconnect_after_ms=0)
        gateway.tell(2, HEARD)
        gateway.tell(3, messages.TurnEnd(channel=1, at_ms=1))
        gateway.tell(4, TURN)
        while client.connection.last_seq < 4:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        assert len(Gateway.sockets) == 1
        gateway.tell(5, DONE)
        await sockets(2)
        assert Gateway.sockets[1].get_argument("last_seq") == "5"


async def test_a_call_is_waited_for() -> None:
    async with connected() as client:
        asking = asyncio.ensure_future(client.call("echo"))  # noqa: TID251 - of the test
        await asyncio.sleep(0)
        gateway = Gateway.sockets[0]
        gateway.say(type="session.draining", reconnect_after_ms=0)
        await asyncio.sleep(0.05)
        assert len(Gateway.sockets) == 1
        command_id = next(iter(client._answers))
        gateway.tell(1, messages.Result(id=command_id, data=4))
        assert await asking == 4
        await sockets(2)


@pytest.mark.parametrize(
    ("params", "begins", "ends"),
    [
        (TurnParams(), [messages.SttSpeechStarted(channel=1, at_ms=0)], DONE),
        (TurnParams(), [HEARD], DONE),
        (TurnParams(), [HEARD, TURN], DONE),
        (TurnParams(text="hello"), [], None),
        (TtsParams(text="hello"), [], None),
        (ExecuteParams(executor="os", action="echo", parameters={}), [], None),
    ],
)
def test_what_is_no_pause(params: Any, begins: list[messages.Message], ends: messages.Message | None) -> None:
    final = messages.SttFinal(channel=1, text="", confidence=0.0, start_ms=0, end_ms=1)
    said = pauses_behind(params, *begins), pauses_behind(params, *begins, final, *([ends] if ends else []))
    assert said == (False, ends is not None)
    assert pauses_behind(params, *begins, messages.ChannelClosed(channel=1, status="ok"))


def pauses_behind(params: Any, *said: messages.Message) -> bool:
    conversation = Activity()
    conversation.opened(1, params)
    for message in said:
        conversation.note(message)
    pauses = conversation.pauses
    conversation.lost()
    assert conversation.pauses
    return pauses
