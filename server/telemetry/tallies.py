"""Counters and histograms that cost a dict and a list at each event; Prometheus' own take a lock for each of their numbers.

All events come on the event loop. A scrape reads them from another thread, and may see one of two numbers that belong together.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric

MAX_SERIES = 1_000  # per metric: a label that turns out not to be bounded must not fill the memory
OTHER = "other"

Labels = tuple[str, ...]


class Count(Collector):
    """How often something happened, by label values."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        self._about = name, help_text, tuple(labels)
        self._numbers: dict[Labels, int] = {} if labels else {(): 0}

    def add(self, *labels: str, number: int = 1) -> None:
        """It happened. With too many label values all further ones are one."""
        numbers = self._numbers
        if labels not in numbers and len(numbers) >= MAX_SERIES:
            labels = (OTHER,) * len(labels)
        numbers[labels] = numbers.get(labels, 0) + number

    def describe(self) -> Iterator[Metric]:
        """Its name, for the registry."""
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        family = self._family()
        for labels, number in list(self._numbers.items()):
            family.add_metric(labels, number)
        yield family

    def _family(self) -> CounterMetricFamily:
        name, help_text, labels = self._about
        return CounterMetricFamily(name, help_text, labels=labels)


class _Row:
    """One series' durations: how many fell into each bucket (not into those below), and their sum."""

    __slots__ = ("counts", "seconds")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.seconds = 0.0


class Durations(Collector):
    """How long something took, by label values. `bounds_s`: upper bounds of the buckets, seconds, rising; one without bound follows."""

    def __init__(self, name: str, help_text: str, bounds_s: Sequence[float], labels: Sequence[str]) -> None:
        self._about = name, help_text, tuple(labels)
        self._bounds_s = tuple(bounds_s)
        bounds = (*bounds_s, float("inf"))
        self._names = [floatToGoString(bound_s) for bound_s in bounds]  # type: ignore[no-untyped-call]
        self._rows: dict[Labels, _Row] = {} if labels else {(): self._row()}

    def _row(self) -> _Row:
        return _Row(len(self._names))

    def observe(self, *labels: str, seconds: float) -> None:
        """It took so long. With too many label values all further ones are one."""
        row = self._rows.get(labels)
        if row is None:
            if len(self._rows) >= MAX_SERIES:
                labels = (OTHER,) * len(labels)
            row = self._rows.setdefault(labels, self._row())
        row.counts[bisect_left(self._bounds_s, seconds)] += 1
        row.seconds += seconds

    def describe(self) -> Iterator[Metric]:
        """Its name, for the registry."""
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        family = self._family()
        for labels, row in list(self._rows.items()):
            family.add_metric(labels, list(self._cumulated(row)), row.seconds)
        yield family

    def _cumulated(self, row: _Row) -> Iterator[tuple[str, float]]:
        number = 0
        for name, count in zip(self._names, row.counts, strict=True):
            number += count
            yield name, number

    def _family(self) -> HistogramMetricFamily:
        name, help_text, labels = self._about
        return HistogramMetricFamily(name, help_text, labels=labels)
