"""Our counters and histograms say what Prometheus' own would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder, generate_latest

from server.telemetry.tallies import MAX_SERIES, Count, Durations

BOUNDS_S = (0.0005, 0.001, 0.25, 1, 10)
OPENMETRICS = choose_encoder("application/openmetrics-text; version=1.0.0")[0]


def told(registry: CollectorRegistry) -> set[str]:
    """The lines of both formats; when a series began nobody asks for here."""
    lines = generate_latest(registry).decode().splitlines() + OPENMETRICS(registry).decode().splitlines()
    return {line for line in lines if "_created" not in line}


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["GET", 'a "quoted" \\ one']),
            st.sampled_from(["/live", ""]),
            st.floats(0, 100) | st.sampled_from(BOUNDS_S),
        )
    )
)
def test_they_say_what_prometheus_own_would(events: list[tuple[str, str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    count, durations = (
        Count("asked", "Help.", ("method", "path")),
        Durations("took", "Help.", BOUNDS_S, ("method", "path")),
    )
    counter = Counter("asked", "Help.", ("method", "path"), registry=theirs)
    histogram = Histogram("took", "Help.", ("method", "path"), buckets=BOUNDS_S, registry=theirs)
    ours.register(count)
    ours.register(durations)
    for method, path, seconds in events:
        count.add(method, path, number=3)
        durations.observe(method, path, seconds=seconds)
        counter.labels(method, path).inc(3)
        histogram.labels(method, path).observe(seconds)
    assert told(ours) == told(theirs)


def test_without_labels_there_is_a_nought_before_anything_has_happened() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    ours.register(Count("lost", "Help.", ()))
    ours.register(Durations("lag", "Help.", BOUNDS_S, ()))
    Counter("lost", "Help.", registry=theirs)
    Histogram("lag", "Help.", buckets=BOUNDS_S, registry=theirs)
    assert told(ours) == told(theirs)


def test_labels_without_bounds_become_one() -> None:
    count, durations = Count("asked", "Help.", ("who",)), Durations("took", "Help.", BOUNDS_S, ("who",))
    for number in range(MAX_SERIES + 50):
        count.add(f"client {number}")
        durations.observe(f"client {number}", seconds=0.1)
    for collector in (count, durations):
        (family,) = collector.collect()
        series = {sample.labels["who"] for sample in family.samples}
        assert len(series) == MAX_SERIES + 1
        others = [sample for sample in family.samples if sample.labels["who"] == "other"]
        assert max(sample.value for sample in others) == 50
