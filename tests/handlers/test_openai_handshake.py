"""A token that is signed out while its handshake waits opens no session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from streaming.openai.settings import Voices
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.ports import Identity


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/live/sessions"])
async def test_a_sign_out_during_the_handshake(tmp_path: Path, path: str) -> None:
    async with running(tmp_path) as rest, asyncio.TaskGroup() as tasks:
        rest.gateway.session_tasks = tasks

        class SlowVoices:
            async def voices(self, identity: Identity) -> Voices:
                await rest.gateway.authenticator.sign_out(identity)
                return Voices()

        slow: Any = SlowVoices()
        rest.gateway.openai = slow
        request = HTTPRequest(f"ws://127.0.0.1:{rest.port}{path}", headers=rest.bearer())
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(request)
    assert refused.value.code == 401
