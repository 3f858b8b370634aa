"""Many scrapes of `/metrics` cost one page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.telemetry import scrapes
from server.telemetry.metrics import Metrics
from server.telemetry.scrapes import Scrapes

if TYPE_CHECKING:
    import pytest


class CountedMetrics(Metrics):
    n_made = n_reports = 0

    def render(self, openmetrics: bool = False) -> tuple[str, bytes]:
        self.n_made += 1
        return super().render(openmetrics)


async def report(metrics: Metrics) -> None:
    assert isinstance(metrics, CountedMetrics)
    metrics.n_reports += 1


async def test_a_page_is_made_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "EVERY_S", 600.0)
    metrics = CountedMetrics("1")
    pages = Scrapes(metrics, report)
    answers = await asyncio.gather(*(pages.page(openmetrics=number % 2 == 0) for number in range(200)))
    assert (metrics.n_made, metrics.n_reports) == (2, 2)
    assert {answer[0].split(";")[0] for answer in answers} == {"text/plain", "application/openmetrics-text"}
    assert len(pages._made) == 2


async def test_a_page_counts_all_that_was_before_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "EVERY_S", 0.0)
    metrics = CountedMetrics("1")
    pages = Scrapes(metrics, report)
    for _ in range(3):
        await pages.page()
    assert metrics.n_made == 3


async def test_the_next_page_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "EVERY_S", 600.0)
    metrics = CountedMetrics("1")
    pages = Scrapes(metrics, report)
    await pages.page()
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(pages.page(), name="scrape") for _ in range(3)]
        assert not (await asyncio.wait(asking, timeout=0.05))[0]
        at, *page = pages._made[False]
        asking[0].cancel()
        pages._made[False] = (at + 600.0, *page)  # type: ignore[assignment]
    assert asking[1].result() == asking[2].result() == tuple(page)
    assert metrics.n_made == 1


async def test_whoever_leaves_takes_the_page_from_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "EVERY_S", 600.0)
    pages = Scrapes(CountedMetrics("1"), report)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(pages.page()) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
    assert asking[0].cancelled()
    assert asking[1].result() == asking[2].result()
