"""Handshakes of every dialect: they wait for FFmpeg, take text only, and no log shows their address."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from server.errors import ApiError
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path

AUTH_TOKEN = "12345678901234567890123456789012"


class NoCodecs:
    async def ready(self) -> None:
        raise ApiError("UNAVAILABLE", "they cannot be loaded")


@pytest.mark.parametrize("path", ["/ws/kitchen", "/v1/realtime", "/v1/live/sessions", "/v1/twilio"])
async def test_a_handshake_waits_for_the_codecs(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, twilio_auth_token=AUTH_TOKEN) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks
        none: Any = NoCodecs()
        rest.gateway.codecs = none
        signed = hmac.new(AUTH_TOKEN.encode(), f"wss://127.0.0.1:{rest.port}{path}".encode(), hashlib.sha1).digest()
        headers = rest.bearer() | {"X-Twilio-Signature": base64.b64encode(signed).decode()}
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{rest.port}{path}", headers=headers))
    assert refused.value.code == 503


@pytest.mark.parametrize("method", ["POST", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/ws/kitchen", "/v1/realtime", "/v1/live/sessions", "/v1/live/sessions/s/attach"])
async def test_whichever_other_method_it_has_it_is_told_which_is_allowed(
    tmp_path: Path, path: str, method: str
) -> None:
    """Tornado itself refuses those that it does not know."""
    async with running(tmp_path) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks
        answer = await rest.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: GET\r\n" in answer


NO_TEXT = (
    "?model=%ff",
    "?intent=%ff",
    "?model=a&model=%ff",
    "?model=%ff&model=a",
    "?last_event_id=%00",
    "?%ff=a",
    "?resume=%0a",
)


@pytest.mark.parametrize("query", NO_TEXT)
@pytest.mark.parametrize("path", ["/ws/kitchen", "/v1/realtime", "/v1/live/sessions", "/v1/live/sessions/s/attach"])
async def test_a_query_that_is_no_text_is_refused_before_anything_is_spent(
    tmp_path: Path, path: str, query: str
) -> None:
    async with running(tmp_path) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks
        authenticator = rest.gateway.authenticator
        identity = await authenticator.verify(rest.token())
        secret = await authenticator.issue_client_secret(identity, 60, {})
        ticket, _ = await authenticator.issue_ticket(identity)
        headers = {"Authorization": f"Bearer {secret}"} if path.startswith("/v1") else {}
        request = HTTPRequest(f"ws://127.0.0.1:{rest.port}{path}{query}&ticket={ticket}", headers=headers)
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(request)
        assert refused.value.code == 400
        await authenticator.spend_client_secret(secret)
        await authenticator.redeem_ticket(ticket)


@pytest.mark.parametrize("path", ["/ws/kitchen", "/v1/realtime"])
async def test_what_fails_in_a_socket_is_logged_without_its_address(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Defect:
        async def ready(self) -> None:
            raise KeyError("a defect")

    with capture_logs() as told:
        async with running(tmp_path) as rest, asyncio.TaskGroup() as tasks:
            rest.gateway.session_tasks = tasks
            defect: Any = Defect()
            rest.gateway.codecs = defect
            address = f"ws://127.0.0.1:{rest.port}{path}?code=PLANTED&api_key=PLANTED"
            with pytest.raises(HTTPClientError) as failed:
                await websocket_connect(HTTPRequest(address, headers=rest.bearer()))
    assert failed.value.code == 500
    assert (
        len([line for line in told if line["event"] == "socket failed" and path.startswith(line["endpoint"][:3])]) == 1
    )
    assert "PLANTED" not in repr(told) + caplog.text
