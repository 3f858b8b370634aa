"""Floods, one after the other, with honest talkers beside them: how each offender is ended, and what the talkers notice.

    python -m tests.attacks.floods                       # every flood, ten offenders each
    python -m tests.attacks.floods --only pings half-open --offenders 50

The talkers' latency is from the write of a microphone frame to its arrival at the recogniser. `before` is its p99 with the offenders'
sessions open and silent. `beside` is the same while this process computes and sends nothing: on a small machine a busy neighbour
alone delays frames. `during` is from the first hostile byte to the end of the last offender, at least two seconds. Offenders run
where the machine is idle, since real ones have processors of their own.
Ends with 1 when an offender was not ended in time or in another way than it should be. The latency is shown and not judged: on a
machine that is busy it is noise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.attacks.offenders import FLOODS, Target, said
from tests.bench.machine import head, say
from tests.bench.microphones.__main__ import FREELY, recogniser
from tests.bench.microphones.talkers import Load, as_json
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.attacks.offenders import Ended
    from tests.bench.microphones.__main__ import Recogniser
    from tests.support.gateway import GatewayProcess

TALKERS = 10
SETTLE_S = 1.0  # after the offenders have come
BASELINE_S = 4.0  # each of the two
LEAST_S = 2.0  # of measuring while they flood: a thousand frames of ten talkers
LONGEST_S = 60.0  # of one flood, with what comes before it


@contextlib.contextmanager
def talking(gateway: GatewayProcess, seconds: float) -> Iterator[None]:
    """Honest talkers, in a process of their own."""
    tokens = [gateway.own_token(f"honest-{number}", "user") for number in range(TALKERS)]
    load = Load(gateway.ws, TALKERS, seconds, 1.0, tokens)
    command = [sys.executable, "-m", "tests.bench.microphones.talkers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator:
        assert generator.stdin is not None
        assert generator.stdout is not None
        generator.stdin.write(as_json(load) + "\n")
        generator.stdin.flush()
        while json.loads(generator.stdout.readline())["at"] != "begin":
            pass
        try:
            yield
        finally:
            assert generator.poll() is None, "an honest talker was ended"
            generator.kill()


def p99_ms(ear: Recogniser) -> float:
    return float(ear.ask("report")["ages_ms"][1])


def yield_to_others() -> None:
    """Run only where a processor is idle: a niced process still keeps one for some milliseconds."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


def compute(seconds: float) -> None:
    """What an offender computes, without sending it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        said({"type": "ack", "seq": 1})


async def flooded(target: Target, name: str, offenders: int, ear: Recogniser) -> tuple[list[Ended], list[float]]:
    """How the offenders were ended; the talkers' p99 in ms before, beside and during it."""
    flood = FLOODS[name]
    attacks = (flood.attack(target, f"{name.replace(' ', '-')}-{number}") for number in range(offenders))
    if flood.enters:
        flooding = asyncio.gather(*attacks)
        while target.entered.n_waiting < offenders:
            await asyncio.sleep(0.1)
    await asyncio.sleep(SETTLE_S)
    ear.ask("restart")
    await asyncio.sleep(BASELINE_S)
    before_ms = p99_ms(ear)
    ear.ask("restart")
    compute(BASELINE_S)
    beside_ms = p99_ms(ear)
    ear.ask("restart")
    least = asyncio.get_running_loop().time() + LEAST_S
    if flood.enters:
        await target.entered.wait()
    else:
        flooding = asyncio.gather(*attacks)
    ends = list(await flooding)
    await asyncio.sleep(max(0.0, least - asyncio.get_running_loop().time()))
    return ends, [before_ms, beside_ms, p99_ms(ear)]


async def floods(names: list[str], offenders: int, directory: Path) -> int:
    """Returns how many floods were not ended as they should be."""
    failed = 0
    with recogniser(directory) as ear:
        settings = {**FREELY, "VOICE_STT_GRPC_URL": ear.address, "REDIS_URL": "", "OVERLOAD_LAG_MS": "500"}
        with running_gateway(directory, **settings) as gateway, talking(gateway, LONGEST_S * len(names)):
            entered = asyncio.Barrier(offenders + 1)
            target = Target(gateway.port, gateway.own_token("offender", "user"), entered)
            yield_to_others()
            for name in names:
                flood = FLOODS[name]
                ends, (before_ms, beside_ms, during_ms) = await flooded(target, name, offenders, ear)
                slowest_s = max(end.seconds for end in ends)
                right = slowest_s <= flood.within_s and all(end.by in flood.ends for end in ends)
                failed += not right
                by = ", ".join(f"{how} × {count}" for how, count in Counter(end.by for end in ends).items())
                say(
                    f"{name:22}{by:28}{slowest_s:9.1f}{before_ms:10.2f}{beside_ms:10.2f}{during_ms:10.2f}"
                    f"{during_ms / before_ms:9.1f}{during_ms / beside_ms:9.1f}  {'' if right else f'WRONG: {flood.ends} in {flood.within_s} s'}"
                )
    return failed


def main(options: argparse.Namespace) -> int:
    head(f"floods: {options.offenders} offenders each, {TALKERS} talkers beside them")
    say(f"{'':22}{'ended by':28}{'seconds':>9}{'before':>10}{'beside':>10}{'during':>10}{'d/before':>9}{'d/beside':>9}")
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(floods(options.only, options.offenders, Path(directory)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=FLOODS, default=list(FLOODS))
    parser.add_argument("--offenders", type=int, default=10)
    sys.exit(1 if main(parser.parse_args()) else 0)
