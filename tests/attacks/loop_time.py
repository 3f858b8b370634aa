"""What floods cost the gateway's loop in CPU time, so that a busy machine may run it: see `tests.attacks.measured`.

    python -m tests.attacks.loop_time                       # every flood that sends much, ten offenders each
    python -m tests.attacks.loop_time --only "long messages"

`each` is the gateway's CPU time in ms for one offender until its end. `before` and `during` are the 99th percentile of how long
what arrives waits, in ms: for the rest of an iteration and two more, which a microphone's frame takes to its recogniser. They are with
honest talkers, before the flood and from its first byte to the end of the last offender, at least two seconds. `longest` is an
iteration.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.attacks.crowds import ALL
from tests.attacks.floods import ALONE, LEAST_S, LONGEST_S, SETTLE_S, TALKERS, talking, yield_to_others
from tests.attacks.offenders import Target
from tests.bench.machine import head, say
from tests.bench.microphones.__main__ import recogniser
from tests.support.gateway import GatewayProcess

if TYPE_CHECKING:
    from tests.attacks.offenders import Ended

BUSY = (
    *("pings", "tiny frames", "empty frames", "fragments", "channel opens", "commands"),
    *("actions", "cancelled turns", "OpenAI's updates", "long messages", "long texts", "stray frames"),
    "never acknowledged",
)
BASELINE_S = 2.0
FURTHER = 2  # iterations
STEP_S = 0.0002  # between two arrivals

Iterations = list[tuple[float, float]]


def p99_ms(iterations: Iterations) -> float:
    """Of the waits of arrivals at all times."""
    waits, at, arrival = list[float](), 0.0, 0.0
    for number, (busy_s, slept_s) in enumerate(iterations):
        further_s = sum(later for later, _ in iterations[number + 1 : number + 1 + FURTHER])
        at += busy_s
        while arrival < at:
            waits.append(at - arrival + further_s)
            arrival += STEP_S
        at += slept_s
        while arrival < at:
            waits.append(further_s)
            arrival += STEP_S
    return sorted(waits)[int(0.99 * len(waits))] * 1000


def cpu_s(iterations: Iterations) -> float:
    return sum(busy_s for busy_s, _ in iterations)


class Measured:
    """The gateway's iterations over some time."""

    def __init__(self, gateway: GatewayProcess, told: Path) -> None:
        self._gateway = gateway
        self._told = told

    def begin(self) -> None:
        self._gateway.process.send_signal(signal.SIGUSR1)

    async def end(self) -> Iterations:
        self._told.unlink(missing_ok=True)
        self._gateway.process.send_signal(signal.SIGUSR2)
        while not self._told.exists():
            await asyncio.sleep(0.02)
        found: Iterations = json.loads(self._told.read_text())
        return found


async def flooded(
    target: Target, name: str, offenders: int, loop: Measured
) -> tuple[list[Ended], Iterations, Iterations]:
    """How the offenders were ended; the iterations before and during it."""
    flooding = asyncio.gather(*(ALL[name].attack(target, f"{name.replace(' ', '-')}-{n}") for n in range(offenders)))
    while target.entered.n_waiting < offenders:
        await asyncio.sleep(0.1)
    await asyncio.sleep(SETTLE_S)
    loop.begin()
    await asyncio.sleep(BASELINE_S)
    before = await loop.end()
    loop.begin()
    least = time.monotonic() + LEAST_S
    await target.entered.wait()
    ends = list(await flooding)
    await asyncio.sleep(max(0.0, least - time.monotonic()))
    return ends, before, await loop.end()


async def floods(names: list[str], offenders: int, directory: Path) -> None:
    told = directory / "iterations.json"
    with recogniser(directory) as ear:
        settings = {**ALONE, "VOICE_STT_GRPC_URL": ear.address, "ITERATIONS_FILE": str(told)}
        gateway = GatewayProcess(directory, [sys.executable, "-m", "tests.attacks.measured"], None, **settings)
        try:
            with talking(gateway, LONGEST_S * len(names)):
                target = Target(gateway.port, gateway.own_token("offender", "user"), asyncio.Barrier(offenders + 1))
                yield_to_others()
                for name in names:
                    ends, before, during = await flooded(target, name, offenders, Measured(gateway, told))
                    idle = cpu_s(before) / sum(map(sum, before))
                    each_ms = (cpu_s(during) - idle * sum(map(sum, during))) / offenders * 1000
                    by = ", ".join(f"{how} × {count}" for how, count in Counter(end.by for end in ends).items())
                    say(
                        f"{name:22}{by:24}{max(end.seconds for end in ends):9.1f}{each_ms:9.1f}{p99_ms(before):9.2f}"
                        f"{p99_ms(during):9.2f}{max(busy_s for busy_s, _ in during) * 1000:9.2f}"
                    )
        finally:
            gateway.stop()


def main(options: argparse.Namespace) -> None:
    head(f"the loop under floods: {options.offenders} offenders each, {TALKERS} talkers beside them")
    say(f"{'':22}{'ended by':24}{'seconds':>9}{'each':>9}{'before':>9}{'during':>9}{'longest':>9}")
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(floods(options.only, options.offenders, Path(directory)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BUSY, default=list(BUSY))
    parser.add_argument("--offenders", type=int, default=10)
    main(parser.parse_args())
