"""SIGTERM during conversations: clients are notified, running work is finished, then sockets close with 1012."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect

from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_drain_tells_finishes_and_closes(tmp_path: Path, services: dict[str, str]) -> None:
    loop = asyncio.get_running_loop()
    with running_gateway(tmp_path, **services, DRAIN_SECONDS="20") as gateway:
        socket = await websocket_connect(f"{gateway.ws}/ws/drained?user_id=ada")
        params = {"executor": "os", "action": "sleep", "parameters": {"args": ["6"]}}
        opening = {"type": "channel.open", "channel": 1, "kind": "execute", "params": params}
        await socket.write_message(json.dumps(opening))
        messages: list[dict[str, Any]] = []
        while not any(message["type"] == "task.started" for message in messages):
            messages.append(json.loads(await socket.read_message() or ""))
        gateway.process.send_signal(signal.SIGTERM)
        while not any(message["type"] == "session.draining" for message in messages):
            messages.append(json.loads(await socket.read_message() or ""))
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(f"{gateway.ws}/ws/late?user_id=ada")
        while (text := await socket.read_message()) is not None:
            messages.append(json.loads(text))
        assert await loop.run_in_executor(None, gateway.process.wait, 120) == 0
    assert refused.value.code == 503
    kinds = [message["type"] for message in messages]
    assert kinds.index("task.result") > kinds.index("session.draining")
    assert messages[-1]["code"] == "DRAINING"
    assert socket.close_code == 1012


async def test_a_drain_does_not_wait_for_ever(tmp_path: Path, services: dict[str, str]) -> None:
    with running_gateway(tmp_path, **services, DRAIN_SECONDS="1") as gateway:
        socket = await websocket_connect(f"{gateway.ws}/ws/drained?user_id=ada")
        await socket.write_message(json.dumps({"type": "channel.open", "channel": 1, "kind": "stt"}))
        for _ in range(2):
            await socket.read_message()
        gateway.process.send_signal(signal.SIGTERM)
        while await socket.read_message() is not None:
            pass
        assert socket.close_code == 1012
        code = await asyncio.get_running_loop().run_in_executor(None, gateway.process.wait, 120)
    assert code == 0
