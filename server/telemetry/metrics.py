"""Prometheus metrics, by the names of the contract (section 6). Label values are bounded.

Gauges of live sessions are read off the sessions when somebody scrapes; what ends with a session is counted as it happens.
"""

from __future__ import annotations

import asyncio
import platform
import time
from typing import TYPE_CHECKING, Protocol

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from server.telemetry.tallies import OTHER, Count, Durations
from streaming.protocol.errors import CLOSE_CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

PREFIX = "api_gateway"
LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STAGE_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
LAG_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)
LAG_INTERVAL_S = 0.25
CIRCUIT_VALUES = {"closed": 0, "half_open": 1, "open": 2}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNSENT_CODES = frozenset({1005, 1006, 1015})  # RFC 6455 section 7.4.1: seen by this side only


class SessionCounts(Protocol):
    """What is read when somebody scrapes (`server.gateway.SessionStats`)."""

    @property
    def sockets(self) -> int:
        """Open now."""

    @property
    def sessions(self) -> int:
        """With or without a socket."""

    @property
    def channels(self) -> Mapping[str, int]:
        """Open now, by kind."""


class _SessionGauges(Collector):
    """Sockets, sessions, channels and queues of this moment."""

    def __init__(self, counts: Callable[[], SessionCounts], queued_bytes: Callable[[], int]) -> None:
        self._counts = counts
        self._queued_bytes = queued_bytes

    def describe(self) -> Iterable[Metric]:
        """The names, without looking at sessions that may not be there yet."""
        return [GaugeMetricFamily(f"{PREFIX}_{name}", "") for name in ("ws_connections", "ws_sessions", "ws_channels")]

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        counts = self._counts()
        yield GaugeMetricFamily(f"{PREFIX}_ws_connections", "Open WebSockets.", counts.sockets)
        yield GaugeMetricFamily(f"{PREFIX}_ws_sessions", "Live sessions, with or without a socket.", counts.sessions)
        channels = GaugeMetricFamily(f"{PREFIX}_ws_channels", "Open channels.", labels=["kind"])
        for kind, number in counts.channels.items():
            channels.add_metric([kind], number)
        yield channels
        yield GaugeMetricFamily(f"{PREFIX}_ws_send_queue_bytes", "Waiting to be sent.", self._queued_bytes())


class Metrics:
    """One registry per gateway."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "REST requests.", "method", "endpoint", "status")
        self.request_seconds = self._histogram(
            "request_duration_seconds", "REST latency.", LATENCY_S, "method", "endpoint"
        )
        self.grpc_calls = self._counter("grpc_calls", "gRPC calls.", "service", "method", "status")
        self.grpc_seconds = self._histogram(
            "grpc_call_duration_seconds", "gRPC latency.", LATENCY_S, "service", "method"
        )
        self.circuits = Gauge(
            f"{PREFIX}_circuit_state", "0 closed, 1 half open, 2 open.", ("service",), registry=self.registry
        )
        self.decisions = self._counter("rate_limit_decisions", "Rate-limit decisions.", "result", "backend")
        self.redis_errors = self._counter("redis_errors", "Redis commands that failed or took too long.")
        self.auth_failures = self._counter("auth_failures", "Refused tokens and sockets.", "reason")
        self.closes = self._counter("ws_closes", "Closed sockets.", "code")
        self.messages = self._counter("ws_messages", "Messages on sockets.", "direction", "type")
        self.bytes = self._counter("ws_bytes", "Payload bytes on sockets.", "direction")
        self.dropped = self._counter("ws_dropped", "Messages merged away or given up for slow readers.", "class")
        self.resumes = self._counter("ws_resumes", "Clients that came back.", "result")
        self.stage_seconds = self._histogram("turn_stage_seconds", "Stages of spoken turns.", STAGE_S, "stage")
        self.lag_seconds = self._histogram("event_loop_lag_seconds", "Delay of the event loop.", LAG_S)
        Info(f"{PREFIX}_build", "This build.", registry=self.registry).info(
            {"version": version, "python": platform.python_version()}
        )
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Count:
        count = Count(f"{PREFIX}_{name}", help_text, labels)
        self.registry.register(count)
        return count

    def _histogram(self, name: str, help_text: str, bounds_s: Sequence[float], *labels: str) -> Durations:
        durations = Durations(f"{PREFIX}_{name}", help_text, bounds_s, labels)
        self.registry.register(durations)
        return durations

    # --- what happened ---

    def request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """A REST request was answered; `endpoint` is the route's template."""
        method = method if method in METHODS else OTHER
        self.requests.add(method, endpoint, str(status))
        self.request_seconds.observe(method, endpoint, seconds=seconds)

    def observe(self, service: str, method: str, status: str, seconds: float) -> None:
        """A gRPC call ended (`server.upstream.CallObserver`)."""
        self.grpc_calls.add(service, method, status)
        self.grpc_seconds.observe(service, method, seconds=seconds)

    def circuit(self, service: str, state: str) -> None:
        """A circuit changed (`server.upstream.CallObserver`)."""
        self.circuits.labels(service).set(CIRCUIT_VALUES[state])

    def decision(self, result: str, backend: str) -> None:
        """A rate-limit decision."""
        self.decisions.add(result, backend)

    def redis_error(self) -> None:
        """Redis failed."""
        self.redis_errors.add()

    def auth_failure(self, reason: str) -> None:
        """Somebody was not let in."""
        self.auth_failures.add(reason)

    def socket_closed(self, code: int) -> None:
        """A WebSocket closed. Codes that nobody here sends are a client's invention."""
        known = code in CLOSE_CODES or code in UNSENT_CODES
        self.closes.add(str(code) if known else OTHER)

    def ws_messages(self, direction: str, kind: str, number: int = 1) -> None:
        """Messages went `in` or `out`; `kind` is their type, or `audio`. Meant to be told in sums, not frame by frame."""
        self.messages.add(direction, kind, number=number)

    def ws_bytes(self, direction: str, number: int) -> None:
        """Payload bytes went `in` or `out`."""
        self.bytes.add(direction, number=number)

    def ws_dropped(self, kind: str, number: int = 1) -> None:
        """Something was merged or given up: `progress`, `audio`, `observer`."""
        self.dropped.add(kind, number=number)

    def ws_resumed(self, result: str) -> None:
        """A client came back: `recovered`, also `elsewhere` when another replica had its session, or `lost`."""
        self.resumes.add(result)

    def turn_stage(self, stage: str, seconds: float) -> None:
        """A stage of a turn was done (`streaming.ports.Meter`)."""
        self.stage_seconds.observe(stage, seconds=seconds)

    # --- reading ---

    def watch_sessions(self, counts: Callable[[], SessionCounts], queued_bytes: Callable[[], int] = int) -> None:
        """Read sockets, sessions, channels and bytes in send queues there whenever somebody scrapes."""
        self.registry.register(_SessionGauges(counts, queued_bytes))

    def add_collector(self, collector: Collector) -> None:
        """Something that counts by itself and is read at scrape time."""
        self.registry.register(collector)

    def render(self, accept: str) -> tuple[str, bytes]:
        """Content type and exposition, OpenMetrics for those who ask for it."""
        encode: Callable[[CollectorRegistry], bytes]
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self.registry)

    async def watch_loop(self, on_lag: Callable[[float], None]) -> None:
        """Measure how late timers fire; runs until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(LAG_INTERVAL_S)
            lag_s = max(0.0, time.perf_counter() - began - LAG_INTERVAL_S)
            self.lag_seconds.observe(seconds=lag_s)
            on_lag(lag_s)
