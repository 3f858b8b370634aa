"""Getting in through the door: the four places of a token, and everything that is refused."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from server.users import add_user
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateway import GatewayProcess


async def opened(
    gateway: GatewayProcess, path: str, headers: dict[str, str] | None = None, protocols: list[str] | None = None
) -> WebSocketClientConnection:
    return await websocket_connect(HTTPRequest(gateway.ws + path, headers=headers or {}), subprotocols=protocols)


async def first(socket: WebSocketClientConnection) -> dict[str, Any]:
    message = await socket.read_message()
    assert isinstance(message, str), f"closed with {socket.close_code}"
    parsed: dict[str, Any] = json.loads(message)
    return parsed


async def farewell(socket: WebSocketClientConnection) -> tuple[str, int | None]:
    """The error before the close, and the close code."""
    message = await first(socket)
    assert await socket.read_message() is None
    return message["code"], socket.close_code


def curl(gateway: GatewayProcess, path: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    command = ["curl", "-sS", "-w", "\n%{http_code}", *arguments, gateway.base + path]
    body, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), json.loads(body)


async def test_a_token_in_the_header(gateway: GatewayProcess) -> None:
    socket = await opened(gateway, "/ws/door-1", {"Authorization": f"Bearer {gateway.token}"})
    assert (await first(socket))["user"]["user_id"] == "developer"


async def test_a_token_in_the_subprotocol_is_not_echoed(gateway: GatewayProcess) -> None:
    socket = await opened(gateway, "/ws/door-2", protocols=["jarvis.v1", f"jarvis.bearer.{gateway.token}"])
    assert (await first(socket))["type"] == "session.ready"
    assert socket.selected_subprotocol == "jarvis.v1"


async def test_a_ticket_is_good_once(gateway: GatewayProcess) -> None:
    status, answer = curl(gateway, "/api/v1/auth/ticket", "-X", "POST", "-H", f"Authorization: Bearer {gateway.token}")
    assert status == 200
    socket = await opened(gateway, f"/ws/door-3?ticket={answer['ticket']}")
    assert (await first(socket))["type"] == "session.ready"
    again = await opened(gateway, f"/ws/door-3?ticket={answer['ticket']}")
    assert (await farewell(again))[1] == 4501


async def test_a_token_in_the_first_message_and_commands_right_behind_it(gateway: GatewayProcess) -> None:
    socket = await opened(gateway, "/ws/door-4")
    await socket.write_message(json.dumps({"type": "auth", "token": gateway.token}))
    await socket.write_message(
        json.dumps({"type": "call", "id": "1", "op": "agent.intent", "params": {"text": "help"}})
    )
    assert (await first(socket))["type"] == "session.ready"
    assert (await first(socket))["data"]["intent"] == "help"


async def test_a_development_session_needs_debug(gateway: GatewayProcess, tmp_path: Path) -> None:
    socket = await opened(gateway, "/ws/door-5?user_id=ada")
    assert (await first(socket))["user"]["user_id"] == "ada"
    with running_gateway(tmp_path, DEBUG="false", EMBEDDED="false", REDIS_URL="") as strict:
        refused = await opened(strict, "/ws/door-5?user_id=ada")
        await refused.write_message(json.dumps({"type": "ping", "t": 1}))
        assert (await farewell(refused))[1] == 4501


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_bad_token_is_told_and_closed(gateway: GatewayProcess, token: str) -> None:
    socket = await opened(gateway, "/ws/door-6", {"Authorization": f"Bearer {token}"})
    assert (await farewell(socket))[1] == 4501


async def test_another_users_session_is_forbidden(gateway: GatewayProcess) -> None:
    mine = await opened(gateway, "/ws/door-7?user_id=ada")
    await first(mine)
    theirs = await opened(gateway, "/ws/door-7?user_id=eve")
    assert await farewell(theirs) == ("PERMISSION_DENIED", 4503)


async def test_the_second_socket_takes_over(gateway: GatewayProcess) -> None:
    one = await opened(gateway, "/ws/door-8?user_id=ada")
    await first(one)
    two = await opened(gateway, "/ws/door-8?user_id=ada")
    assert (await first(two))["type"] == "session.ready"
    assert await farewell(one) == ("SESSION_TAKEN_OVER", 4510)


@pytest.mark.parametrize(
    ("sent", "code"), [("no json", 1007), ("[1]", 1007), (b"short", 1002), (b"\x09" + bytes(15), 1002)]
)
async def test_broken_framing_closes_with_its_code(gateway: GatewayProcess, sent: str | bytes, code: int) -> None:
    socket = await opened(gateway, "/ws/door-9?user_id=ada")
    await first(socket)
    await socket.write_message(sent, binary=isinstance(sent, bytes))
    assert (await farewell(socket))[1] == code


async def test_a_page_of_another_origin_gets_no_socket(gateway: GatewayProcess) -> None:
    status, _ = _handshake(gateway, "/ws/door-10", "Origin: https://evil.example")
    assert status == 403


async def test_a_plain_get_gets_the_one_error_form(gateway: GatewayProcess) -> None:
    status, answer = curl(gateway, "/ws/door-11")
    assert (status, answer["code"]) == (400, "BAD_REQUEST")


async def test_too_many_handshakes_are_refused(tmp_path: Path) -> None:
    settings = {"WS_HANDSHAKES_PER_MINUTE": "2", "EMBEDDED": "false", "REDIS_URL": ""}
    with running_gateway(tmp_path, **settings) as strict:
        codes = [_handshake(strict, "/ws/x?user_id=a")[0] for _ in range(3)]
    assert codes == [101, 101, 429]


async def test_a_user_may_have_so_many_sockets(tmp_path: Path) -> None:
    settings = {"WS_MAX_SOCKETS_PER_USER": "1", "EMBEDDED": "false", "REDIS_URL": ""}
    with running_gateway(tmp_path, **settings) as strict:
        await first(await opened(strict, "/ws/one?user_id=ada"))
        assert (await farewell(await opened(strict, "/ws/two?user_id=ada")))[1] == 4504


async def test_the_socket_of_a_session_that_is_taken_over_does_not_count(tmp_path: Path) -> None:
    settings = {"WS_MAX_SOCKETS_PER_USER": "1", "EMBEDDED": "false", "REDIS_URL": ""}
    with running_gateway(tmp_path, **settings) as strict:
        half_open = await opened(strict, "/ws/one?user_id=ada")
        token = (await first(half_open))["resume_token"]
        back = await opened(strict, f"/ws/one?user_id=ada&resume={token}&last_seq=0")
        assert (await first(back))["type"] == "session.resumed"
        assert (await farewell(half_open))[1] == 4510


@pytest.mark.parametrize("last_seq", ["-1", "1e3", "9" * 40, "7"])
async def test_nobody_goes_on_from_a_number_that_was_never_sent(gateway: GatewayProcess, last_seq: str) -> None:
    path = f"/ws/never-{last_seq[:4]}?user_id=ada"
    token = (await first(await opened(gateway, path)))["resume_token"]
    ready = await first(await opened(gateway, f"{path}&resume={token}&last_seq={last_seq}"))
    assert ready["resume_error"] == "INCOMPLETE"


async def test_an_answer_of_megabytes_arrives_and_costs_nobody_the_gateway(gateway: GatewayProcess) -> None:
    socket = await opened(gateway, "/ws/large?user_id=hoarder")
    await first(socket)
    params = {"value": "haystack " + "x" * 60_000}
    for number in range(30):
        store = {"type": "call", "id": f"s{number}", "op": "memory.store", "params": {"key": f"k{number}", **params}}
        await socket.write_message(json.dumps(store))
        assert (await first(socket))["type"] == "result"
    search = {"type": "call", "id": "s", "op": "memory.search", "params": {"query": "haystack", "limit": 30}}
    await socket.write_message(json.dumps(search))
    assert len((await first(socket))["data"]["results"]) == 30
    assert curl(gateway, "/live")[0] == 200


async def test_signing_out_closes_the_sockets_of_the_sign_in(tmp_path: Path) -> None:
    add_user(tmp_path / "users.json", "ada", "a long password", ["user"])
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="") as gateway:
        body = json.dumps({"username": "ada", "password": "a long password"})
        json_type = ["-H", "Content-Type: application/json"]
        status, pair = curl(gateway, "/api/v1/auth/token", *json_type, "-d", body)
        assert status == 200
        bearer = f"Authorization: Bearer {pair['access_token']}"
        socket = await opened(gateway, "/ws/mine", {"Authorization": f"Bearer {pair['access_token']}"})
        await first(socket)
        logout = ["curl", "-sS", "-X", "POST", "-H", bearer, f"{gateway.base}/api/v1/auth/logout"]
        subprocess.run(logout, check=True)
        assert (await farewell(socket))[1] == 4501


def _handshake(gateway: GatewayProcess, path: str, *headers: str) -> tuple[int, str]:
    """A raw upgrade; the status line's code."""
    upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    arguments = [word for header in (*upgrade, *headers) for word in ("-H", header)]
    command = ["curl", "-sS", "-i", "--http1.1", "--max-time", "1", *arguments, gateway.base + path]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace").stdout
    return int(answer.split(" ", 2)[1]), answer
