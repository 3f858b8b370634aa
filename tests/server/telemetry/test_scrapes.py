"""Many scrapes of `/metrics` cost one page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.telemetry import scrapes
from server.telemetry.metrics import Metrics
from server.telemetry.scrapes import Scrapes
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class CountedMetrics(Metrics):
    n_made = n_reports = 0

    def render(self, accept: str) -> tuple[str, bytes]:
        self.n_made += 1
        return super().render(accept)


async def report(metrics: Metrics) -> None:
    assert isinstance(metrics, CountedMetrics)
    metrics.n_reports += 1


async def test_a_page_is_made_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "KEPT_S", 600.0)
    metrics = CountedMetrics("1")
    pages = Scrapes(metrics, report)
    asked = ["", "text/plain", *(f"application/openmetrics-text; version=1.{minor}.0" for minor in range(50))] * 4
    answers = await asyncio.gather(*(pages.page(accept) for accept in asked))
    assert (metrics.n_made, metrics.n_reports) == (2, 2)
    assert {answer[0].split(";")[0] for answer in answers} == {"text/plain", "application/openmetrics-text"}
    assert len(pages._made) == 2


async def test_an_old_page_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = CountedMetrics("1")
    pages = Scrapes(metrics, report)
    monkeypatch.setattr(scrapes, "KEPT_S", 600.0)
    await pages.page("")
    at, *page = pages._made[""]
    pages._made[""] = (at - 601.0, *page)  # type: ignore[assignment]
    await pages.page("")
    assert metrics.n_made == 2


async def test_whoever_leaves_takes_the_page_from_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "KEPT_S", 600.0)
    pages = Scrapes(CountedMetrics("1"), report)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(pages.page("")) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
    assert asking[0].cancelled()
    assert asking[1].result() == asking[2].result()


async def test_requests_share_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapes, "KEPT_S", 600.0)
    async with running(tmp_path) as gw:
        bodies = {(await gw.fetch("GET", "/metrics", roles=None)).body for _ in range(3)}
    assert len(bodies) == 1
