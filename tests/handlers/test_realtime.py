"""Opening a socket: the four places of a token, and everything that is refused."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from server.identity.users import add_user
from tests.server.net.websocket.client_frames import PING, TEXT, frame
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.gateway import GatewayProcess


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


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


async def test_with_a_token_in_the_header_a_user_id_beside_it_is_nobody(gateway: GatewayProcess) -> None:
    """So clients whose token a proxy adds may pass any: they refuse to connect with neither."""
    socket = await opened(gateway, "/ws/door-1b?user_id=eve", {"Authorization": f"Bearer {gateway.token}"})
    assert (await first(socket))["user"]["user_id"] == "developer"


async def test_a_token_in_the_subprotocol_is_not_echoed(gateway: GatewayProcess) -> None:
    bearer = f"jarvis.bearer.{gateway.token}"
    for offered, chosen in (
        (["jarvis.v1", bearer], "jarvis.v1"),
        ([bearer, "jarvis.v1"], "jarvis.v1"),
        ([bearer], None),
    ):
        socket = await opened(gateway, "/ws/door-2", protocols=offered)
        assert (await first(socket))["type"] == "session.ready"
        assert socket.selected_subprotocol == chosen


async def test_a_ticket_is_good_once(gateway: GatewayProcess) -> None:
    status, answer = curl(gateway, "/api/v1/auth/ticket", "-X", "POST", "-H", f"Authorization: Bearer {gateway.token}")
    assert status == 200
    socket = await opened(gateway, f"/ws/door-3?ticket={answer['ticket']}")
    assert (await first(socket))["type"] == "session.ready"
    again = await opened(gateway, f"/ws/door-3?ticket={answer['ticket']}")
    assert (await farewell(again))[1] == 4501


def test_a_ticket_that_another_replica_may_have_is_answered_so_that_a_proxy_asks_that_one(tmp_path: Path) -> None:
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="redis://127.0.0.1:1/0") as gateway:
        status, answer = _handshake(gateway, "/ws/door-4?ticket=issued-elsewhere")
    assert status == 503
    assert "UNAVAILABLE" in answer
    assert "Retry-After: 1" in answer


async def test_a_risky_call_is_approved_over_the_socket_and_runs_once(gateway: GatewayProcess) -> None:
    socket = await opened(gateway, "/ws/door-risky", {"Authorization": f"Bearer {gateway.token}"})
    assert (await first(socket))["type"] == "session.ready"

    async def call(command_id: str, op: str, **params: Any) -> dict[str, Any]:
        await socket.write_message(json.dumps({"type": "call", "id": command_id, "op": op, "params": params}))
        while (answer := await first(socket)).get("id") != command_id:
            pass
        return answer

    mkdir = {"command": "mkdir", "args": ["approved-over-the-socket"]}
    asked = await call("risky-1", "executor.os.command", **mkdir)
    assert (asked["type"], asked["code"], asked["retryable"]) == ("error", "CONFIRMATION_REQUIRED", False)
    approval = {"confirmation_id": asked["details"]["confirmation_id"], "approve": True}
    done = await call("risky-2", "executor.confirm", **approval)
    assert (done["type"], done["data"]["status"]) == ("result", "ok")
    assert (await call("risky-3", "executor.confirm", **approval))["code"] == "NOT_FOUND"
    wrong = await call("risky-4", "executor.os.command", command=5)
    assert [error["pointer"] for error in wrong["details"]["errors"]] == ["#/command"]


async def test_a_token_in_the_first_message_and_commands_right_behind_it(gateway: GatewayProcess) -> None:
    socket = await opened(gateway, "/ws/door-4")
    await socket.write_message(json.dumps({"type": "auth", "token": gateway.token}))
    await socket.write_message(
        json.dumps({"type": "call", "id": "1", "op": "agent.intent", "params": {"text": "help"}})
    )
    assert (await first(socket))["type"] == "session.ready"
    assert (await first(socket))["data"]["intent"] == "help"


async def test_a_handshake_that_its_client_has_given_up_takes_no_session_over(tmp_path: Path) -> None:
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="") as slow:
        socket = await opened(slow, "/ws/door-9", {"Authorization": f"Bearer {slow.token}"})
        assert (await first(socket))["type"] == "session.ready"
        slow.process.send_signal(signal.SIGSTOP)
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", slow.port)
            writer.write(
                "GET /ws/door-9 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                f"Authorization: Bearer {slow.token}\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        finally:
            slow.process.send_signal(signal.SIGCONT)
        while sockets(slow) != 1:
            await asyncio.sleep(0.05)
        await socket.write_message(json.dumps({"type": "ping", "t": 7}))
        assert (await first(socket))["type"] == "pong"


def sockets(gateway: GatewayProcess) -> float:
    """How many WebSockets are open."""
    found = re.search(r"^api_gateway_ws_connections (.*)$", scraped(gateway), re.MULTILINE)
    assert found is not None
    return float(found[1])


def scraped(gateway: GatewayProcess) -> str:
    command = ["curl", "-sS", f"{gateway.base}/metrics"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def test_a_development_session_needs_debug(gateway: GatewayProcess, tmp_path: Path) -> None:
    socket = await opened(gateway, "/ws/door-5?user_id=ada")
    assert (await first(socket))["user"]["user_id"] == "ada"
    with running_gateway(tmp_path, DEBUG="false", EMBEDDED="false", REDIS_URL="") as strict:
        refused = await opened(strict, "/ws/door-5?user_id=ada")
        await refused.write_message(json.dumps({"type": "ping", "t": 1}))
        assert (await farewell(refused))[1] == 4501


async def test_who_will_send_no_token_is_not_waited_for(gateway: GatewayProcess) -> None:
    refused = await opened(gateway, "/ws/door-7?auth=none")
    assert (await farewell(refused))[1] == 4501
    added = await opened(gateway, "/ws/door-7?auth=none", {"Authorization": f"Bearer {gateway.token}"})  # by a proxy
    assert (await first(added))["type"] == "session.ready"


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_bad_token_is_told_and_closed(gateway: GatewayProcess, token: str) -> None:
    socket = await opened(gateway, "/ws/door-6", {"Authorization": f"Bearer {token}"})
    assert (await farewell(socket))[1] == 4501


def closes(gateway: GatewayProcess, code: int) -> float:
    """How many sockets the gateway has closed with that code."""
    found = re.search(rf'^api_gateway_ws_closes_total{{code="{code}"}} (.*)$', scraped(gateway), re.MULTILINE)
    return float(found[1]) if found is not None else 0.0


async def test_the_end_of_a_socket_that_the_gateway_closes_is_noticed(gateway: GatewayProcess) -> None:
    before = closes(gateway, 4501)
    await farewell(await opened(gateway, "/ws/door-6", {"Authorization": "Bearer a.b.c"}))
    while closes(gateway, 4501) == before:
        await asyncio.sleep(0.05)


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


REFUSED_HANDSHAKES = {
    "foreign page": (["Origin: https://evil.example"], 403, "FORBIDDEN"),
    "page of a file": (["Origin: null"], 403, "FORBIDDEN"),
    "origin that is no address": (["Origin: http://[::1"], 403, "FORBIDDEN"),
    "name that is rebound": (["Host: evil.example", "Origin: http://evil.example"], 400, "BAD_REQUEST"),
    "host that is no address": (["Host: [::1", "Origin: http://[::1"], 400, "BAD_REQUEST"),
    "old version": (["Sec-WebSocket-Version: 8"], 426, "UPGRADE_REQUIRED"),
    "no key": (["Sec-WebSocket-Key:"], 400, "BAD_REQUEST"),
    "short key": (["Sec-WebSocket-Key: abc"], 400, "BAD_REQUEST"),
    "no upgrade": (["Upgrade: h2c"], 400, "BAD_REQUEST"),
    "no connection": (["Connection: keep-alive"], 400, "BAD_REQUEST"),
}


@pytest.mark.parametrize(("headers", "status", "code"), REFUSED_HANDSHAKES.values(), ids=REFUSED_HANDSHAKES)
async def test_a_refused_handshake_gets_the_one_error_form(
    gateway: GatewayProcess, headers: list[str], status: int, code: str
) -> None:
    answered, answer = _handshake(gateway, "/ws/door-10", "X-Request-ID: handshake-10", *headers)
    head, _, body = answer.partition("\n\n")
    assert (answered, json.loads(body)["code"]) == (status, code)
    assert json.loads(body)["request_id"] == "handshake-10"
    assert "x-request-id: handshake-10" in head.lower()
    assert "Content-Type: application/problem+json" in head
    assert "Tornado" not in head


async def test_a_handshake_of_another_method_is_told_which_is_allowed(gateway: GatewayProcess) -> None:
    status, answer = _handshake(gateway, "/ws/door-10", method="POST")
    assert status == 405
    assert "Allow: GET" in answer
    assert "METHOD_NOT_ALLOWED" in answer


async def test_a_handshake_came_with_http_1_1(gateway: GatewayProcess) -> None:
    status, answer = _handshake(gateway, "/ws/door-10?user_id=ada", version="--http1.0")
    assert status == 400
    assert "BAD_REQUEST" in answer


async def test_a_refused_handshake_and_a_closed_socket_are_a_line_each(tmp_path: Path) -> None:
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="", LOG_FORMAT="json") as gateway:
        _handshake(gateway, "/ws/lines?ticket=opens-a-door", "X-Request-ID: refused-1", "Origin: https://evil.example")
        trace = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        socket = await opened(gateway, "/ws/lines?user_id=ada", {"X-Request-ID": "socket-line-1", **trace})
        await first(socket)
        socket.close(1000)
        assert await socket.read_message() is None
        _, metrics = _curl_text(gateway, "/metrics")
    assert 'requests_total{endpoint="/ws/{session_id}",method="GET",status="403"} 1.0' in metrics
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines() if line.startswith("{")]
    [refused] = [line for line in lines if line.get("request_id") == "refused-1"]
    assert (refused["endpoint"], refused["status"], refused["code"]) == ("/ws/{session_id}", 403, "FORBIDDEN")
    [closed] = [line for line in lines if line.get("request_id") == "socket-line-1"]
    assert (closed["user"], closed["session"], closed["code"]) == ("ada", "lines", 1000)
    assert closed["trace_id"] == TRACE
    assert 0 <= closed["seconds"] < 60
    assert (closed["texts_sent"], closed["texts_received"], closed["frames_sent"]) == (1, 0, 0)
    assert closed["bytes_sent"] > 100


async def test_a_plain_get_gets_the_one_error_form(gateway: GatewayProcess) -> None:
    status, answer = curl(gateway, "/ws/door-11")
    assert (status, answer["code"]) == (400, "BAD_REQUEST")


async def test_too_many_handshakes_are_refused(tmp_path: Path) -> None:
    settings = {"WS_HANDSHAKES_PER_MINUTE": "2", "EMBEDDED": "false", "REDIS_URL": ""}
    with running_gateway(tmp_path, **settings) as strict:
        for _ in range(2):
            await first(await opened(strict, "/ws/x?user_id=a"))
        assert _handshake(strict, "/ws/x?user_id=a")[0] == 429


async def test_a_gateway_that_is_full_when_the_token_comes_refuses_the_session(tmp_path: Path) -> None:
    """Until then, a socket without a token is no session."""
    settings = {"WS_MAX_SESSIONS": "1", "EMBEDDED": "false", "REDIS_URL": ""}
    with running_gateway(tmp_path, **settings) as small:
        early = [await opened(small, f"/ws/early-{number}") for number in range(2)]
        outcomes = []
        for socket in early:
            await socket.write_message(json.dumps({"type": "auth", "token": small.token}))
            outcomes.append((await first(socket))["type"])
        assert outcomes == ["session.ready", "error"]
        assert await early[1].read_message() is None
        assert early[1].close_code == 1013


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A user may have three sockets at it. Each test has users of its own."""
    settings = {"WS_MAX_SOCKETS_PER_USER": "3", "EMBEDDED": "false", "REDIS_URL": ""}
    with running_gateway(tmp_path_factory.mktemp("strict"), **settings) as running:
        yield running


async def test_a_user_may_have_so_many_sockets(strict: GatewayProcess) -> None:
    for number in range(3):
        await first(await opened(strict, f"/ws/eve{number}?user_id=eve"))
    assert (await farewell(await opened(strict, "/ws/eve3?user_id=eve")))[1] == 4504


async def test_the_socket_of_a_session_that_is_taken_over_does_not_count(strict: GatewayProcess) -> None:
    for number in range(2):
        await first(await opened(strict, f"/ws/mia{number}?user_id=mia"))
    half_open = await opened(strict, "/ws/mia2?user_id=mia")
    token = (await first(half_open))["resume_token"]
    back = await opened(strict, f"/ws/mia2?user_id=mia&resume={token}&last_seq=0")
    assert (await first(back))["type"] == "session.resumed"
    assert (await farewell(half_open))[1] == 4510


async def test_sessions_that_wait_for_their_client_count_too(strict: GatewayProcess) -> None:
    """The oldest of them gives way; those that are left, and other users' ones, can still be resumed."""
    tokens = {}
    for user, name in [("bob", "b"), *(("ada", f"a{number}") for number in range(5))]:
        socket = await opened(strict, f"/ws/{name}?user_id={user}")
        tokens[name] = (await first(socket))["resume_token"]
        assert socket.protocol is not None
        socket.protocol._abort()  # without a close frame: as a network that is gone
    outcomes = {}
    for user, name in [("ada", "a0"), ("ada", "a1"), ("ada", "a4"), ("bob", "b")]:
        socket = await opened(strict, f"/ws/{name}?user_id={user}&resume={tokens[name]}&last_seq=0")
        outcomes[name] = (await first(socket))["type"]
        socket.close(1000)
    assert outcomes == {"a0": "session.ready", "a1": "session.ready", "a4": "session.resumed", "b": "session.resumed"}


BROKEN_FRAMES = {
    "unmasked": (frame(TEXT, b"{}", mask=None), 1002, "INVALID_FRAME"),
    "not UTF-8": (frame(TEXT, b"\xff"), 1007, "INVALID_JSON"),
    "too big": (b"\x81\xff" + (22 * 2**20).to_bytes(8, "big") + bytes(4), 1009, "INVALID_FRAME"),  # by its head
    "pings": (frame(PING) * 10_001, 1008, "INVALID_FRAME"),
}


@pytest.mark.parametrize("path", ["/ws/broken?user_id=ada", "/v1/realtime"])
@pytest.mark.parametrize(("data", "close_code", "error"), BROKEN_FRAMES.values(), ids=BROKEN_FRAMES)
async def test_an_error_comes_before_the_close_of_a_broken_socket(
    gateway: GatewayProcess, path: str, data: bytes, close_code: int, error: str
) -> None:
    """A browser's script learns little else. Half a megabyte behind the fault does not cost the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nAuthorization: Bearer {gateway.own_token()}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(data + bytes(512 * 1024))
    received = await reader.read()
    writer.close()
    at = received.rindex(close_code.to_bytes(2, "big"))
    assert received[at - 2] == 0x88  # the close frame is the last one
    assert b'"type":"error"' in received[:at].replace(b": ", b":")
    if path.startswith("/ws"):
        assert f'"{error}"'.encode() in received[:at]


async def test_a_text_that_is_not_json_is_called_that(gateway: GatewayProcess) -> None:
    socket = await opened(gateway, "/ws/not-json?user_id=ada")
    await first(socket)
    await socket.write_message("hello")
    assert await farewell(socket) == ("INVALID_JSON", 1007)


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
        answer = await first(socket)
        assert answer["type"] == "result", answer
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


def _curl_text(gateway: GatewayProcess, path: str) -> tuple[int, str]:
    command = ["curl", "-sS", "-w", "\n%{http_code}", gateway.base + path]
    body, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), body


def _handshake(
    gateway: GatewayProcess, path: str, *headers: str, method: str = "GET", version: str = "--http1.1"
) -> tuple[int, str]:
    """A raw upgrade that is refused, some of its headers replaced; the status line's code, and the whole answer."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    for header in headers:
        name, _, value = header.partition(":")
        upgrade[name] = value.strip()
    arguments = [word for name, value in upgrade.items() for word in ("-H", f"{name}: {value}")]
    command = ["curl", "-sS", "-i", version, "-X", method, "--max-time", "200", *arguments, gateway.base + path]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace").stdout
    return int(answer.split(" ", 2)[1]), answer
