"""CPU of a process for each 40 ms of speech, and its latency: this gateway beside plain relays, in turns.

As `tests.bench.microphones`, the other way round: a scripted synthesiser sends 1,280 bytes every 40 ms on each stream, and the
target passes them to its socket. Latency is from the synthesiser's write to the client's read. With `--ahead` the synthesiser is
faster than real time, as synthesisers are: a second of speech is made at once. The gateway then sends it as it is played, so its
latency is mostly how far the speech is ahead; the peers pass it on at once.
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
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.bench.machine import head, say
from tests.bench.microphones.__main__ import COMPILED, DIALECTS, GATEWAY, OTHERS, TARGETS, Target, cpu_s, gateway, peer
from tests.bench.microphones.talkers import Load, as_json
from tests.bench.rest import redis

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEAKERS = tuple(name for name in TARGETS if name not in DIALECTS)  # the listeners speak jarvis.v1 or take bare frames


class Figures(NamedTuple):
    """Of one round. `missing`: part of the frames that were due and did not come in the measured time, 0 to 1."""

    cpu_us: float
    core: float
    p50_ms: float
    p99_ms: float
    missing: float


@contextlib.contextmanager
def synthesiser(directory: Path, ahead_s: float = 0.0) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-m", "tests.bench.listeners.synthesiser", str(ahead_s)]
    log = (directory / "synthesiser.log").open("wb")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as running:
        assert running.stdout is not None
        try:
            yield f"127.0.0.1:{running.stdout.readline().strip()}"
        finally:
            running.terminate()


def measure(target: Target, listeners: int, seconds: float, warm_s: float) -> Figures:
    """One load from its first socket to its last."""
    load = Load(target.ws, listeners, seconds, warm_s, target.tokens)
    command = [sys.executable, "-m", "tests.bench.listeners.listeners"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator:
        assert generator.stdin is not None
        assert generator.stdout is not None
        generator.stdin.write(as_json(load) + "\n")
        generator.stdin.flush()
        lines = (json.loads(line) for line in generator.stdout)
        assert next(lines)["at"] == "open"
        assert next(lines)["at"] == "begin"
        before = cpu_s(target)
        end = next(lines)
        spent_s = cpu_s(target) - before
        done = next(lines)
    assert not done["not_closed"], f"{done['not_closed']} sockets of {target.name} did not end"
    assert not done["gaps"], "frames came in pieces"
    assert not done["quiet"], f"{done['quiet']} sockets of {target.name} heard nothing"
    due = listeners * end["seconds"] / 0.04
    return Figures(spent_s / end["frames"] * 1e6, spent_s / end["seconds"], *end["ages_ms"], 1 - end["frames"] / due)


def main(options: argparse.Namespace) -> None:
    """Measure."""
    head(f"speech: 40 ms every 40 ms each, {options.rounds} rounds of {options.seconds:.0f} s, medians")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"REDIS_URL": stack.enter_context(redis(directory)) if options.redis else ""}
        say(f"{'':10}listeners   CPU µs  core   ratio   p50 ms   p99 ms  missing")
        for listeners in options.listeners:
            found: dict[str, list[Figures]] = {name: [] for name in options.targets}
            for _ in range(options.rounds):
                for name, figures in found.items():
                    with synthesiser(directory, options.ahead) as address:
                        urls = {"VOICE_TTS_GRPC_URL": address, "VOICE_STT_GRPC_URL": address}
                        own = gateway(directory, name, listeners, **settings, **urls)
                        with own if name in {GATEWAY, COMPILED} else peer(directory, name, **urls) as target:
                            figures.append(measure(target, listeners, options.seconds, options.warm))
            ours_us = None
            for name, figures in found.items():
                median = Figures(*map(statistics.median, zip(*figures, strict=True)))
                ratio = f"{median.cpu_us / ours_us:.2f}×" if ours_us else ""
                say(
                    f"{name:10}{listeners:9}{median.cpu_us:9.1f}{median.core:6.2f}{ratio:>8}{median.p50_ms:9.2f}"
                    f"{median.p99_ms:9.2f}{median.missing:9.1%}"
                )
                ours_us = median.cpu_us if name == GATEWAY else ours_us
        say(f"load average of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, nargs="+", default=[100])
    parser.add_argument("--targets", nargs="+", choices=(GATEWAY, COMPILED, *OTHERS), default=SPEAKERS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm", type=float, default=2, help="seconds before what is measured")
    parser.add_argument(
        "--ahead", type=float, default=0, help="seconds of speech made before they are heard; 0: real time"
    )
    parser.add_argument("--redis", action="store_true", help="the gateway shares its sessions by a Redis of its own")
    main(parser.parse_args())
