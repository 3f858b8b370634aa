"""A command that is repeated in a new epoch of its session, over a real socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess


LISTING = {"executor": "os", "action": "ls", "parameters": {"args": []}}


async def answers(gateway: GatewayProcess, session_id: str, command: dict[str, Any], last: str) -> list[dict[str, Any]]:
    """All that comes back on a socket of its own, in an epoch of its own, up to a message of the type `last`."""
    url = f"{gateway.ws}/ws/{session_id}"
    socket = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"Bearer {gateway.token}"}))
    await socket.write_message(json.dumps(command))
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["type"] != last:
        message = await socket.read_message()
        assert isinstance(message, str), f"closed with {socket.close_code}"
        heard.append(json.loads(message))
    socket.close(1000)
    return heard


async def test_a_channel_opened_again_gets_the_outcome_and_runs_nothing(gateway: GatewayProcess) -> None:
    command = {"type": "channel.open", "id": "list-1", "channel": 1, "kind": "execute", "params": LISTING}
    first, again = [await answers(gateway, "once-1", command, "channel.closed") for _ in range(2)]
    other = await answers(gateway, "once-1", command | {"id": "list-2"}, "channel.closed")
    assert first[0]["epoch"] != again[0]["epoch"]
    ran = [[each["type"] for each in heard].count("task.started") for heard in (first, again, other)]
    assert ran == [1, 0, 1]
    results = [next(each for each in heard if each["type"] == "task.result") for heard in (first, again)]
    assert results[0]["result"] == results[1]["result"]
    assert "stdout" in results[0]["result"]
    assert again[-1]["status"] == "ok"


async def test_a_call_that_comes_again_gets_the_answer_of_the_first(gateway: GatewayProcess) -> None:
    command = {"type": "call", "id": "c1", "op": "executor.os.command", "params": {"command": "ls"}}
    first, again = [(await answers(gateway, "once-2", command, "result"))[-1] for _ in range(2)]
    elsewhere = (await answers(gateway, "once-3", command, "result"))[-1]
    assert first["data"] == again["data"]
    assert first["data"]["task_id"] != elsewhere["data"]["task_id"]
