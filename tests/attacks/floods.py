"""Floods, one after the other, with honest talkers beside them: how each offender is ended, and what the talkers notice.

    python -m tests.attacks.floods                       # every flood three times, ten offenders each
    python -m tests.attacks.floods --only pings half-open --offenders 50 --rounds 7

The talkers' latency is from the write of a microphone frame to its arrival at the recogniser. `before` is its p99 with the offenders'
sessions open and silent. `beside` is the same while this process computes and sends nothing, which shows whether a busy neighbour
alone delays frames. `during` is from the first hostile byte to the end of the last offender, at least two seconds.
Real offenders have processors of their own. Here they run where the machine is idle, and gateway, talkers and recogniser have real-time
priority (root on Linux; said in the first line): a kernel that preempts nobody would else have them wait for an idle process'
system calls, and `beside` is then two to four times `before`.
Each round has every flood once, so that what else the machine does is spread over all of them; the figures are medians of the rounds,
and the ratios those of pairs of one round, with the least and the largest. The row `nothing` is the control: the same offenders, who
send nothing. So its ratios are what the machine alone makes of two measurements, and only ratios beyond them are the flood's.
Ends with 1 when an offender was not ended in time or in another way than it should be. The latency is shown and not judged: on a
machine that is busy it is noise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.attacks.crowds import ALL
from tests.attacks.offenders import CONTROL, Target, said
from tests.bench.machine import head, say
from tests.bench.microphones.__main__ import FREELY, recogniser
from tests.bench.microphones.talkers import Load, as_json
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.attacks.offenders import Ended
    from tests.bench.microphones.__main__ import Recogniser
    from tests.support.gateway import GatewayProcess

TALKERS = 10
SETTLE_S = 1.0  # after the offenders have come
LEAST_S = 2.0  # of measuring while they flood: a thousand frames of ten talkers
BASELINE_S = LEAST_S  # each of the two: a 99th percentile of as many frames
ROUNDS = 3
# Nobody listens at the discard port, while a service at a default address may be another gateway's: a channel that is refused at once
# costs otherwise than one that waits.
ALONE = {
    **FREELY,
    **dict.fromkeys(("VOICE_TTS_GRPC_URL", "SAFETY_GRPC_URL", "OS_GRPC_URL"), "127.0.0.1:9"),
    "REDIS_URL": "",
}
ORDERS = ((False, True), (True, False))  # `before` and `beside`, in turn
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


def go_first() -> bool:
    """Give this process and its children real-time priority, all the same. Returns whether that is allowed."""
    if not hasattr(os, "SCHED_RR"):
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True


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


@dataclass(frozen=True)
class Round:
    """How the offenders of one flood were ended, and the talkers' p99 in ms."""

    ends: list[Ended]
    before_ms: float
    beside_ms: float
    during_ms: float


async def p99_within(ear: Recogniser, seconds: float, *, busy: bool) -> float:
    """The talkers' p99 in ms while nobody floods. `busy`: this process computes."""
    ear.ask("restart")
    if busy:
        compute(seconds)
    else:
        await asyncio.sleep(seconds)
    return p99_ms(ear)


async def flooded(target: Target, name: str, offenders: int, ear: Recogniser, number: int) -> Round:
    """One flood in one round."""
    flood = ALL[name]
    attacks = (flood.attack(target, f"{name.replace(' ', '-')}-{number}-{n}") for n in range(offenders))
    if flood.enters:
        flooding = asyncio.gather(*attacks)
        while target.entered.n_waiting < offenders:
            await asyncio.sleep(0.1)
    await asyncio.sleep(SETTLE_S)
    times_ms = {busy: await p99_within(ear, BASELINE_S, busy=busy) for busy in ORDERS[number % 2]}
    ear.ask("restart")
    least = asyncio.get_running_loop().time() + LEAST_S
    if flood.enters:
        await target.entered.wait()
    else:
        flooding = asyncio.gather(*attacks)
    ends = list(await flooding)
    await asyncio.sleep(max(0.0, least - asyncio.get_running_loop().time()))
    return Round(ends, times_ms[False], times_ms[True], p99_ms(ear))


def spread(ratios: Iterable[float]) -> str:
    """Median, least and largest."""
    ordered = sorted(ratios)
    return f"{statistics.median(ordered):6.1f} ({ordered[0]:.1f}–{ordered[-1]:.1f})"


def row(name: str, rounds: list[Round]) -> tuple[str, bool]:
    """The flood's line of the table; True if all offenders were ended as they should be."""
    flood, ends = ALL[name], [end for one in rounds for end in one.ends]
    slowest_s = max(end.seconds for end in ends)
    right = slowest_s <= flood.within_s and all(end.by in flood.ends for end in ends)
    by = ", ".join(f"{how} × {count}" for how, count in Counter(end.by for end in ends).items())
    before_ms, beside_ms, during_ms = (
        statistics.median(times)
        for times in zip(*((one.before_ms, one.beside_ms, one.during_ms) for one in rounds), strict=True)
    )
    by_before = spread(one.during_ms / one.before_ms for one in rounds)
    by_beside = spread(one.during_ms / one.beside_ms for one in rounds)
    wrong = "" if right else f"WRONG: {flood.ends} in {flood.within_s} s"
    return (
        f"{name:22}{by:28}{slowest_s:9.1f}{before_ms:10.2f}{beside_ms:10.2f}{during_ms:10.2f}{by_before:>20}{by_beside:>20}  {wrong}",
        right,
    )


async def floods(names: list[str], offenders: int, rounds: int, directory: Path) -> int:
    """Returns how many floods were not ended as they should be."""
    found: dict[str, list[Round]] = {name: [] for name in names}
    priority = (
        "have real-time priority"
        if go_first()
        else "have no real-time priority, so that offenders delay them by computing"
    )
    head(
        f"floods: {offenders} offenders each, {TALKERS} talkers, {rounds} rounds; gateway, talkers and recogniser {priority}"
    )
    say(
        f"{'':22}{'ended by':28}{'seconds':>9}{'before':>10}{'beside':>10}{'during':>10}{'during/before':>20}{'during/beside':>20}"
    )
    with recogniser(directory) as ear:
        settings = {**ALONE, "VOICE_STT_GRPC_URL": ear.address, "OVERLOAD_LAG_MS": "500"}
        with running_gateway(directory, **settings) as gateway, talking(gateway, LONGEST_S * len(names) * rounds):
            entered = asyncio.Barrier(offenders + 1)
            target = Target(gateway.port, gateway.own_token("offender", "user"), entered)
            yield_to_others()
            for number in range(rounds):
                for name in names:
                    found[name].append(await flooded(target, name, offenders, ear, number))
                say(f"round {number + 1} of {rounds}, load average {os.getloadavg()[0]:.1f}")
    rows = [row(name, found[name]) for name in names]
    for line, _ in rows:
        say(line)
    return sum(not right for _, right in rows)


def main(options: argparse.Namespace) -> int:
    names = [CONTROL, *(name for name in options.only if name != CONTROL)]
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(floods(names, options.offenders, options.rounds, Path(directory)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ALL, default=list(ALL))
    parser.add_argument("--offenders", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    sys.exit(1 if main(parser.parse_args()) else 0)
