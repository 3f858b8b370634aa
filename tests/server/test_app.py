"""The application and its server: every route is guarded, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import TYPE_CHECKING

import pytest

from handlers.base import BaseHandler
from server.app import ROUTES, make_app
from server.net.http.connection import Connection
from server.operations import Access
from server.routes import UnguardedRouteError
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path

POST = b"POST /api/v1/agent/intent HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def test_a_route_without_a_rule_stops_the_start(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        unguarded = dataclasses.replace(ROUTES[0], access=None)
        with pytest.raises(UnguardedRouteError, match="no authorisation rule"):
            make_app(gw.gateway, [*ROUTES, unguarded])


def test_everything_but_what_is_meant_to_be_public_asks_for_a_token() -> None:
    public = {route.path for route in ROUTES if route.access is Access.PUBLIC}
    assert public == {
        "/", "/live", "/ready", "/health", "/metrics", "/openapi.json", "/asyncapi.json", "/docs", "/redoc", "/asyncapi",
        "/console", "/console/{path}", "/console/development-token", "/ws/{session_id}", "/v1/realtime", "/v1/live/sessions", "/v1/live/sessions/{id}/attach",
        "/v1/twilio",  # signed by Twilio
        "/api/v1/auth/token", "/api/v1/auth/refresh",
    }  # fmt: skip


async def test_the_server_has_bounds_for_the_open_internet(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        bounds = gw.server.connections
        assert (bounds.for_head.limit_s, bounds.for_headers.limit_s, bounds.for_body.limit_s) == (20, 75, 60)


async def test_a_body_that_does_not_come_ends_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.server.connections.for_body.limit_s = 0.05
        answer = await gw.raw(POST + b"Content-Length: 100\r\n\r\n{")
        assert gw.gateway.requests_running == 0
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"code":"REQUEST_TIMEOUT"' in answer


async def test_headers_that_do_not_end_end_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.server.connections.for_head.limit_s = 0.05
        answer = await gw.raw(b"GET /live HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\nConnection: close\r\n" in answer


async def test_who_only_keeps_a_connection_open_is_told_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.server.connections.for_headers.limit_s = gw.server.connections.for_head.limit_s = 0.05
        assert await gw.raw(b"") == b""
        answer = await gw.raw(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.endswith(b'{"status":"ok"}')  # asked once, and then silent


async def test_an_upload_that_does_not_come_is_one_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.server.connections.for_body.limit_s = 0.05
        head = "POST /api/v1/voice/stt HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        head += f"Authorization: {gw.bearer()['Authorization']}\r\nContent-Length: 100\r\n\r\n"
        answer = await gw.raw(head.encode())
        assert gw.gateway.requests_running == 0
        counted = gw.gateway.metrics.render()[1].decode()
    assert answer.startswith(b"HTTP/1.1 408")
    assert counted.count("api_gateway_requests_total{") == 1


async def test_an_answer_that_nobody_reads_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.net.http.connection.WRITE_TIMEOUT_S", 0.1)
    path = b"GET /console/vendor/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
    async with running(tmp_path) as gw:
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port, limit=1024)
        writer.write(path * 8)  # more than the kernel's buffers take
        while not gw.server.connections.open:
            await asyncio.sleep(0)
        while gw.server.connections.open:
            await asyncio.sleep(0.01)
        assert reader.at_eof() is False
        writer.close()


async def test_requests_follow_each_other_on_one_connection(tmp_path: Path) -> None:
    last = b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with running(tmp_path) as gw:
        answer = await gw.raw(
            b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n" + last
        )
    assert answer.count(b'{"status":"ok"}') == 4
    assert answer.count(b"HTTP/1.1 404") == 1


def test_every_http_handler_has_the_common_shell() -> None:
    others = {route.path for route in ROUTES if not issubclass(route.handler, BaseHandler)}
    assert others == {
        "/ws/{session_id}",
        "/v1/realtime",
        "/v1/live/sessions",
        "/v1/live/sessions/{id}/attach",
        "/v1/twilio",
    }


async def test_what_is_written_leaves_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        for _ in range(2):
            writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b'{"status":"ok"}')
            (connection,) = gw.server.connections.open
            assert isinstance(connection, Connection)
            client = connection._transport.get_extra_info("socket")
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
