"""Sessions: the time to resume them, the cost of idle ones, and the time until an interrupted reply is silent.

One gateway with all services and a Redis, so that every session has its record; the clients run on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from streaming.client.gateway import GatewayClient
from streaming.protocol import events, messages
from streaming.protocol.messages import TurnParams
from tests.bench.machine import head, row, say
from tests.conftest import RedisServer
from tests.support.gateway import FRAME_BYTES, GatewayProcess, running_gateway, speech

if TYPE_CHECKING:
    from tornado.websocket import WebSocketClientConnection

RESUMES = 100
FRAME_S = 0.02
OPENING_AT_ONCE = 50
SLOW_READER_STEPS = 30
CALLS_A_STEP = 20
LONG_VALUE_BYTES = 60_000
QUEUED = "api_gateway_ws_send_queue_bytes"
CLOSED = 'api_gateway_ws_closes_total{code="4002"}'


class TimedClient(GatewayClient):
    """Notes when it began to connect, and when its session was there again."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.began = self.resumed_at = 0.0
        self.resumed = asyncio.Event()

    async def _connect(self) -> WebSocketClientConnection:
        self.began = time.perf_counter()
        return await super()._connect()

    def _handle(self, event: events.Event) -> None:
        super()._handle(event)
        if isinstance(event, events.SessionRecovered):
            self.resumed_at = time.perf_counter()
            self.resumed.set()


def rss_bytes(gateway: GatewayProcess) -> int:
    """Of the gateway alone, without its services."""
    return int(psutil.Process(gateway.process.pid).memory_info().rss)


async def resume_one(gateway: GatewayProcess) -> None:
    """A socket cut and resumed, again and again; beside it what any new WebSocket costs here."""
    resumes, handshakes = [], []
    async with TimedClient(gateway.ws, token=gateway.token) as client:
        for _ in range(RESUMES):
            client.resumed.clear()
            client.cut()
            await client.resumed.wait()
            resumes.append((client.resumed_at - client.began) * 1000)
    for _ in range(RESUMES):
        began = time.perf_counter()
        request = HTTPRequest(f"{gateway.ws}/ws/plain", headers={"Authorization": f"Bearer {gateway.token}"})
        socket = await websocket_connect(request)
        await socket.read_message()
        handshakes.append((time.perf_counter() - began) * 1000)
        socket.close(1000)
    say(row("cut: connect to session.resumed", resumes, "ms"))
    say(row("for comparison: connect to session.ready", handshakes, "ms"))


async def crowd(gateway: GatewayProcess, count: int) -> None:
    """So many sessions, idle; then all their sockets are dropped at once."""
    before = rss_bytes(gateway)
    async with AsyncExitStack() as stack:
        clients: list[TimedClient] = []
        while len(clients) < count:
            fresh = [TimedClient(gateway.ws, token=gateway.token) for _ in range(OPENING_AT_ONCE)]
            await asyncio.gather(*(stack.enter_async_context(client) for client in fresh))
            clients += fresh
        await asyncio.sleep(3)
        each = (rss_bytes(gateway) - before) / count / 1024
        say(f"{'memory of an idle session, socket and record':44} {each:.1f} KiB (of {count})")
        epochs = [client.connection.epoch for client in clients]
        began = time.perf_counter()
        for client in clients:
            client.cut()
        await asyncio.gather(*(client.resumed.wait() for client in clients))
        last_s = max(client.resumed_at for client in clients) - began
        assert [client.connection.epoch for client in clients] == epochs
        say(f"{f'{count} sockets dropped at once, all resumed':44} {last_s:.2f} s")


async def interrupted(gateway: GatewayProcess, turns: int) -> None:
    """Somebody speaks into a reply: how long frames of it still come behind the word that silences it."""
    late_ms, stale_bytes, silence_ms = [], 0, []
    for _ in range(turns):
        async with GatewayClient(gateway.ws, token=gateway.token) as client:
            late, silent = await interrupt(client)
            late_ms.append(late)
            silence_ms.append(silent)
            stale_bytes += client.connection.stale_bytes
    say(row("sound in the microphone to turn.paused", silence_ms, "ms"))
    say(row("turn.paused to the last stale frame", late_ms, "ms"))
    say(f"{'stale bytes behind turn.paused, all turns':44} {stale_bytes}")


async def interrupt(client: GatewayClient) -> tuple[float, float]:
    """Milliseconds: from `turn.paused` to the last frame of the old generation; from the voice to `turn.paused`."""
    turn = client.open(TurnParams())
    loop = asyncio.get_running_loop()
    spoken_at = paused_at = last_stale = 0.0

    async def talk(name: str) -> None:
        nonlocal spoken_at
        pcm = speech(name)
        spoken_at = loop.time()
        for index, start in enumerate(range(0, len(pcm), FRAME_BYTES)):
            await asyncio.sleep(max(0.0, spoken_at + index * FRAME_S - loop.time()))
            turn.send_audio(pcm[start : start + FRAME_BYTES])

    async with asyncio.TaskGroup() as group:
        group.create_task(talk("flite-slt-search-python-tutorials"), name="question")
        async for event in turn:
            if isinstance(event, events.AudioReceived):
                turn.credit(event.payload)
                if paused_at and event.generation == 0:
                    last_stale = loop.time()
            elif isinstance(event, messages.TtsStarted) and not paused_at:
                group.create_task(talk("flite-slt-what-time-is-it"), name="interruption")
            elif isinstance(event, messages.TurnPaused):
                paused_at = loop.time()
            elif isinstance(event, messages.TurnInterrupted):
                turn.cancel()
    return max(0.0, last_stale - paused_at) * 1000, (paused_at - spoken_at) * 1000


async def slow_reader(gateway: GatewayProcess) -> None:
    """A client that asks and never reads: what it costs, twice a second, until it is closed 4002."""
    async with GatewayClient(gateway.ws, token=gateway.token) as client:
        await client.call("memory.store", key="long", value="x" * LONG_VALUE_BYTES)
    request = HTTPRequest(f"{gateway.ws}/ws/slow", headers={"Authorization": f"Bearer {gateway.token}"})
    socket = await websocket_connect(request)
    before, began = rss_bytes(gateway), time.monotonic()
    for step in range(SLOW_READER_STEPS):
        for number in range(CALLS_A_STEP):
            command = {"type": "call", "id": f"{step}-{number}", "op": "memory.retrieve", "params": {"key": "long"}}
            await socket.write_message(json.dumps(command))
        await asyncio.sleep(0.5)
        waiting, closed = await metric(gateway, QUEUED), await metric(gateway, CLOSED)
        say(
            f"{time.monotonic() - began:4.1f} s  asked for {(step + 1) * CALLS_A_STEP * LONG_VALUE_BYTES / 2**20:5.1f} MiB"
            f"  queue {waiting / 1024:6.0f} KiB  gateway {(rss_bytes(gateway) - before) / 1024:+7.0f} KiB"
            f"{'  closed 4002' if closed else ''}"
        )
        if closed:
            break
    socket.close()


async def metric(gateway: GatewayProcess, name: str) -> float:
    """Its value now."""
    answer = await AsyncHTTPClient().fetch(f"{gateway.base}/metrics")
    lines = answer.body.decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name) and "#" not in line)


async def main(count: int, turns: int) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as directory:
        redis = RedisServer(Path(directory))
        redis.start()
        settings = {"REDIS_URL": redis.url, "WS_MAX_SOCKETS_PER_USER": "100000", "WS_HANDSHAKES_PER_MINUTE": "1000000"}
        try:
            with running_gateway(Path(directory), **settings) as gateway:
                head("sessions that live on; gateway, services, Redis and clients on this machine")
                await resume_one(gateway)
                await crowd(gateway, count)
                await interrupted(gateway, turns)
                say("a client that stops reading:")
                await slow_reader(gateway)
        finally:
            redis.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=10)
    options = parser.parse_args()
    asyncio.run(main(options.sessions, options.turns))
