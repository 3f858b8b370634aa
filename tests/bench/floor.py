"""The lower bound of the cost of `POST /api/v1/agent/intent`: its three libraries alone, without our code.

CPU per request of llhttp on the loop's transport that reads and writes the same JSON, of a bare grpc.aio call of the same M4, and
of the limit's script beside a look at the revocations through our link to Redis; each by 32 at a time, in a process of its own.
Beside them, for comparison, a bare Tornado handler that reads and writes the same.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio
import uvloop
from httptools import HttpRequestParser
from tornado.web import Application, RequestHandler

from protos import intent_pb2, intent_pb2_grpc
from server.shared.rate_limits import SCRIPT, SCRIPT_SHA
from server.shared.redis_errors import RedisDownError
from server.shared.redis_link import RedisLink
from server.upstream.pool import IDEMPOTENT_OPTIONS, OPTIONS
from tests.bench.load import CONNECTIONS, Ask
from tests.bench.machine import head, say
from tests.bench.rest import BODY, Target, intent_service, measure, redis, until_listening
from tests.support.gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

ANSWER = b'{"intent":"get_time","confidence":0.97,"entities":{},"alternatives":[]}'
METADATA = (("x-request-id", "a" * 32), ("traceparent", f"00-{'a' * 32}-{'b' * 16}-00"), ("x-user-id", "developer"))


class Bare(RequestHandler):
    async def post(self) -> None:
        json.loads(self.request.body)
        self.set_header("Content-Type", "application/json")
        self.finish(ANSWER)


class BareConnection(asyncio.Protocol):
    """What server.net.http is made of, and nothing else."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._parser = HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        json.loads(self._body)
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))


async def serve_tornado(port: int) -> None:
    Application([("/", Bare)], log_function=lambda _handler: None).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


async def serve_bare(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(BareConnection, "127.0.0.1", port)
    await server.serve_forever()


@contextlib.contextmanager
def serving(serve: Callable[[int], Coroutine[Any, Any, None]]) -> Iterator[Target]:
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(serve, port))
    process.start()
    until_listening(port)
    try:
        yield Target(serve.__name__, process.pid or 0, f"http://127.0.0.1:{port}/")
    finally:
        process.terminate()
        process.join()


def _serve(serve: Callable[[int], Coroutine[Any, Any, None]], port: int) -> None:
    uvloop.run(serve(port))


async def each_us(ask: Callable[[], Awaitable[Any]], seconds: float, callers: int = CONNECTIONS) -> float:
    """CPU of this process per call, with so many at a time."""
    until, done = time.monotonic() + seconds, 0

    async def again() -> None:
        nonlocal done
        while time.monotonic() < until:
            await ask()
            done += 1

    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(again() for _ in range(callers)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / done * 1e6


async def calls(address: str, url: str, rounds: int, seconds: float) -> tuple[list[float], list[float]]:
    """Rounds of gRPC calls and of questions to Redis."""
    async with (
        grpc.aio.insecure_channel(address, (*OPTIONS, *IDEMPOTENT_OPTIONS)) as channel,
        asyncio.TaskGroup() as group,
    ):
        stub, link = intent_pb2_grpc.IntentRecognizerStub(channel), RedisLink(url, group, lambda: None)
        request = intent_pb2.RecognizeRequest(text="what time is it", language="en-US")
        group.create_task(link.probe(), name="probe")
        await link.call("SCRIPT", "LOAD", SCRIPT)
        serial = iter(range(10**9))

        async def recognize() -> None:
            await stub.Recognize(request, timeout=5, metadata=METADATA)

        async def limit() -> None:
            revoked = link.submit("ZMSCORE", "floor:revoked", "token")
            try:
                await link.call("EVALSHA", SCRIPT_SHA, 1, "floor:limit", 10**8, 60_000_000, next(serial))
                await revoked
            except RedisDownError:  # a machine with other work held us up for 50 ms
                await asyncio.sleep(0.05)

        for ask in (recognize, limit):
            await each_us(ask, 0.5)
        found = [(await each_us(recognize, seconds), await each_us(limit, seconds)) for _ in range(rounds)]
        await link.close()
    grpc_us, redis_us = zip(*found, strict=True)
    return list(grpc_us), list(redis_us)


def main(rounds: int, seconds: float) -> None:
    """Measure."""
    head(f"the least that one intent request can cost, {CONNECTIONS} at a time, medians of {rounds}")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = [stack.enter_context(serving(serve)) for serve in (serve_bare, serve_tornado)]
        address, url = stack.enter_context(intent_service(directory)), stack.enter_context(redis(directory))
        asks = [(target, Ask(target.base, "e" * 300, BODY)) for target in targets]
        http_us, tornado_us = zip(
            *([measure(*ask, seconds).cpu_us for ask in asks] for _ in range(rounds)), strict=True
        )
        grpc_us, redis_us = uvloop.run(calls(address, url, rounds, seconds))
    names = ("llhttp: read, write", "grpc.aio: one call", "Redis: limit, revocation")
    medians = [statistics.median(values) for values in (http_us, grpc_us, redis_us)]
    for name, median_us in zip((*names, "together"), (*medians, sum(medians)), strict=True):
        say(f"{name:28}{median_us:8.0f} µs CPU")
    say(f"{'(Tornado: read, write)':28}{statistics.median(tornado_us):8.0f} µs CPU")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    main(options.rounds, options.seconds)
