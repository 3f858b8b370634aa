"""The page of `/metrics`, made twice a second at most for all who ask: anybody may ask, and making it takes tens of milliseconds."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.telemetry.metrics import Metrics

EVERY_S: Final = 0.5  # from the beginning of one page to that of the next; scrapers ask every few seconds

_thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")  # not those of codecs, for which speech waits


class Scrapes:
    """The pages of one gateway, one for each of the two formats: whatever version a client names, its page is the same."""

    def __init__(self, metrics: Metrics, report: Callable[[Metrics], Awaitable[None]]) -> None:
        """`report` counts what is taken at each scrape."""
        self._metrics = metrics
        self._report = report
        self._made: dict[
            bool, tuple[float, str, bytes]
        ] = {}  # begun when, on a clock that runs evenly; content type and page
        self._making = asyncio.Lock()

    async def page(self, *, openmetrics: bool = False) -> tuple[str, bytes]:
        """Content type and page. It is begun after the question, so it counts all that was before."""
        asked = time.monotonic()
        while (found := self._made.get(openmetrics)) is None or found[0] < asked:
            async with self._making:
                if self._made.get(openmetrics) is found:  # else somebody else has made it meanwhile
                    # at least to the next iteration of the loop, so that those who ask in this one have the same page
                    await asyncio.sleep(0 if found is None else max(0, found[0] + EVERY_S - time.monotonic()))
                    await self._make(openmetrics)
        return found[1:]

    async def _make(self, openmetrics: bool) -> None:
        begun = time.monotonic()
        await self._report(self._metrics)
        page = await asyncio.get_running_loop().run_in_executor(_thread, self._metrics.render, openmetrics)
        self._made[openmetrics] = begun, *page
