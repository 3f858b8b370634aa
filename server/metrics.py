"""Prometheus metrics, by the names of the contract. Children are looked up once; what sessions count is read at scrape time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.registry import Collector

PREFIX = "api_gateway"
LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STAGE_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
LAG_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)
LAG_INTERVAL_S = 0.25
CIRCUIT_VALUES = {"closed": 0, "half_open": 1, "open": 2}


class Metrics:
    """One registry per gateway."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self._children: dict[tuple[Any, ...], Any] = {}
        self.requests = self._counter("requests", "REST requests.", "method", "endpoint", "status")
        self.request_seconds = self._histogram(
            "request_duration_seconds", "REST latency.", LATENCY_S, "method", "endpoint"
        )
        self.grpc_calls = self._counter("grpc_calls", "gRPC calls.", "service", "method", "status")
        self.grpc_seconds = self._histogram(
            "grpc_call_duration_seconds", "gRPC latency.", LATENCY_S, "service", "method"
        )
        self.circuits = self._gauge("circuit_state", "0 closed, 1 half open, 2 open.", "service")
        self.decisions = self._counter("rate_limit_decisions", "Rate-limit decisions.", "result", "backend")
        self.redis_errors = self._counter("redis_errors", "Redis commands that failed or took too long.")
        self.auth_failures = self._counter("auth_failures", "Refused tokens and sockets.", "reason")
        self.closes = self._counter("ws_closes", "Closed sockets.", "code")
        self.stage_seconds = self._histogram("turn_stage_seconds", "Stages of spoken turns.", STAGE_S, "stage")
        self.lag_seconds = self._histogram("event_loop_lag_seconds", "Delay of the event loop.", LAG_S)
        Info(f"{PREFIX}_build", "This build.", registry=self.registry).info({"version": version})
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", help_text, labels, buckets=tuple(buckets), registry=self.registry)

    def _child(self, metric: Any, *labels: str) -> Any:
        """`labels()` takes a lock and hashes strings: once per combination is enough."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    # --- what happened ---

    def request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """A REST request was answered; `endpoint` is the route's template."""
        self._child(self.requests, method, endpoint, str(status)).inc()
        self._child(self.request_seconds, method, endpoint).observe(seconds)

    def observe(self, service: str, method: str, status: str, seconds: float) -> None:
        """A gRPC call ended (`server.upstream.CallObserver`)."""
        self._child(self.grpc_calls, service, method, status).inc()
        self._child(self.grpc_seconds, service, method).observe(seconds)

    def circuit(self, service: str, state: str) -> None:
        """A circuit changed (`server.upstream.CallObserver`)."""
        self._child(self.circuits, service).set(CIRCUIT_VALUES[state])

    def decision(self, result: str, backend: str) -> None:
        """A rate-limit decision."""
        self._child(self.decisions, result, backend).inc()

    def redis_error(self) -> None:
        """Redis failed."""
        self.redis_errors.inc()

    def auth_failure(self, reason: str) -> None:
        """Somebody was not let in."""
        self._child(self.auth_failures, reason).inc()

    def socket_closed(self, code: int) -> None:
        """A WebSocket closed. Codes outside the ranges in use are a client's invention."""
        known = code if 1000 <= code <= 1015 or 4000 <= code <= 4999 else 0
        self._child(self.closes, str(known)).inc()

    def turn_stage(self, stage: str, seconds: float) -> None:
        """A stage of a turn was done (`streaming.ports.Meter`)."""
        self._child(self.stage_seconds, stage).observe(seconds)

    # --- reading ---

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
            self.lag_seconds.observe(lag_s)
            on_lag(lag_s)
