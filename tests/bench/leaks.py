"""Finds leaks: opens and breaks sessions, and sends requests, at a gateway with the cyclic garbage collector off.

    python -m tests.bench.leaks                # 5,000 sessions and 10,000 requests, in ten steps each
    python -m tests.bench.leaks --sessions 500 --requests 1000
    python -m tests.bench.leaks --services     # the microphones are heard: streams of a trunk are opened and torn too

Each step prints resident memory, the part of it that is code (mapped when it is first used), the memory in use, descriptors, tasks and Python
objects of the gateway's process. What is free is kept by the allocators for what comes next.
The row "warm" is after the first WARM_UP of both kinds, the last one after LATER_S without any: rate limit windows are forgotten then,
and what is free has been given back. A session is authenticated,
answered, given two commands and a microphone channel; every other one is torn without a close frame and waits to be resumed
in vain. Every fourth request is refused, and every fourth leaves before its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.heap.freed_memory import LOOK_S, UNUSED_LOOKS
from server.shared.rate_limits import FORGET_EVERY_S
from tests.server.net.websocket.client_frames import TEXT, close, frame
from tests.support.gateway import GatewayProcess, environment, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

STEPS = 10
WARM_UP = 500  # a quiet machine opens so many in the second in which torn ones wait: there are never more at once
RETRY_S = 1.0
CLIENT_S = 60.0  # one that takes longer stalls, and ends the run
CLOSED = f"127.0.0.1:{free_port()}"  # not the default ports, where another gateway's services may listen
TYPES_TOLD = 20
AT_ONCE = 20  # clients at the same time
SETTLE_S = 4.0  # the resume window below, and the sweep behind it
RATE_WINDOW_S = 60  # the default
LATER_S = RATE_WINDOW_S + 2 * FORGET_EVERY_S + LOOK_S * (UNUSED_LOOKS + 1)
SETTINGS = {
    "EMBEDDED": "false",
    "REDIS_URL": "",
    "WS_RESUME_SECONDS": "1",
    "WS_HANDSHAKES_PER_MINUTE": "10000000",
    "WS_MAX_SOCKETS_PER_USER": "100000",
    "RATE_LIMIT_REQUESTS": "10000000",
    "LOG_LEVEL": "ERROR",
}
SERVICES = ("VOICE_STT", "VOICE_TTS", "INTENT", "PLANNER", "SAFETY", "BROWSER", "OS", "SEARCH", "MEMORY")
COMMANDS = (
    {"type": "channel.open", "channel": 1, "kind": "stt", "seq": 1},
    {"type": "call", "id": "a", "op": "agent.intents", "params": {}, "seq": 2},
    {"type": "no.such.command", "seq": 3},
)
LONG = "One, two, three, four, five, six, seven, eight, nine, ten. " * 5
ASKED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "what time is it"}]}
RESPONSE = ({"type": "conversation.item.create", "item": ASKED}, {"type": "response.create"})
DIALECTS: tuple[tuple[str, tuple[dict[str, Any], ...], bytes], ...] = (
    ("/v1/realtime", RESPONSE, b"response.done"),
    ("/v1/live/sessions", ({"type": "session.start", "session": {"model": "gpt-live-1"}},), b"session.started"),
)
SPOKEN: tuple[tuple[str, tuple[dict[str, Any], ...], bytes], ...] = (
    ("/ws/said-%d", ({"type": "channel.open", "channel": 1, "kind": "tts", "params": {"text": LONG}},), b"tts.started"),
    (
        "/ws/told-%d",
        ({"type": "channel.open", "channel": 1, "kind": "turn", "params": {"text": "help", "reply": "audio"}},),
        b"tts.started",
    ),
    ("/v1/realtime", RESPONSE, b"output_audio.delta"),
)


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    rss_kib: int
    code_kib: int  # of it, files that are mapped
    in_use_kib: int  # not code, and not free
    descriptors: int
    tasks: int
    objects: int
    types: Counter[str]  # of the objects that the collector knows, by their type

    @property
    def free_kib(self) -> int:
        """What the allocators keep, and the stacks and tables of threads and libraries."""
        return self.rss_kib - self.code_kib - self.in_use_kib

    def more_than(self, before: Held) -> str:
        """The types of which there are more now, the most first."""
        grown = (self.types - before.types).most_common(TYPES_TOLD)
        return ", ".join(f"{name} +{count:,}" for name, count in grown)


class Uncollected:
    """A gateway of `tests.bench.uncollected`."""

    def __init__(self, directory: Path, *, services: bool = False) -> None:
        self._told = directory / "held.json"
        self.turned_away = 0  # handshakes that were refused for overload, and tried again
        chosen = {"EMBEDDED": "true"} if services else {f"{name}_GRPC_URL": CLOSED for name in SERVICES}
        base = environment(directory, **(SETTINGS | chosen), UNCOLLECTED_FILE=str(self._told))
        self.gateway = GatewayProcess(directory, [sys.executable, "-m", "tests.bench.uncollected"], base)

    async def held(self) -> Held:
        """Now."""
        self._told.unlink(missing_ok=True)
        self.gateway.process.send_signal(signal.SIGUSR2)
        while not self._told.exists():
            await asyncio.sleep(0.01)
        told = json.loads(self._told.read_text())
        process = Path("/proc") / str(self.gateway.process.pid)
        rss_pages = int((process / "statm").read_text().split()[1])
        rss_kib = rss_pages * os.sysconf("SC_PAGE_SIZE") // 1024
        code_kib = int((process / "status").read_text().partition("RssFile:")[2].split()[0])
        descriptors = len(list((process / "fd").iterdir()))
        in_use_kib = told["in_use_bytes"] // 1024
        return Held(rss_kib, code_kib, in_use_kib, descriptors, told["tasks"], told["objects"], Counter(told["types"]))

    async def settled(self) -> Held:
        """Once nobody can resume any more."""
        await asyncio.sleep(SETTLE_S)
        return await self.held()

    async def session(self, number: int) -> None:
        """Opened, used, torn."""
        reader, writer = await self._handshake(number)
        await reader.readuntil(b"session.ready")
        writer.write(b"".join(frame(TEXT, json.dumps(command).encode()) for command in COMMANDS))
        await reader.readuntil(b'"error"')
        if number % 2:
            writer.write(close(1000))
            await reader.read()
            writer.close()
        else:
            writer.transport.abort()

    async def dialect(self, number: int) -> None:
        """A session of one of OpenAI's dialects: opened, used, torn or left."""
        path, events, until = DIALECTS[number % 2]
        reader, writer = await self._handshake(number, path)
        writer.write(b"".join(frame(TEXT, json.dumps(event).encode()) for event in events))
        await reader.readuntil(until)
        if number % 4 < 2:
            writer.write(close(1000))
            await reader.read()
            writer.close()
        else:
            writer.transport.abort()

    async def spoken(self, number: int) -> None:
        """Torn while something is said: by a channel, a turn, or a response. Needs the services."""
        path, event, until = SPOKEN[number % 3]
        reader, writer = await self._handshake(number, path)
        writer.write(b"".join(frame(TEXT, json.dumps(each).encode()) for each in event))
        await reader.readuntil(until)
        writer.transport.abort()

    async def _handshake(
        self, number: int, path: str = "/ws/leak-%d"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A busy machine may make the gateway refuse it with 503 for a moment: then once more."""
        while True:
            reader, writer = await self._asked(number, path)
            if b" 101 " in await reader.readline():
                return reader, writer
            self.turned_away += 1
            writer.transport.abort()
            await asyncio.sleep(RETRY_S)

    async def _asked(self, number: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        named = path.replace("%d", str(number))
        known = f"Authorization: Bearer {self.gateway.token}\r\n" if path.startswith("/v1/") else ""
        writer.write(
            f"GET {named}?user_id=user{number} HTTP/1.1\r\nHost: 127.0.0.1:{self.gateway.port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{known}"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        return reader, writer

    async def request(self, number: int) -> None:
        """One that is answered, refused, or left."""
        path = ("/live", "/health", "/api/v1/agent/intents", "/openapi.json")[number % 4]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        host = f"Host: 127.0.0.1:{self.gateway.port}"
        writer.write(f"GET {path} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n".encode())
        if number % 4 == 3:
            await reader.read(1)
            writer.transport.abort()
        else:
            await reader.read()
            writer.close()


async def several(one: Callable[[int], Coroutine[None, None, None]], first: int, count: int) -> None:
    """That many of them, some at a time."""
    numbers = iter(range(first, first + count))

    async def work() -> None:
        for number in numbers:
            async with asyncio.timeout(CLIENT_S):
                await one(number)

    async with asyncio.TaskGroup() as workers:
        for worker in range(min(AT_ONCE, count)):
            workers.create_task(work(), name=f"client {worker}")


async def curve(sessions: int, requests: int, *, services: bool) -> None:
    """Print it."""
    with tempfile.TemporaryDirectory() as name:
        it = Uncollected(Path(name), services=services)
        began = time.monotonic()
        memory = f"{'RSS KiB':>10}{'code':>9}{'in use':>9}{'free':>9}"
        print(f"{'':24}{memory}{'descriptors':>13}{'tasks':>7}{'objects':>9}{'seconds':>9}")

        def tell(label: str, held: Held) -> None:
            memory = f"{held.rss_kib:>10,}{held.code_kib:>9,}{held.in_use_kib:>9,}{held.free_kib:>9,}"
            row = f"{memory}{held.descriptors:>13}{held.tasks:>7}{held.objects:>9,}"
            print(f"{label:24}{row}{time.monotonic() - began:>9.0f}", flush=True)

        try:
            held = await it.settled()
            tell("start", held)
            for one in (it.session, it.request):
                await several(one, sessions, WARM_UP)  # with names of their own
            warm = held = await it.settled()
            tell("warm", held)
            for kind, one, total in (("sessions", it.session, sessions), ("requests", it.request, requests)):
                for step in range(STEPS):
                    await several(one, step * total // STEPS, total // STEPS)
                    before, held = held, await it.settled()
                    tell(f"{(step + 1) * total // STEPS:,} {kind}", held)
                print(f"the last step left behind: {held.more_than(before) or 'nothing'}", flush=True)
            await asyncio.sleep(LATER_S)
            held = await it.held()
            tell("later, without any", held)
            print(
                f"more than when warm: {held.rss_kib - warm.rss_kib:+,} KiB resident, {held.in_use_kib - warm.in_use_kib:+,} in use"
            )
            print(f"handshakes refused for overload, and tried again: {it.turned_away}")
        finally:
            it.gateway.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=5_000)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--services", action="store_true", help="with the embedded services; else none answers")
    options = parser.parse_args()
    asyncio.run(curve(options.sessions, options.requests, services=options.services))
