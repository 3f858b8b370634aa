"""Requests that come at many connections in one iteration of the loop."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPServerConnectionDelegate

from server.net.http.connections import MOST_AT_ONCE
from server.net.http.server import FastServer
from server.net.loop_turns import LoopTurns

if TYPE_CHECKING:
    from tornado.httputil import HTTPMessageDelegate

CLIENTS = 100


class Counted(HTTPServerConnectionDelegate):
    """Counts requests."""

    begun = 0

    def start_request(self, _server: object, _request: object) -> HTTPMessageDelegate:
        self.begun += 1
        raise AssertionError("nobody answers")


async def test_few_are_begun_in_one_iteration_and_all_are_in_the_end() -> None:
    delegate, loop = Counted(), asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # what nobody answers
    refused: Any = None
    server = FastServer(delegate, refused, LoopTurns())
    listening = socket.create_server(("127.0.0.1", 0), backlog=CLIENTS)
    await server.listen([listening])
    with ExitStack() as stack:
        clients = []
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.create_connection(listening.getsockname()))
            clients.append(client)
        while len(server.connections.open) < CLIENTS:
            await asyncio.sleep(0)
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        most = 0
        while delegate.begun < CLIENTS:
            before = delegate.begun
            await asyncio.sleep(0)
            most = max(most, delegate.begun - before)
        assert most == MOST_AT_ONCE
    server.stop()
    await server.close_all_connections()
