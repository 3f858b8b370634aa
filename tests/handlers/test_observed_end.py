"""An observer is shown the `error` with which a socket of the session is closed, whoever closes it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from tests.handlers.test_realtime import first, opened
from tests.server.net.websocket.client_frames import TEXT, frame
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from pathlib import Path

    from tornado.websocket import WebSocketClientConnection

    from tests.support.gateway import GatewayProcess

ADA = "?user_id=ada"


async def shown(desk: WebSocketClientConnection) -> dict[str, Any]:
    """The `error` that it sees the gateway send. Then it leaves."""
    async with asyncio.timeout(10):
        while True:
            told = await first(desk)
            if told.get("direction") == "server" and told["message"]["type"] == "error":
                desk.close(1000)
                message: dict[str, Any] = told["message"]
                return message


async def observing(gateway: GatewayProcess, session_id: str) -> WebSocketClientConnection:
    """A socket of the same user that observes the session."""
    desk = await opened(gateway, f"/ws/desk{ADA}")
    assert (await first(desk))["type"] == "session.ready"
    await desk.write_message(
        json.dumps({"type": "channel.open", "channel": 1, "kind": "observe", "params": {"session_id": session_id}})
    )
    assert (await first(desk))["type"] == "channel.opened"
    await desk.write_message('{"type":"ping","t":1}')
    assert (await first(desk))["type"] == "pong"  # the lane has begun
    return desk


async def test_an_observer_sees_why_the_socket_was_closed(tmp_path: Path) -> None:
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="") as gateway:
        kitchen = await opened(gateway, f"/ws/kitchen{ADA}")
        await first(kitchen)
        desk = await observing(gateway, "kitchen")
        await kitchen.write_message("no JSON")
        assert json.loads(str(await kitchen.read_message()))["code"] == "INVALID_JSON"
        assert (await shown(desk))["code"] == "INVALID_JSON"

        kitchen = await opened(gateway, f"/ws/kitchen{ADA}")  # another epoch
        await first(kitchen)
        desk = await observing(gateway, "kitchen")
        second = await opened(gateway, f"/ws/kitchen{ADA}")
        assert (await shown(desk))["code"] == "SESSION_TAKEN_OVER"
        second.close(1000)


async def test_an_observer_sees_why_the_socket_closed_itself(tmp_path: Path) -> None:
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="") as gateway:
        for path in (f"/ws/kitchen{ADA}", f"/v1/realtime{ADA}"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nUpgrade: websocket\r\n"
                f"Authorization: Bearer {gateway.own_token('ada')}\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            await reader.readuntil(b"\r\n\r\n")
            greeting = (await reader.readuntil(b"}")).decode("latin-1")
            of_openai = greeting.partition('"id":"')[2].partition('"')[0]
            desk = await observing(gateway, of_openai if path.startswith("/v1") else "kitchen")
            writer.write(frame(TEXT, b"\xff"))
            assert "UTF-8" in repr(await shown(desk))
            writer.close()
