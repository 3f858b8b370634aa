"""A WebSocket server that echoes, with a FrameSocket and no other part of the gateway; for our tests and for other test suites.

`python -m tests.server.net.websocket.echo --port 9001` listens; `--reader tornado` is Tornado's own server and protocol.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine, parse_request_start_line
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from server.net.loop_turns import LoopTurns
from server.net.websocket.events import Closed
from server.net.websocket.fall_back import checked
from server.net.websocket.limits import SocketLimits
from server.net.websocket.socket import FrameSocket
from server.process.loop import run

LARGE = 64 * 1024 * 1024


class Echo(WebSocketHandler):
    """Sends every message back."""

    limits = SocketLimits(message_bytes=LARGE, write_buffer_bytes=2 * LARGE, frames_per_s=10**6, frames_burst=10**6)

    def initialize(self, reader: str) -> None:
        self.reader = reader
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()

    def get_websocket_protocol(self) -> Any:
        return (
            FrameSocket(self, self.limits, LoopTurns())
            if self.reader == "fast"
            else checked(self, super().get_websocket_protocol(), LoopTurns())
        )

    def check_origin(self, origin: str) -> bool:
        return True

    def on_message(self, message: str | bytes) -> None:
        self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        self.closed.set_result(Closed(self.close_code or 1006, self.close_reason or ""))


class HandshakeConnection(asyncio.Protocol):
    """The least HTTP that a handshake needs. Calls `on_handler` with each handler that is made."""

    def __init__(self, app: Application, handler: type[WebSocketHandler], on_handler: Any = None) -> None:
        self._app, self._handler, self._on_handler = app, handler, on_handler
        self._head, self._buffer = b"", b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        self._buffer = rest
        first, _, headers = head.decode("latin-1").partition("\r\n")
        start_line: RequestStartLine = parse_request_start_line(first)
        request = HTTPServerRequest(connection=self, start_line=start_line, headers=HTTPHeaders.parse(headers))  # type: ignore[arg-type]
        delegate: Any = self._app.get_handler_delegate(request, self._handler, {"reader": "fast"})
        delegate.finish()
        if self._on_handler is not None:
            self._on_handler(delegate.handler)

    # --- tornado.httputil.HTTPConnection, as far as it is asked ---

    def write_headers(self, start_line: Any, headers: HTTPHeaders, chunk: bytes | None = None) -> asyncio.Future[None]:
        lines = [
            f"HTTP/1.1 {start_line.code} {start_line.reason}",
            *(f"{name}: {value}" for name, value in headers.get_all()),
        ]
        self._head = "\r\n".join([*lines, "", ""]).encode() + (chunk or b"")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def finish(self) -> None:
        if not self._head.startswith(b"HTTP/1.1 101"):
            self.transport.write(self._head)
            self.transport.close()

    def set_close_callback(self, callback: Any) -> None:
        """Nobody leaves a handshake here."""

    def detach_transport(self) -> tuple[Any, bytes]:
        self.transport.write(self._head)
        return self.transport, self._buffer


async def serve(port: int, reader: str) -> None:
    app = Application([("/.*", Echo, {"reader": reader})], websocket_max_message_size=LARGE)
    if reader == "fast":
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: HandshakeConnection(app, Echo), "127.0.0.1", port)
    else:
        app.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--reader", choices=("fast", "tornado"), default="fast")
    options = parser.parse_args()
    run(serve(options.port, options.reader))
