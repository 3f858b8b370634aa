"""CPU of a process per microphone frame, latency and losses: this gateway and plain relays, by turns.

Each target runs alone with the same recogniser, which only counts, and the same load generator; all of them share the machine.
CPU is the target process's own, user and system with all its threads, over the measured time: recogniser, load generator and
Redis are not in it. Latency is from the write of a frame at the client to its arrival at the recogniser, two loopback hops and
gRPC included. The peers relay and do nothing else; the gateway does all that it always does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.bench.machine import head, say
from tests.bench.microphones.plot import svg
from tests.bench.microphones.talkers import Load, as_json
from tests.bench.rest import process, redis, until_listening
from tests.support.compiled import BUILD, compiled_build
from tests.support.gateway import free_port, running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.microphones.plot import Point

GATEWAY = "gateway"
COMPILED = "compiled"  # the gateway again, as `make compiled` builds it
DIALECT = "openai"  # the gateway again, in OpenAI's dialect: 24 kHz in base64 as JSON
COMPILED_DIALECT = "compiled-openai"  # both
DIALECTS, BUILDS = (DIALECT, COMPILED_DIALECT), (COMPILED, COMPILED_DIALECT)
OURS = (GATEWAY, COMPILED, *DIALECTS)
OTHERS = ("fastapi", "aiohttp", "tornado")
TARGETS = (*(name for name in OURS if name not in BUILDS or BUILD.exists()), *OTHERS)  # by default
UVICORN = ("uvicorn", "tests.bench.microphones.peer_fastapi:app", "--loop", "uvloop", "--ws", "websockets")
PEERS = {
    "fastapi": (*UVICORN, "--no-access-log", "--log-level", "warning"),
    "aiohttp": ("tests.bench.microphones.peer_aiohttp",),
    "tornado": ("tests.bench.microphones.peer_tornado",),
}
FREELY = {  # limits that a single machine's thousand users would meet
    "WS_HANDSHAKES_PER_MINUTE": "1000000",
    "WS_MAX_SOCKETS_PER_USER": "100000",
    "RATE_LIMIT_REQUESTS": "10000000",
    "LOG_FORMAT": "json",
    "EMBEDDED": "false",
    "DEBUG": "false",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A process that takes frames."""

    name: str
    process: psutil.Process
    ws: str
    tokens: list[str]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one round. `lost`: frames that were sent and never arrived, or not in order. `stuck`: sockets that did not close."""

    cpu_us: float
    core: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    memory_mb: float
    slip_ms: float
    per_message: float
    lost: int
    held: int
    stuck: int


class Recogniser:
    """The counting process."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._in, self._out = running.stdin, running.stdout
        assert self._in is not None
        assert self._out is not None
        self.address = f"127.0.0.1:{self._out.readline().strip()}"

    def ask(self, command: str) -> dict[str, Any]:
        self._in.write(command + "\n")  # type: ignore[union-attr]
        self._in.flush()  # type: ignore[union-attr]
        answer: dict[str, Any] = json.loads(self._out.readline())  # type: ignore[union-attr]
        return answer


@contextlib.contextmanager
def recogniser(directory: Path, *options: str) -> Iterator[Recogniser]:
    command = [sys.executable, "-m", "tests.bench.microphones.recogniser", *options]
    log = (directory / "recogniser.log").open("wb")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as running:
        try:
            yield Recogniser(running)
        finally:
            running.terminate()


@contextlib.contextmanager
def gateway(directory: Path, name: str, talkers: int, **settings: str) -> Iterator[Target]:
    build = {"PYTHONPATH": compiled_build()} if name in BUILDS else {}
    with running_gateway(directory, **{**FREELY, **build, **settings}) as running:
        if name in BUILDS:
            assert "hot path  compiled" in running.banner, running.banner
        tokens = [running.own_token(f"user-{number}", "user") for number in range(talkers)]
        yield Target(name, psutil.Process(running.process.pid), running.ws, tokens)


@contextlib.contextmanager
def peer(directory: Path, name: str, **settings: str) -> Iterator[Target]:
    port = free_port()
    with process(*PEERS[name], "--port", str(port), directory=directory, **settings) as running:
        until_listening(port)
        yield Target(name, psutil.Process(running.pid), f"ws://127.0.0.1:{port}", [])


def cpu_s(target: Target) -> float:
    times = target.process.cpu_times()
    return float(times.user + times.system)


def measure(target: Target, ear: Recogniser, talkers: int, seconds: float, warm_s: float) -> Figures:
    """One load from its first socket to its last."""
    load = Load(target.ws, talkers, seconds, warm_s, target.tokens, dialect=target.name in DIALECTS)
    command = [sys.executable, "-m", "tests.bench.microphones.talkers"]
    before = ear.ask("report")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator:
        assert generator.stdin is not None
        assert generator.stdout is not None
        generator.stdin.write(as_json(load) + "\n")
        generator.stdin.flush()
        lines = (json.loads(line) for line in generator.stdout)
        assert next(lines)["at"] == "open"
        assert next(lines)["at"] == "begin"
        first_cpu_s, at_begin = cpu_s(target), ear.ask("restart")
        end = next(lines)
        spent_s, at_end = cpu_s(target) - first_cpu_s, ear.ask("report")
        memory_mb = target.process.memory_info().rss / 2**20
        done = next(lines)
    after = ear.ask("report")
    arrived, gaps = after["frames"] - before["frames"], after["gaps"] - before["gaps"]
    p50_ms, p99_ms, max_ms = at_end["ages_ms"]
    frames, messages = (at_end[name] - at_begin[name] for name in ("frames", "messages"))
    return Figures(
        cpu_us=spent_s / end["frames"] * 1e6,
        core=spent_s / end["seconds"],
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        max_ms=max_ms,
        memory_mb=memory_mb,
        slip_ms=end["slip_p99_ms"],
        per_message=frames / max(1, messages),
        lost=done["sent"] - arrived + gaps,
        held=done["held"],
        stuck=done["not_closed"],
    )


SUMMED = ("lost", "held", "stuck")  # over the rounds
COLUMNS = "CPU µs  core   ratio   p50 ms   p99 ms   max ms    MB  frames/message  slip p99 ms  held  lost  stuck"


def show(name: str, talkers: int, figures: list[Figures], ours_us: float | None) -> float:
    """Medians of the rounds; losses are summed. Returns the CPU per frame."""
    median = {
        field: statistics.median(getattr(one, field) for one in figures)
        for field in Figures.__slots__
        if field not in SUMMED
    }
    lost, held, stuck = (sum(getattr(one, field) for one in figures) for field in SUMMED)
    ratio = f"{median['cpu_us'] / ours_us:.2f}×" if ours_us else ""
    say(
        f"{name:16}{talkers:7}{median['cpu_us']:9.1f}{median['core']:6.2f}{ratio:>8}{median['p50_ms']:9.2f}"
        f"{median['p99_ms']:9.2f}{median['max_ms']:9.2f}{median['memory_mb']:6.0f}{median['per_message']:16.2f}"
        f"{median['slip_ms']:13.2f}{held:6}{lost:6}{stuck:7}"
    )
    return median["cpu_us"]


def compare(
    options: argparse.Namespace, talkers: int, directory: Path, settings: dict[str, str], costs: dict[str, list[Point]]
) -> int:
    """Each target in turn; returns what the gateway lost or did not close. `costs` gets the CPU a frame of each."""
    found: dict[str, list[Figures]] = {name: [] for name in options.targets}
    for _ in range(options.rounds):
        for name, figures in found.items():
            with recogniser(directory, *(["--resampled"] if name in DIALECTS else [])) as ear:
                stt = {"VOICE_STT_GRPC_URL": ear.address}
                own = gateway(directory, name, talkers, **settings, **stt)
                with own if name in OURS else peer(directory, name, **stt) as target:
                    figures.append(measure(target, ear, talkers, options.seconds, options.warm))
    ours_us = None
    for name, figures in found.items():
        cpu_us = show(name, talkers, figures, ours_us)
        costs.setdefault(name, []).append((talkers, cpu_us))
        ours_us = cpu_us if name == GATEWAY else ours_us
    ours = [*found.get(GATEWAY, ()), *found.get(COMPILED, ())]
    return sum(one.lost + one.stuck for one in ours)  # peers may fail, and the table says so


def main(options: argparse.Namespace) -> int:
    """Measure."""
    head(f"microphones: 640 bytes every 20 ms each, {options.rounds} rounds of {options.seconds:.0f} s, medians")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = dict(setting.split("=", 1) for setting in options.set)
        settings["REDIS_URL"] = stack.enter_context(redis(directory)) if options.redis else ""
        say(f"{'':16}talkers   {COLUMNS}")
        costs: dict[str, list[Point]] = {}
        lost = sum(compare(options, talkers, directory, settings, costs) for talkers in options.talkers)
        say(f"load average of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
        if options.plot:
            Path(options.plot).write_text(svg("CPU of the process for each microphone frame", costs), encoding="utf-8")
        return lost


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talkers", type=int, nargs="+", default=[100])
    parser.add_argument("--targets", nargs="+", choices=(*OURS, *OTHERS), default=TARGETS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm", type=float, default=2, help="seconds before what is measured")
    parser.add_argument("--redis", action="store_true", help="the gateway shares its sessions by a Redis of its own")
    parser.add_argument("--plot", default="", metavar="FILE", help="draw CPU a frame over talkers, as SVG")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the gateway")
    sys.exit(1 if main(parser.parse_args()) else 0)
