"""A plain `tornado.web.RequestHandler`, and Tornado's own WebSocket, work together with our handlers, with either HTTP reader."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tornado.web import HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect

from server.net.http import exchange
from tests.support.rest import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.rest import Rest

BOTH = pytest.mark.parametrize("reader", ["fast", "tornado"])
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Plain(RequestHandler):
    def get(self, name: str) -> None:
        self.set_cookie("seen", "yes")
        self.write({"name": name, "q": self.get_query_arguments("q"), "host": self.request.host_name})

    def post(self, name: str) -> None:
        self.write({"name": name, "field": self.get_body_argument("field"), "argument": self.get_argument("q", "")})

    async def put(self, name: str) -> None:
        await asyncio.sleep(0)
        self.set_status(201)
        self.write(self.request.body[::-1])

    def delete(self, name: str) -> None:
        raise HTTPError(410, reason="Gone With The Wind") if name == "gone" else ZeroDivisionError


class Streaming(RequestHandler):
    closed: asyncio.Event
    go_on: asyncio.Event

    async def get(self) -> None:
        for number in range(3):
            self.write(f"piece {number} ")
            await self.flush()
        await type(self).go_on.wait()
        self.write("end")

    def on_connection_close(self) -> None:
        type(self).closed.set()


class ShortOfItsLength(RequestHandler):
    async def get(self) -> None:
        self.set_header("Content-Length", "10")
        self.write("five.")
        await self.flush()


@stream_request_body
class Counting(RequestHandler):
    async def prepare(self) -> None:
        self.pieces = 0
        self.size = 0
        await asyncio.sleep(0.01)

    async def data_received(self, chunk: bytes) -> None:
        await asyncio.sleep(0)
        self.pieces += 1
        self.size += len(chunk)

    def post(self) -> None:
        self.write({"size": self.size, "in pieces": self.pieces > 1})


class Echo(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message, binary=isinstance(message, bytes))


@asynccontextmanager
async def beside(tmp_path: Path, reader: str, **overrides: Any) -> AsyncIterator[Rest]:
    Streaming.closed, Streaming.go_on = asyncio.Event(), asyncio.Event()
    rules: list[Any] = [
        (r"/plain/(.*)", Plain), ("/streaming", Streaming), ("/short", ShortOfItsLength), ("/counting", Counting), ("/echo", Echo),
    ]  # fmt: skip
    async with running(tmp_path, http_reader=reader, **overrides) as gw:
        gw.app.add_handlers(".*", rules)
        yield gw


@BOTH
async def test_arguments_forms_bodies_and_errors(tmp_path: Path, reader: str) -> None:
    async with beside(tmp_path, reader) as gw:
        got = await gw.fetch("GET", "/plain/a%20b?q=1&q=2")
        posted = await gw.fetch("POST", "/plain/x?q=3", b"field=one+two", headers=FORM)
        put = await gw.fetch("PUT", "/plain/x", b"abc" * 100_000)
        gone = await gw.fetch("DELETE", "/plain/gone")
        broken = await gw.fetch("DELETE", "/plain/broken")
        ours = await gw.fetch("GET", "/live")
        nowhere = await gw.fetch("GET", "/plainly-nowhere")
    assert got.body == b'{"name": "a b", "q": ["1", "2"], "host": "127.0.0.1"}'
    assert "seen=yes" in got.headers["Set-Cookie"]
    assert posted.body == b'{"name": "x", "field": "one two", "argument": "3"}'
    assert (put.code, put.body) == (201, b"cba" * 100_000)
    assert (gone.code, gone.reason, broken.code) == (410, "Gone With The Wind", 500)
    assert (ours.code, nowhere.code) == (200, 404)


@BOTH
async def test_head_and_unchanged_have_no_body(tmp_path: Path, reader: str) -> None:
    async with beside(tmp_path, reader) as gw:
        etag = (await gw.fetch("GET", "/plain/x")).headers["Etag"]
        unchanged = await gw.fetch("GET", "/plain/x", headers={"If-None-Match": etag})
        wrong_method = await gw.fetch("HEAD", "/plain/x")
    assert (unchanged.code, unchanged.body) == (304, b"")
    assert (wrong_method.code, wrong_method.body) == (405, b"")


@BOTH
async def test_an_answer_in_pieces_arrives_as_it_is_written(tmp_path: Path, reader: str) -> None:
    async with beside(tmp_path, reader) as gw:
        pieces: list[bytes] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(gw.fetch("GET", "/streaming", streaming_callback=pieces.append), name="client")
            while b"".join(pieces) != b"piece 0 piece 1 piece 2 ":
                await asyncio.sleep(0.001)
            Streaming.go_on.set()
    assert b"".join(pieces).endswith(b" end")


@BOTH
async def test_a_client_that_leaves_is_told_to_the_handler(
    tmp_path: Path, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while without a piece of the answer."""
    monkeypatch.setattr(exchange, "SILENCE_S", 0.05)
    async with beside(tmp_path, reader) as gw:
        client, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(b"GET /streaming HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.readuntil(b"piece 2 ")
        writer.close()
        await Streaming.closed.wait()
        assert not Streaming.go_on.is_set(), "it is told while it writes, not when it has done"
        Streaming.go_on.set()


@BOTH
async def test_an_answer_shorter_than_it_said_is_cut(tmp_path: Path, reader: str) -> None:
    async with beside(tmp_path, reader) as gw:
        answer = await gw.raw(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200") or answer == b""  # a reset may drop it


@BOTH
async def test_a_body_is_streamed_to_a_handler_that_takes_its_time(tmp_path: Path, reader: str) -> None:
    async with beside(tmp_path, reader) as gw:
        answer = await gw.fetch("POST", "/counting", b"x" * 1_000_000, headers=FORM)
        refused = await gw.fetch("POST", "/counting", b"x" * (gw.gateway.settings.max_body_bytes + 1), headers=FORM)
    assert answer.body == b'{"size": 1000000, "in pieces": true}'
    assert refused.code == 413


@BOTH
async def test_tornados_own_websocket(tmp_path: Path, reader: str) -> None:
    async with beside(tmp_path, reader) as gw:
        socket = await websocket_connect(f"ws://127.0.0.1:{gw.port}/echo")
        await socket.write_message("hello")
        assert await socket.read_message() == "hello"
        await socket.write_message(b"\0" * 200_000, binary=True)
        assert await socket.read_message() == b"\0" * 200_000
        socket.close(1000)
        assert await socket.read_message() is None
