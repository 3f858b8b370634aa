"""Idle sessions: their memory, the cost of heartbeats, the cost of further handshakes, and all of them reconnecting at once.

One gateway process without Redis. Without `--services` none can be reached, and the attempts to reach them are measured too; with
it, the embedded ones answer, in a process that is not measured. Clients are bare sockets in this process; CPU and memory are the
gateway's own. A handshake is measured with its session's end, beside the number of sessions in its row.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil
import uvloop

from tests.bench.machine import head, say
from tests.bench.microphones.__main__ import FREELY
from tests.bench.microphones.talkers import Talker
from tests.support.gateway import running_gateway

OPEN_AT_ONCE = 50
HANDSHAKES = 300
RESUME_TIMEOUT_S = 60.0
SPARE_FILES = 200


class Idle(Talker):
    """A session that says nothing. `resume`: its token and the last message that it has."""

    def __init__(self, number: int, host: str, token: str, resume: tuple[str, int] | None = None) -> None:
        super().__init__(number, host, token)
        self.resume_token = resume[0] if resume else ""
        self.resumed = False
        if resume:
            query = urlencode({"resume": resume[0], "last_seq": resume[1]})
            self._hello = self._hello.replace(" HTTP/1.1", f"?{query} HTTP/1.1", 1)

    def _event(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        self._seen = max(self._seen, event.get("seq", 0))
        if kind in {"session.ready", "session.resumed"}:
            self.resumed = kind == "session.resumed"
            self.resume_token = event.get("resume_token") or self.resume_token
            self.opened.set_result(None)
        elif kind == "ping":
            self._say({"type": "pong", "t": event["t"]})

    @property
    def place(self) -> tuple[str, int]:
        """Where to go on."""
        return self.resume_token, self._seen

    def leave(self) -> None:
        """For good: the session ends."""
        self._write(8, b"\x03\xe8")

    def drop(self) -> None:
        """As a bad network does."""
        self._transport.abort()


class Crowd:
    """All clients."""

    def __init__(self, ws: str, token: str) -> None:
        self._address = urlsplit(ws)
        self._token = token
        self._numbers = 0
        self.clients: list[Idle] = []

    async def more(self, count: int) -> list[Idle]:
        """So many new sessions."""
        first, self._numbers = self._numbers, self._numbers + count
        return await self._open([(number, None) for number in range(first, first + count)])

    async def again(self, clients: list[Idle]) -> list[Idle]:
        """Those, resumed."""
        return await self._open([(client.number, client.place) for client in clients])

    async def _open(self, wanted: list[tuple[int, tuple[str, int] | None]]) -> list[Idle]:
        gate, loop = asyncio.Semaphore(OPEN_AT_ONCE), asyncio.get_running_loop()

        async def one(number: int, resume: tuple[str, int] | None) -> Idle:
            async with gate:
                _, client = await loop.create_connection(
                    lambda: Idle(number, self._address.netloc, self._token, resume),
                    self._address.hostname,
                    self._address.port,
                )
                await client.opened
            return client

        return list(await asyncio.gather(*(one(*each) for each in wanted)))


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def handshakes_us(process: psutil.Process, crowd: Crowd) -> float:
    """CPU of one handshake and of its session's end."""
    before = cpu_s(process)
    come = await crowd.more(HANDSHAKES)
    for client in come:
        client.leave()
    await asyncio.wait([client.closed for client in come])
    return (cpu_s(process) - before) / HANDSHAKES * 1e6


async def come_back(process: psutil.Process, crowd: Crowd, count: int) -> None:
    """Drop so many at once, and resume them."""
    dropped = crowd.clients[:count]
    before = cpu_s(process)
    for client in dropped:
        client.drop()
    began = time.perf_counter()
    back = await asyncio.wait_for(crowd.again(dropped), RESUME_TIMEOUT_S)
    took_s = time.perf_counter() - began
    assert all(client.resumed for client in back), "some sessions were lost"
    spent_us = (cpu_s(process) - before) / len(back) * 1e6
    say(
        f"{len(back)} sockets dropped at once, all resumed in {took_s:.2f} s; CPU of the gateway {spent_us:.0f} µs each"
    )
    crowd.clients[:count] = back


async def measure(options: argparse.Namespace, ws: str, token: str, process: psutil.Process) -> None:
    """Row after row, the crowd growing."""
    crowd = Crowd(ws, token)
    empty_bytes = process.memory_info().rss
    await handshakes_us(process, crowd)  # caches fill
    settled_bytes = process.memory_info().rss
    say(
        f"memory: {empty_bytes / 2**20:.1f} MB when listening, {settled_bytes / 2**20:.1f} MB behind the first sessions"
    )
    say(f"{'sessions':>10}{'KiB each':>11}{'core, idle':>12}{'handshake, CPU':>16}")
    for count in options.sessions:
        crowd.clients += await crowd.more(count - len(crowd.clients))
        each_kib = (process.memory_info().rss - settled_bytes) / 1024 / count
        before, began = cpu_s(process), time.monotonic()
        await asyncio.sleep(options.seconds)
        core = (cpu_s(process) - before) / (time.monotonic() - began)
        each_us = await handshakes_us(process, crowd)
        say(f"{count:10,}{each_kib:11.1f}{core:11.1%}{each_us:13.0f} µs")
    await come_back(process, crowd, min(1_000, len(crowd.clients)))
    for client in crowd.clients:
        client.leave()


def main(options: argparse.Namespace) -> None:
    """Measure."""
    head(f"idle sessions, {'with' if options.services else 'no'} services, {options.seconds:.0f} s each row")
    needed = max(options.sessions) + HANDSHAKES + SPARE_FILES
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        services = {"EMBEDDED": "true"} if options.services else {}
        with running_gateway(Path(directory), **{**FREELY, **services, "REDIS_URL": ""}) as running:
            say(f"start to listening: {time.perf_counter() - began:.2f} s")
            token = running.own_token("crowd", "user")
            uvloop.run(measure(options, running.ws, token, psutil.Process(running.process.pid)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[10, 1_000, 10_000])
    parser.add_argument("--seconds", type=float, default=45, help="idle, each row: two heartbeats")
    parser.add_argument("--services", action="store_true", help="with the embedded services")
    main(parser.parse_args())
