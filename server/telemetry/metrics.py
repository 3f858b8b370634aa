"""Prometheus metrics. Names and labels are part of the public contract, and label values are bounded.

Figures of live sessions are taken from the sessions before each scrape. Everything else is counted as it happens.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections import Counter as Counts
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from streaming.jarvis import CLOSE_CODES
from streaming.rfc6455 import UNSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client import Metric

PREFIX = "api_gateway"
OPENMETRICS = "application/openmetrics-text"
LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STAGE_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
LAG_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)
LAG_INTERVAL_S = 0.25
CIRCUIT_VALUES = {"closed": 0, "half_open": 1, "open": 2}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_SERIES = 1_000  # per metric: an unbounded label must not fill the memory
OTHER = "other"

MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


class _Series(Generic[MetricT]):
    """A metric's children by label values, each looked up once. Beyond MAX_SERIES, further values are counted as `other`."""

    def __init__(self, metric: MetricT) -> None:
        self._metric: MetricT = metric
        self._children: dict[tuple[str, ...], MetricT] = {}

    def __call__(self, *labels: str) -> MetricT:
        child = self._children.get(labels)
        if child is None:
            if len(self._children) >= MAX_SERIES:
                labels = (OTHER,) * len(labels)
            child = self._children.setdefault(labels, self._metric.labels(*labels))
        return child


@dataclass(slots=True)
class SessionNumbers:
    """Sockets, sessions and open channels by kind, when they were last counted."""

    sockets: int = 0
    sessions: int = 0
    queued_bytes: int = 0
    channels: Counts[str] = field(default_factory=Counts)


class _SessionGauges(Collector):
    """Current numbers of sockets, sessions, channels and queued bytes."""

    def __init__(self, numbers: Callable[[], SessionNumbers]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        """The metrics of one scrape."""
        numbers = self._numbers()
        yield GaugeMetricFamily(f"{PREFIX}_ws_connections", "Open WebSockets.", numbers.sockets)
        yield GaugeMetricFamily(f"{PREFIX}_ws_sessions", "Live sessions, with or without a socket.", numbers.sessions)
        channels = GaugeMetricFamily(f"{PREFIX}_ws_channels", "Open channels.", labels=["kind"])
        for kind, number in numbers.channels.items():
            channels.add_metric([kind], number)
        yield channels
        yield GaugeMetricFamily(f"{PREFIX}_ws_send_queue_bytes", "Waiting to be sent.", numbers.queued_bytes)


class Metrics:
    """The metrics of one gateway, with a registry of their own."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # `_created` would double the number of series, and is not used
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "REST requests.", "method", "endpoint", "status")
        self._request_seconds = self._histogram(
            "request_duration_seconds", "REST latency.", LATENCY_S, "method", "endpoint"
        )
        self._by_answer: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._grpc_calls = self._counter("grpc_calls", "gRPC calls.", "service", "method", "status")
        self._grpc_seconds = self._histogram(
            "grpc_call_duration_seconds", "gRPC latency.", LATENCY_S, "service", "method"
        )
        self._circuits = _Series(
            Gauge(f"{PREFIX}_circuit_state", "0 closed, 1 half open, 2 open.", ("service",), registry=self.registry)
        )
        self._decisions = self._counter("rate_limit_decisions", "Rate-limit decisions.", "result", "backend")
        self._redis_errors = Counter(
            f"{PREFIX}_redis_errors", "Redis commands that failed or took too long.", registry=self.registry
        )
        self._auth_failures = self._counter("auth_failures", "Refused tokens and sockets.", "reason")
        self._closes = self._counter("ws_closes", "Closed sockets.", "code")
        self._messages = self._counter("ws_messages", "Messages on sockets.", "direction", "type")
        self._bytes = self._counter("ws_bytes", "Payload bytes on sockets.", "direction")
        self._dropped = self._counter("ws_dropped", "Messages merged away or given up for slow readers.", "class")
        self._resumes = self._counter("ws_resumes", "Clients that came back.", "result")
        self._stage_seconds = self._histogram("turn_stage_seconds", "Stages of spoken turns.", STAGE_S, "stage")
        self._lag_seconds = Histogram(
            f"{PREFIX}_event_loop_lag_seconds", "Delay of the event loop.", buckets=LAG_S, registry=self.registry
        )
        Info(f"{PREFIX}_build", "This build.", registry=self.registry).info(
            {"version": version, "python": platform.python_version()}
        )
        self.session_numbers = SessionNumbers()  # set before a scrape
        self.registry.register(_SessionGauges(lambda: self.session_numbers))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> _Series[Counter]:
        return _Series(Counter(f"{PREFIX}_{name}", help_text, labels, registry=self.registry))

    def _histogram(self, name: str, help_text: str, bounds_s: Sequence[float], *labels: str) -> _Series[Histogram]:
        return _Series(Histogram(f"{PREFIX}_{name}", help_text, labels, buckets=bounds_s, registry=self.registry))

    # --- what happened ---

    def request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """A REST request was answered; `endpoint` is the route's template."""
        children = self._by_answer.get((method, endpoint, status))
        if children is None:
            method = method if method in METHODS else OTHER
            children = self._requests(method, endpoint, str(status)), self._request_seconds(method, endpoint)
            if len(self._by_answer) < MAX_SERIES:
                self._by_answer[method, endpoint, status] = children
        counter, histogram = children
        counter.inc()
        histogram.observe(seconds)

    def observe(self, service: str, method: str, status: str, seconds: float) -> None:
        """A gRPC call ended (`server.upstream.CallObserver`)."""
        self._grpc_calls(service, method, status).inc()
        self._grpc_seconds(service, method).observe(seconds)

    def circuit(self, service: str, state: str) -> None:
        """A circuit changed (`server.upstream.CallObserver`)."""
        self._circuits(service).set(CIRCUIT_VALUES[state])

    def decision(self, result: str, backend: str) -> None:
        """A rate-limit decision."""
        self._decisions(result, backend).inc()

    def redis_error(self) -> None:
        """Redis failed."""
        self._redis_errors.inc()

    def auth_failure(self, reason: str) -> None:
        """A credential was refused."""
        self._auth_failures(reason).inc()

    def socket_closed(self, code: int) -> None:
        """A WebSocket closed. A code outside our table was made up by the client."""
        known = code in CLOSE_CODES or code in UNSENT
        self._closes(str(code) if known else OTHER).inc()

    def ws_messages(self, direction: str, kind: str, number: int = 1) -> None:
        """Messages went `in` or `out`; `kind` is their type, or `audio`. Call it with sums, not once per frame."""
        self._messages(direction, kind).inc(number)

    def ws_bytes(self, direction: str, number: int) -> None:
        """Payload bytes went `in` or `out`."""
        self._bytes(direction).inc(number)

    def ws_dropped(self, kind: str, number: int = 1) -> None:
        """Something was merged or dropped: `progress`, `audio`, `observer`."""
        self._dropped(kind).inc(number)

    def ws_resumed(self, result: str) -> None:
        """A client resumed: `recovered`; also `elsewhere` if another replica had the session, or `lost`."""
        self._resumes(result).inc()

    def turn_stage(self, stage: str, seconds: float) -> None:
        """A stage of a turn ended (`streaming.ports.Meter`)."""
        self._stage_seconds(stage).observe(seconds)

    # --- reading ---

    def render(self, openmetrics: bool = False) -> tuple[str, bytes]:
        """Content type and exposition."""
        encode: Callable[[CollectorRegistry], bytes]
        # No client's header: of an odd version, `choose_encoder` raises TypeError.
        encode, content_type = choose_encoder(OPENMETRICS if openmetrics else "")
        return content_type, encode(self.registry)

    async def watch_loop(self, on_lag: Callable[[float], None]) -> None:
        """Measure how late timers fire. Runs until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(LAG_INTERVAL_S)
            lag_s = max(0.0, time.perf_counter() - began - LAG_INTERVAL_S)
            self._lag_seconds.observe(lag_s)
            on_lag(lag_s)
