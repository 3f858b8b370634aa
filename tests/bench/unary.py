"""What a unary call of a service costs the gateway: in a trunk, and as a call of its own, by so many callers at a time.

CPU of this process per call through the client of M4, which runs in another process; medians of rounds by turns. Callers ask
again as soon as they are answered, so that calls come in step: in a gateway fewer share a message.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import uvloop

from server.services import SERVICES
from server.upstream import ServiceEndpoint, Upstream
from streaming.ports import CallContext
from tests.bench.floor import each_us
from tests.bench.machine import head, say
from tests.bench.rest import intent_service

CALLERS = (1, 4, 32)
CONTEXT = CallContext("developer", ("user",), "", "a" * 32, f"00-{'a' * 32}-{'b' * 16}-00")


async def compare(address: str, rounds: int, seconds: float) -> None:
    """One row for each number of callers."""
    endpoints = [ServiceEndpoint(name, address if name == "intent" else "127.0.0.1:1", 5_000) for name in SERVICES]
    carrying, plain = Upstream(endpoints), Upstream(endpoints)
    plain.without_trunks()

    async def carried() -> None:
        await carrying.services.intent.recognize("what time is it", "en-US", CONTEXT)

    async def own() -> None:
        await plain.services.intent.recognize("what time is it", "en-US", CONTEXT)

    for upstream in (carrying, plain):
        await upstream.start()
        await upstream.health.first_round()
    say(f"{'callers':>8}{'in a trunk':>16}{'of its own':>16}")
    for callers in CALLERS:
        for ask in (carried, own):
            await each_us(ask, 0.3, callers)
        found = [
            (await each_us(carried, seconds, callers), await each_us(own, seconds, callers)) for _ in range(rounds)
        ]
        trunk_us, own_us = (statistics.median(values) for values in zip(*found, strict=True))
        say(f"{callers:8}{trunk_us:13.0f} µs{own_us:13.0f} µs")
    for upstream in (carrying, plain):
        await upstream.close(0)


def main(rounds: int, seconds: float) -> None:
    """Measure."""
    head(f"CPU of one unary call, medians of {rounds}")
    with tempfile.TemporaryDirectory() as directory, intent_service(Path(directory)) as address:
        uvloop.run(compare(address, rounds, seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    main(options.rounds, options.seconds)
