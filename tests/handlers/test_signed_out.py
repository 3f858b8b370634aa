"""A token that another replica signed out, whose news have not come: Redis knows, and every way in asks it."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from server.errors import ApiError
from server.identity.auth import Authenticator
from server.identity.users import Users
from server.operations import invoke
from server.sessions.desk import GatewayDesk
from server.shared.state import REVOKED, RedisState
from streaming.ports import CallContext, ServiceError
from tests.server.redis_support import running_link
from tests.support.rest import problem, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streaming.ports import Identity
    from tests.support.rest import Rest


class SignedOut:
    """A gateway that hears no news, and a token of which Redis alone knows that it was signed out."""

    def __init__(self, rest: Rest, token: str, identity: Identity, ticket: str) -> None:
        self.rest = rest
        self.token = token
        self.identity = identity
        self.ticket = ticket
        self.told: list[dict[str, Any]] = []
        rest.gateway.state.subscribe(lambda kind, news: self.told.append(news) if kind == "revoked" else None)

    def request(self, path: str, **headers: str) -> HTTPRequest:
        return HTTPRequest(f"ws://127.0.0.1:{self.rest.port}{path}", headers=headers)


@asynccontextmanager
async def signed_out(folder: Path, redis_url: str) -> AsyncIterator[SignedOut]:
    async with running(folder) as rest, running_link(redis_url) as link, asyncio.TaskGroup() as tasks:
        gateway = rest.gateway
        gateway.session_tasks = tasks
        gateway.state = RedisState(link)
        gateway.authenticator = Authenticator(gateway.settings, gateway.state, Users(gateway.settings.users_file))
        token = rest.token()
        identity = await gateway.authenticator.admit(token)
        ticket, _ = await gateway.authenticator.issue_ticket(identity)
        await link.call("ZADD", REVOKED, time.time() + 600, identity.token_id)
        yield SignedOut(rest, token, identity, ticket)


@pytest.mark.parametrize("way", ["header", "subprotocol", "message", "ticket"])
async def test_it_opens_no_socket(tmp_path: Path, redis_url: str, way: str) -> None:
    async with signed_out(tmp_path, redis_url) as out:
        asked = {
            "header": out.request("/ws/s", Authorization=f"Bearer {out.token}"),
            "subprotocol": out.request("/ws/s", **{"Sec-WebSocket-Protocol": f"jarvis.bearer.{out.token}"}),
            "message": out.request("/ws/s"),
            "ticket": out.request(f"/ws/s?ticket={out.ticket}"),
        }
        socket = await websocket_connect(asked[way])
        if way == "message":
            await socket.write_message(json.dumps({"type": "auth", "token": out.token}))
        farewell = await socket.read_message()
        assert isinstance(farewell, str)
        assert json.loads(farewell)["message"] == "the token was signed out"
        assert await socket.read_message() is None
        assert socket.close_code == 4501
        assert [news["token_id"] for news in out.told] == [out.identity.token_id]  # closes the sockets that it has


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/live/sessions", "/v1/live/sessions/s/attach"])
async def test_it_opens_none_of_the_other_dialect(tmp_path: Path, redis_url: str, path: str) -> None:
    async with signed_out(tmp_path, redis_url) as out:
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(out.request(path, Authorization=f"Bearer {out.token}"))
        assert refused.value.code == 401
        assert len(out.told) == 1


async def test_it_renews_no_session_and_runs_no_call(tmp_path: Path, redis_url: str) -> None:
    async with signed_out(tmp_path, redis_url) as out:
        with pytest.raises(ServiceError) as refused:
            await GatewayDesk(out.rest.gateway).identify(out.token)
        assert refused.value.code == "TOKEN_REVOKED"
    async with signed_out(tmp_path, redis_url) as out:
        with pytest.raises(ApiError) as stopped:
            await invoke(out.rest.gateway, out.identity, CallContext("ada"), "agent.intent", {"text": "hi"})
        assert stopped.value.code == "TOKEN_REVOKED"
        assert len(out.told) == 1


async def test_a_refused_request_closes_its_sockets(tmp_path: Path, redis_url: str) -> None:
    async with signed_out(tmp_path, redis_url) as out:
        bearer = {"Authorization": f"Bearer {out.token}"}
        for _ in range(2):
            refused = await out.rest.fetch("GET", "/api/v1/agent/intents", headers=bearer)
            assert problem(refused) == (401, "TOKEN_REVOKED")
        assert [news["token_id"] for news in out.told] == [out.identity.token_id]
