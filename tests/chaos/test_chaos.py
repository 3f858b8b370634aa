"""Half a minute of the monkey: dying replicas, cut sockets, and a Redis that loses its data. Long runs: `make chaos`."""

from __future__ import annotations

import asyncio

from tests.chaos.run import run

SEED = 5


def test_nothing_is_lost_doubled_or_untrue_whatever_breaks() -> None:
    report = asyncio.run(run(("kill", "cut", "redis-flushed"), seed=SEED, sessions=6, seconds=15, every_s=3))
    assert report.wrong == [], "\n".join(report.lines())
    assert report.moves > 0
