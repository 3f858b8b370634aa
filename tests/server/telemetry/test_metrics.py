from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.telemetry.metrics import MAX_SERIES, Metrics, SessionNumbers

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
# name → labels, as section 6 of the contract has them
CONTRACT = {
    "requests_total": {"method", "endpoint", "status"},
    "request_duration_seconds": {"method", "endpoint"},
    "grpc_calls_total": {"service", "method", "status"},
    "ws_connections": set(),
    "ws_sessions": set(),
    "ws_channels": {"kind"},
    "ws_messages_total": {"direction", "type"},
    "ws_bytes_total": {"direction"},
    "ws_closes_total": {"code"},
    "ws_send_queue_bytes": set(),
    "ws_dropped_total": {"class"},
    "ws_resumes_total": {"result"},
    "turn_stage_seconds": {"stage"},
    "grpc_call_duration_seconds": {"service", "method"},
    "circuit_state": {"service"},
    "rate_limit_decisions_total": {"result", "backend"},
    "redis_errors_total": set(),
    "auth_failures_total": {"reason"},
    "event_loop_lag_seconds": set(),
    "build_info": {"version", "python"},
}


@pytest.fixture
def used() -> Metrics:
    """Metrics with everything counted once."""
    metrics = Metrics("1.2.3")
    metrics.request("GET", "/live", 200, 0.001)
    metrics.observe("stt", "Recognize", "OK", 0.2)
    metrics.circuit("stt", "open")
    metrics.decision("allowed", "redis")
    metrics.redis_error()
    metrics.auth_failure("expired")
    metrics.socket_closed(1000)
    metrics.ws_messages("in", "ping", 3)
    metrics.ws_bytes("out", 640)
    metrics.ws_dropped("progress")
    metrics.ws_resumed("recovered")
    metrics.turn_stage("first_audio", 0.7)
    metrics.session_numbers = SessionNumbers(2, 3, 99, Counter(stt=1))
    return metrics


def samples(metrics: Metrics) -> Iterator[tuple[str, dict[str, str], float]]:
    _, text = metrics.render()
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def test_names_and_labels_are_those_of_the_contract(used: Metrics) -> None:
    found: dict[str, set[str]] = {}
    for name, labels, _ in samples(used):
        if name.startswith("api_gateway_"):
            bare = re.sub(r"_(bucket|sum|count)$", "", name.removeprefix("api_gateway_"))
            found[bare] = set(labels) - {"le"}
    assert found == CONTRACT


def test_dashboard_and_alerts_ask_for_metrics_that_exist(used: Metrics) -> None:
    names = {name for name, _, _ in samples(used)}
    texts = [
        path.read_text(encoding="utf-8") for path in (ROOT / "deploy").rglob("*") if path.suffix in {".yml", ".json"}
    ]
    asked = {name for text in texts for name in re.findall(r"\bapi_gateway_\w+", text)}
    assert asked
    assert asked <= names


def test_values_are_those_that_were_told(used: Metrics) -> None:
    values = {
        (name.removeprefix("api_gateway_"), *sorted(labels.values())): value for name, labels, value in samples(used)
    }
    assert values["requests_total", "/live", "200", "GET"] == 1
    assert values["ws_messages_total", "in", "ping"] == 3
    assert values["ws_bytes_total", "out"] == 640
    assert values["circuit_state", "stt"] == 2
    assert values["ws_connections",] == 2
    assert values["ws_channels", "stt"] == 1
    assert values["ws_send_queue_bytes",] == 99
    assert values["request_duration_seconds_bucket", "/live", "0.001", "GET"] == 1
    assert values["request_duration_seconds_bucket", "/live", "0.0005", "GET"] == 0


def test_what_clients_invent_makes_no_new_series(used: Metrics) -> None:
    before = len(list(samples(used)))
    for number in range(50):
        used.request(f"INVENTED{number}", "/live", 405, 0.001)
        used.socket_closed(3000 + number)
    made = {labels.get("method") or labels.get("code") for _, labels, _ in samples(used)}
    assert "other" in made
    assert len(list(samples(used))) - before < 25


def test_a_label_without_bounds_is_cut_off() -> None:
    metrics = Metrics("1")
    for number in range(MAX_SERIES + 500):
        metrics.auth_failure(f"reason{number}")
    found = {
        labels["reason"]: value for name, labels, value in samples(metrics) if name.endswith("auth_failures_total")
    }
    assert len(found) == MAX_SERIES + 1
    assert found["other"] == 500


@pytest.mark.parametrize(
    ("openmetrics", "content_type", "end"),
    [(True, "application/openmetrics-text; version=1.0.0", b"# EOF\n"), (False, "text/plain; version=0.0.4", b"\n")],
)
def test_openmetrics_goes_to_those_who_ask(used: Metrics, openmetrics: bool, content_type: str, end: bytes) -> None:
    told, body = used.render(openmetrics)
    assert told.startswith(content_type)
    assert body.endswith(end)
    assert (b"# EOF" in body) == (end == b"# EOF\n")
    assert b"_created" not in body


async def test_a_blocked_loop_is_seen() -> None:
    metrics = Metrics("1")
    lags: list[float] = []
    seen = asyncio.Event()

    def on_lag(lag_s: float) -> None:
        lags.append(lag_s)
        if lag_s > 0.05:
            seen.set()

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(metrics.watch_loop(on_lag), name="lag")
        await asyncio.sleep(0.2)
        time.sleep(0.2)  # the fault itself: somebody blocks the loop when the next timer is due
        await seen.wait()
        watching.cancel()
    assert max(lags) > 0.05
