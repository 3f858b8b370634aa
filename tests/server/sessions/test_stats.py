"""What a scrape counts of live sessions, while they come and go."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from server.sessions.stats import AT_ONCE, ResidentStats
from server.telemetry.metrics import Metrics
from streaming.residents import Residents
from streaming.traffic import Traffic


@dataclass(eq=False)
class Guest:
    """A session, as far as it is counted."""

    session_id: str
    connected: bool
    identity: Any = field(default_factory=lambda: SimpleNamespace(user_id="ada"))
    traffic: Traffic = field(default_factory=lambda: Traffic(bytes_received=10))
    channels: Counter[str] = field(default_factory=lambda: Counter(stt=1))
    queued_bytes: int = 1
    audio_bytes_dropped: int = 2


def resident(number: int) -> Any:
    return Guest(f"s{number}", connected=number % 2 == 0)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"api_gateway_{name}", labels)


async def test_a_session_that_ends_while_it_is_counted_is_counted_once() -> None:
    residents, metrics = Residents(), Metrics("test")
    stats = ResidentStats(residents, {"recovered": 1, "elsewhere": 0, "lost": 0})
    guests = [resident(number) for number in range(2 * AT_ONCE)]
    for guest in guests:
        residents.make_current(guest)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stats.report(metrics), name="scrape")
        await asyncio.sleep(0)  # the first of them have been counted
        residents.remove(guests[0])
        residents.remove(guests[-1])
    assert value(metrics, "ws_bytes_total", direction="in") == 10 * len(guests)
    assert value(metrics, "ws_dropped_total", **{"class": "audio"}) == 2 * len(guests)
    await stats.report(metrics)
    assert value(metrics, "ws_bytes_total", direction="in") == 10 * len(guests)
    assert value(metrics, "ws_connections") == AT_ONCE - 1
    assert value(metrics, "ws_sessions") == 2 * AT_ONCE - 2
    assert value(metrics, "ws_channels", kind="stt") == 2 * AT_ONCE - 2
    assert value(metrics, "ws_send_queue_bytes") == 2 * AT_ONCE - 2
    assert value(metrics, "ws_resumes_total", result="recovered") == 1


async def test_two_scrapes_at_once_count_nothing_twice() -> None:
    residents, metrics = Residents(), Metrics("test")
    stats = ResidentStats(residents, {"recovered": 0, "elsewhere": 0, "lost": 0})
    for number in range(2 * AT_ONCE):
        residents.make_current(resident(number))
    await asyncio.gather(stats.report(metrics), stats.report(metrics))
    assert value(metrics, "ws_bytes_total", direction="in") == 20 * AT_ONCE


def test_what_anybody_may_ask_makes_no_rows() -> None:
    residents = Residents()
    for number in range(3):
        residents.add(resident(number))  # has nothing of what a row tells
    assert ResidentStats(residents, {}).counts() == (2, 3)
