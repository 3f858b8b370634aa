"""A gateway's REST API on a real port, with services scripted in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from tornado.netutil import bind_sockets
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from server.app import make_app, start_server
from server.composition import overload_limits
from server.config import Settings
from server.gateway import Gateway
from server.identity.auth import Authenticator
from server.identity.users import Users
from server.net.handshakes import HandshakeMeter
from server.overload import Overload
from server.shared.confirmations import ConfirmationStore
from server.shared.idempotency import IdempotencyStore
from server.shared.once import RunOnceStore
from server.shared.rate_limits import RateLimiter
from server.shared.state import LocalState
from server.telemetry.metrics import Metrics
from server.telemetry.tracing import Tracer
from streaming.residents import Residents
from tests.support.scripted import Script, ScriptedUpstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tornado.httpclient import HTTPResponse

    from server.app import GatewayApplication
    from server.net.http.server import FastServer

SECRET = "a secret of this test alone, long enough for HS256"
PASSWORD = "a long password"


@dataclass
class Rest:
    """A client of the running gateway."""

    gateway: Gateway
    script: Script
    upstream: ScriptedUpstream
    app: GatewayApplication
    server: FastServer  # Tornado's HTTPServer under HTTP_READER=tornado
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, *roles: str, user: str = "ada", life_s: float = 600) -> str:
        return self.gateway.authenticator.issue_access(user, user, roles or ("user",), life_s=life_s)

    def bearer(self, *roles: str, user: str = "ada") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(*roles, user=user)}"}

    async def fetch(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        roles: Sequence[str] | None = ("user",),
        user: str = "ada",
        **options: Any,
    ) -> HTTPResponse:
        """`body`: JSON, or bytes sent unchanged. `roles` None: without a token."""
        sent = dict(headers or {})
        if roles is not None:
            sent = self.bearer(*roles, user=user) | sent
        if isinstance(body, dict | list):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        options.setdefault("follow_redirects", False)
        client = SimpleAsyncHTTPClient(force_instance=True)
        try:
            return await client.fetch(
                self.url + path,
                method=method,
                body=body,
                headers=sent,
                raise_error=False,
                allow_nonstandard_methods=True,
                **options,
            )
        finally:
            client.close()

    async def raw(self, request: bytes) -> bytes:
        """Send bytes, and return everything received until the connection is closed or lost."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        answer = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while piece := await reader.read(65536):
                answer += piece
        writer.close()
        return bytes(answer)


def document(response: HTTPResponse) -> Any:
    return json.loads(response.body)


def problem(response: HTTPResponse) -> tuple[int, str]:
    """Status and code of a response that must be a problem document."""
    assert response.headers["Content-Type"] == "application/problem+json"
    told = document(response)
    assert told["status"] == response.code
    assert told["request_id"] == response.headers["X-Request-ID"]
    assert {"type", "title", "detail", "instance"} <= told.keys()
    return response.code, told["code"]


@cache
def _users() -> str:
    """A users file with the user grace, and a hash that is quick to verify: the parameters are the hash's own."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    entry = {"user_id": "grace", "username": "grace", "roles": ["user"], "password_hash": quick}
    return json.dumps({"users": [entry]})


@asynccontextmanager
async def running(tmp_path: Path, **overrides: Any) -> AsyncIterator[Rest]:
    """A gateway without Redis and with scripted services, on a free port."""
    users_file = tmp_path / "users.json"
    users_file.write_text(_users(), encoding="utf-8")
    settings = Settings(
        _env_file=None,
        **{"jwt_secret_key": SECRET, "users_file": users_file, "rate_limit_requests": 10_000, **overrides},
    )
    state, script, upstream = LocalState(), Script(), ScriptedUpstream()
    metrics = Metrics("test")
    health: Any = upstream
    residents = Residents()
    gateway = Gateway(
        settings=settings,
        services=script.services(),
        upstream=health,
        authenticator=Authenticator(settings, state, Users(users_file)),
        limiter=RateLimiter(None, on_decision=metrics.decision),
        state=state,
        metrics=metrics,
        confirmations=ConfirmationStore(state),
        idempotency=IdempotencyStore(state),
        once=RunOnceStore(state, IdempotencyStore(state)),
        tracer=Tracer(),
        residents=residents,
        handshakes=HandshakeMeter(settings.ws_handshakes_per_minute),
        overload=Overload(overload_limits(settings), lambda: len(residents)),
    )
    sockets = bind_sockets(0, "127.0.0.1")
    app = make_app(gateway)
    server: Any = await start_server(app, sockets)
    try:
        yield Rest(gateway, script, upstream, app, server, sockets[0].getsockname()[1])
    finally:
        server.stop()
        await server.close_all_connections()
