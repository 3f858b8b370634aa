"""REST compared with a FastAPI gateway that does the same work: CPU per request, throughput and latency at 32 connections.

Both run here at once, each in one process on uvloop, with the same M4 and the same Redis, and are asked in turns; the table
holds the medians of the rounds. `--compiled`: as `make compiled` builds it, too. `--against DIR` compares with the gateway of another checkout instead, for example an older one. CPU is the gateway process's own, user and system with all its threads, by /proc: Redis, M4
and the load generator are not in it. Needs Linux, and the `bench` extra for the peer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.load import CONNECTIONS, Ask, generator, load
from tests.bench.machine import head, say
from tests.conftest import RedisServer
from tests.support.compiled import compiled_build
from tests.support.gateway import environment, free_port, running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S, STOP_TIMEOUT_S = 30.0, 20.0
INTENT = "/api/v1/agent/intent"
BODY = '{"text": "what time is it"}'
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Target:
    """One of the two."""

    name: str
    pid: int
    base: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one round."""

    cpu_us: float
    per_s: float
    p50_ms: float
    p99_ms: float


@contextlib.contextmanager
def process(*command: str, directory: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """What it logs goes to a file, as a gateway's does."""
    with (directory / "peer.log").open("ab") as log_file:
        running = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=directory,
            env=environment(directory, **settings),
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
        )
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:  # a peer with more work than it can do
                running.kill()
                running.wait()


@contextlib.contextmanager
def intent_service(directory: Path) -> Iterator[str]:
    """M4 in a process of its own; its address."""
    with process("server.embedded", "intent=127.0.0.1:0", directory=directory) as running:
        assert running.stdout is not None
        address = json.loads(running.stdout.readline())["bound"]["intent"]
        json.loads(running.stdout.readline())  # ready
        yield address


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[str]:
    server = RedisServer(directory)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def until_listening(port: int) -> None:
    """A server has been started there."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.1)
        else:
            return


@contextlib.contextmanager
def peer(directory: Path, **settings: str) -> Iterator[Target]:
    """FastAPI on uvicorn, with uvloop and httptools."""
    port = free_port()
    command = [
        "uvicorn",
        "tests.bench.peer.gateway:app",
        "--port",
        str(port),
        "--loop",
        "uvloop",
        "--http",
        "httptools",
    ]
    with process(*command, "--no-access-log", "--log-level", "warning", directory=directory, **settings) as running:
        base = f"http://127.0.0.1:{port}"
        until_listening(port)
        yield Target("FastAPI, uvicorn", running.pid, base)


def cpu_us(pid: int) -> float:
    """User and system time of all its threads so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S * 1e6


def measure(target: Target, ask: Ask, seconds: float) -> Figures:
    before = cpu_us(target.pid)
    done = load(ask, seconds)
    spent = cpu_us(target.pid) - before
    return Figures(spent / done.requests, done.requests / done.seconds, done.p50_ms, done.p99_ms)


def compare(targets: list[Target], token: str, path: str, rounds: int, seconds: float) -> None:
    """One path's rows: each target, then how many times as much the peer takes."""
    asks = {target: Ask(target.base + path, token, BODY if path == INTENT else "") for target in targets}
    for target in targets:
        measure(target, asks[target], 1)  # caches, connections, the script in Redis
    found: dict[Target, list[Figures]] = {target: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            found[target].append(measure(target, asks[target], seconds))
    medians = {
        target: [statistics.median(getattr(one, name) for one in figures) for name in Figures.__slots__]
        for target, figures in found.items()
    }
    for target, figures in medians.items():
        show(path, target.name, figures)
    *ours, theirs = targets
    for target in ours:
        ratios = (b / a for a, b in zip(medians[target], medians[theirs], strict=True))
        say(f"{'':24} {f'peer / {target.name}':18}" + "".join(f"{ratio:>12.2f}" for ratio in ratios))


def show(path: str, name: str, figures: list[float]) -> None:
    cpu, per_s, p50_ms, p99_ms = figures
    say(f"{path:24} {name:18}{cpu:12.0f}{per_s:12.0f}{p50_ms:12.2f}{p99_ms:12.2f}")


def main(rounds: int, seconds: float, against: Path | None, *, compiled: bool = False) -> None:
    """Measure."""
    head(f"REST at {CONNECTIONS} connections, {rounds} rounds of {seconds:.0f} s each in turns, medians; {generator()}")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = stack.enter_context(intent_service(directory))
        settings = {"REDIS_URL": stack.enter_context(redis(directory)), "INTENT_GRPC_URL": address}
        limits = {"RATE_LIMIT_REQUESTS": "10000000", "LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}
        ours = stack.enter_context(running_gateway(directory, **settings, **limits))
        if against is None:
            theirs = stack.enter_context(peer(directory, **settings))
        else:
            other = stack.enter_context(running_gateway(directory, **settings, **limits, PYTHONPATH=str(against)))
            theirs = Target(against.name, other.process.pid, other.base)
        say(f"{'':24} {'':18}{'CPU µs each':>12}{'per second':>12}{'p50 ms':>12}{'p99 ms':>12}")
        targets = [Target("gateway", ours.process.pid, ours.base), theirs]
        if compiled:
            also = stack.enter_context(running_gateway(directory, **settings, **limits, PYTHONPATH=compiled_build()))
            targets.insert(1, Target("compiled", also.process.pid, also.base))
        for path in ("/live", INTENT):
            compare(targets, ours.own_token(), path, rounds, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--against", type=Path, help="another checkout, whose gateway takes the place of FastAPI's")
    parser.add_argument("--compiled", action="store_true", help="measure `make compiled`'s gateway, too")
    options = parser.parse_args()
    main(options.rounds, options.seconds, options.against, compiled=options.compiled)
