"""Secrets are planted in settings, sign-ins and speech, and then looked for wherever the gateway writes or shows something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.httpclient import HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import websocket_connect

from server.identity.users import add_user
from tests.support.gateway import LIGHT, free_port, running_gateway

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess

KEY = "planted-jwt-key-0f3c9a7d5e1b48266b9d70c4e8a1f253"
LLM_KEY = "planted-llm-key-77aa"
OTHER_KEY = "planted-other-key-88bb"
PASSWORD, WRONG = "planted password 99cc", "planted wrong password 11dd"
SAID = "planted sentence about a zebra"


async def ask(gateway: GatewayProcess, path: str, body: Any = None, token: str = "") -> tuple[int, str]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = HTTPRequest(
        gateway.base + path,
        "GET" if body is None else "POST",
        headers,
        body=None if body is None else json.dumps(body),
        request_timeout=60,
    )
    answer = await SimpleAsyncHTTPClient(force_instance=True).fetch(request, raise_error=False)
    return answer.code, answer.body.decode()


async def talk(gateway: GatewayProcess, path: str, token: str, messages: list[str]) -> None:
    """Send it, and read until the last message, a ping, is answered."""
    request = HTTPRequest(gateway.ws + path, headers={"Authorization": f"Bearer {token}"} if token else {})
    socket = await websocket_connect(request)
    for message in [*messages, json.dumps({"type": "ping", "t": 77})]:
        await socket.write_message(message)
    while isinstance(got := await socket.read_message(), str):
        event = json.loads(got)
        if event["type"] == "pong" and event["t"] == 77:
            break
    socket.close(1000)


def shown_by_processes(gateway: GatewayProcess) -> str:
    """Command lines of the gateway and its children, and the environments of the children."""
    shown = [Path(f"/proc/{gateway.process.pid}/cmdline").read_bytes()]
    children = gateway.children()
    assert len(children) >= 2
    for pid in children:
        for name in ("cmdline", "environ"):
            try:
                shown.append(Path(f"/proc/{pid}/{name}").read_bytes())
            except OSError:  # it has ended
                continue
    return b"\n".join(shown).decode("utf-8", "replace")


async def test_planted_secrets_are_found_nowhere(tmp_path: Path) -> None:
    add_user(tmp_path / "users.json", "ada", PASSWORD, ["user"])
    add_user(tmp_path / "users.json", "bob", PASSWORD + "!", ["user"])
    settings = {
        "JWT_SECRET_KEY": KEY,
        "LLM_API_KEY": LLM_KEY,
        "LLM_BASE_URL": f"http://127.0.0.1:{free_port()}/v1",
        "LLM_MODEL": "none",
        "AWS_SECRET_ACCESS_KEY": OTHER_KEY,  # not ours, and in the environment all the same
        "RECORD_DIR": str(tmp_path / "recordings"),
        "AUDIT_LOG": str(tmp_path / "audit.log"),
        "LOG_FORMAT": "json",
        "REDIS_URL": "",
    }
    with running_gateway(tmp_path, **LIGHT, **settings) as gateway:
        status, body = await ask(gateway, "/api/v1/auth/token", {"username": "ada", "password": PASSWORD})
        assert status == 200
        pair = json.loads(body)
        token = pair["access_token"]
        bob = json.loads((await ask(gateway, "/api/v1/auth/token", {"username": "bob", "password": PASSWORD + "!"}))[1])
        ticket = json.loads((await ask(gateway, "/api/v1/auth/ticket", {}, token))[1])["ticket"]
        answers = [
            await ask(gateway, "/api/v1/auth/token", {"username": "ada", "password": WRONG}),
            await ask(gateway, "/api/v1/auth/token", {"username": "ada", "password": WRONG, "more": 1}),
            await ask(gateway, "/api/v1/auth/refresh", {"refresh_token": pair["refresh_token"] + "x"}),
            await ask(gateway, "/api/v1/voice/voices", token=token + "x"),
            await ask(gateway, f"/ws/one?ticket={ticket}x"),
            await ask(gateway, "/api/v1/executor/os/command", {"command": "date"}, token),
        ]
        assert [status >= 400 for status, _ in answers] == [True] * len(answers)
        asked = [
            await ask(gateway, "/api/v1/agent/intent", {"text": SAID}, token),
            await ask(gateway, "/api/v1/agent/plan", {"text": SAID}, token),
            await ask(gateway, "/api/v1/memory/store", {"value": SAID, "key": "zebra"}, token),
            await ask(gateway, "/api/v1/voice/tts", {"text": SAID, "speed": 99}, token),
        ]
        assert [status for status, _ in asked][2:] == [201, 422]
        turn = {"text": SAID, "reply": "text"}
        said = [
            json.dumps({"type": "channel.open", "channel": 1, "kind": "turn", "params": turn}),
            json.dumps({"type": "call", "id": "a", "op": "agent.intent", "params": {"txt": SAID}}),
            json.dumps({"type": SAID, "id": "\ud800"}),
            json.dumps({"type": "auth.refresh", "token": pair["refresh_token"]}),
        ]
        await talk(gateway, f"/ws/one?ticket={ticket}&record=true", "", said)
        await talk(
            gateway,
            "/ws/two?record=true",
            bob["access_token"],
            [json.dumps({"type": "call", "id": "b", "op": "agent.intents"})],
        )
        metrics = (await ask(gateway, "/metrics"))[1]
        processes = shown_by_processes(gateway)
    log = gateway.log.read_text()
    assert '"endpoint":"/api/v1/agent/plan"' in log
    recordings = [file.read_bytes().decode("utf-8", "replace") for file in tmp_path.glob("recordings/**/*.*")]
    assert any(SAID in recording for recording in recordings)  # her own
    of_bob = [recording for recording in recordings if '"user_id":"bob"' in recording]
    assert of_bob
    keys = [KEY, LLM_KEY, OTHER_KEY, PASSWORD, WRONG]
    tokens = [found.rpartition(".")[2] for found in (token, pair["refresh_token"], bob["access_token"])] + [ticket]
    audit = (tmp_path / "audit.log").read_text() if (tmp_path / "audit.log").exists() else ""
    errors = "".join(body for _, body in answers)
    for secret in (*keys, *tokens, SAID):
        for name, text in {"log": log, "metrics": metrics, "audit": audit, "errors": errors}.items():
            assert secret not in text, (name, secret)
        assert secret not in processes, secret
        assert not any(secret in recording for recording in of_bob), secret
    for secret in (*keys, *tokens):
        assert not any(secret in recording for recording in recordings), secret
