"""A process that has a gateway's libraries, imported in its way, and nothing else of it. For `tests.bench.ready`.

Tornado listens on uvloop, and nine gRPC channels try in vain to connect.
"""

from __future__ import annotations

import asyncio
import importlib

from server.process.lean import import_without

CHANNELS = 9
OTHERS = (
    "grpc_health.v1.health_pb2_grpc",
    "httptools",
    "multipart",
    "prometheus_client",
    "pybase64",
    "pydantic_settings",
)

if __name__ == "__main__":
    import_without("tornado.log", "curses")  # as server.__main__ does
    import_without("jwt", "cryptography.exceptions", "cryptography.hazmat")
    for library in OTHERS:
        importlib.import_module(library)
    import grpc.aio
    import tornado.httpserver
    import tornado.web
    import tornado.websocket
    import uvloop

    async def serve() -> None:
        tornado.httpserver.HTTPServer(tornado.web.Application()).listen(0, "127.0.0.1")
        channels = [grpc.aio.insecure_channel(f"dns:///localhost:{50_051 + number}") for number in range(CHANNELS)]
        for channel in channels:
            channel.get_state(try_to_connect=True)
        await asyncio.Event().wait()

    uvloop.run(serve())
