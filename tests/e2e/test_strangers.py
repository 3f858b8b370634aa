"""Two users, and everything of one that has a name, tried by the other: over REST, by `call`, and by the socket's own commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from pathlib import Path

    from tornado.websocket import WebSocketClientConnection

    from tests.support.gateway import GatewayProcess

HUSH = "tulip-seventy-seven"
ABSENT = {"NOT_FOUND", "FORBIDDEN", "PERMISSION_DENIED", "VALIDATION_ERROR"}


class User:
    """One of the two, with a token of its own."""

    def __init__(self, gateway: GatewayProcess, name: str, *roles: str) -> None:
        self.gateway = gateway
        self.bearer = {"Authorization": f"Bearer {gateway.own_token(name, *roles)}"}

    async def asks(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and answer."""
        all_headers = {**self.bearer, "Content-Type": "application/json", **headers}
        answer = await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{self.gateway.port}/api/v1{path}",
            method=method,
            headers=all_headers,
            body=json.dumps(body) if body is not None else None,
            raise_error=False,
        )
        return answer.code, json.loads(answer.body) if answer.body else None

    async def enters(self, path: str) -> WebSocketClientConnection:
        return await websocket_connect(HTTPRequest(f"{self.gateway.ws}/ws/{path}", headers=self.bearer))


async def until(socket: WebSocketClientConnection, *kinds: str) -> dict[str, Any]:
    """The next message of one of these types; a closed socket counts as `closed`."""
    while (message := await socket.read_message()) is not None:
        event: dict[str, Any] = json.loads(message)
        if event["type"] in kinds:
            return event
    return {"type": "closed", "code": str(socket.close_code)}


async def called(socket: WebSocketClientConnection, number: int, op: str, params: dict[str, Any]) -> dict[str, Any]:
    await socket.write_message(json.dumps({"type": "call", "id": f"c{number}", "op": op, "params": params}))
    return await until(socket, "result", "error")


async def test_nothing_of_one_user_is_the_others(tmp_path: Path, services: dict[str, str]) -> None:
    with running_gateway(tmp_path, **services, RATE_LIMIT_REQUESTS="10000") as gateway:
        ada, bob = User(gateway, "ada", "user", "operator"), User(gateway, "bob", "user", "operator")
        plain = User(gateway, "carol", "user")
        session = await ada.enters("adas-own")
        ready = await until(session, "session.ready")
        stored = {"key": "the-key", "value": HUSH, "session_id": "adas-own"}
        assert (await ada.asks("POST", "/memory/store", stored))[0] == 201
        mkdir = {"command": "mkdir", "args": ["adas"]}
        status, question = await ada.asks("POST", "/executor/os/command", mkdir, **{"Idempotency-Key": "one-and-same"})
        assert status == 409
        asked = question["confirmation_id"]

        # over REST
        for method, path, body, right in (
            ("GET", "/memory/retrieve/the-key", None, {404}),
            ("DELETE", "/memory/delete/the-key", None, {404}),
            ("POST", "/memory/search", {"query": HUSH}, {200}),
            ("GET", "/memory/context/adas-own", None, {200, 403, 404}),
            ("POST", f"/executor/confirmations/{asked}", {"approve": True}, {404}),
            ("POST", f"/executor/confirmations/{asked}", {"approve": False}, {404}),
        ):
            status, answer = await bob.asks(method, path, body)
            assert status in right, (path, status, answer)
            assert HUSH not in json.dumps(answer), path
        status, answer = await bob.asks("POST", "/executor/os/command", mkdir, **{"Idempotency-Key": "one-and-same"})
        assert answer.get("confirmation_id") != asked, "another user's stored answer"

        # by call, and by the socket's own commands
        own = await bob.enters("bobs-own")
        await until(own, "session.ready")
        tried: tuple[tuple[str, dict[str, Any]], ...] = (
            ("memory.retrieve", {"key": "the-key"}),
            ("memory.delete", {"key": "the-key"}),
            ("executor.confirm", {"confirmation_id": asked, "approve": True}),
        )
        for number, (op, params) in enumerate(tried):
            answer = await called(own, number, op, params)
            assert (answer["type"], answer.get("code") in ABSENT) == ("error", True), answer
        for number, (op, params) in enumerate(
            (("memory.search", {"query": HUSH}), ("memory.context", {"session_id": "adas-own"})), 10
        ):
            assert HUSH not in json.dumps(await called(own, number, op, params)), op
        await own.write_message(
            json.dumps({"type": "task.confirm", "id": "t", "confirmation_id": asked, "approve": True})
        )
        assert (await until(own, "result", "error"))["code"] == "NOT_FOUND"
        observe = {"type": "channel.open", "channel": 1, "kind": "observe", "params": {"session_id": "adas-own"}}
        await own.write_message(json.dumps(observe))
        seen = await until(own, "error", "channel.closed", "observe.event")
        assert seen["type"] in {"error", "channel.closed"}, seen
        assert seen.get("status") != "ok", seen

        # into the session itself
        for path in ("adas-own", f"adas-own?resume={ready['resume_token']}&last_seq=0"):
            assert (await until(await bob.enters(path), "session.ready", "session.resumed"))["code"] == "4503"
        resuming = await bob.enters("bobs-other")
        resume = {"type": "session.resume", "resume_token": ready["resume_token"], "last_seq": 0}
        await resuming.write_message(json.dumps(resume))
        assert (await until(resuming, "session.resumed", "session.ready"))["session_id"] == "bobs-other"

        # without the role
        for path, body in (
            ("/executor/os/command", {"command": "date"}),
            ("/executor/browser/action", {"action": "screenshot"}),
        ):
            assert (await plain.asks("POST", path, body))[0] == 403, path
        weak = await plain.enters("carols-own")
        await until(weak, "session.ready")
        for number, (op, params) in enumerate(
            (("executor.os.command", {"command": "date"}), ("executor.browser.action", {"action": "screenshot"}))
        ):
            assert (await called(weak, number, op, params))["code"] in ABSENT

        # nothing happened to what is hers
        assert (await ada.asks("GET", "/memory/retrieve/the-key"))[1]["value"] == HUSH
        status, outcome = await ada.asks("POST", f"/executor/confirmations/{asked}", {"approve": True})
        assert status == 200, outcome
        for socket in (session, own, weak, resuming):
            socket.close()
