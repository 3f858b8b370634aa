"""No session loads FFmpeg in the event loop: each socket's handshake waits until a thread has done it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import pytest
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
