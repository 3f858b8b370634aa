"""Health, metrics and documents, for operators and monitoring. All of it is public and not rate-limited."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from server.operations.operation import Access, NoParameters, Operation, ResponseModel
from server.shared.redis_errors import RedisRefusedError
from server.version import __version__
from streaming.rfc3339 import rfc3339

if TYPE_CHECKING:
    from server.gateway import Gateway
    from server.operations.operation import Caller
    from server.upstream import ServiceHealth

NAME = "jarvis-gateway"
LIKE_ONES = 64  # answers of services kept, which say the same until a service's state changes: making them is dear

CheckStatus = Literal["up", "down", "degraded"]


class RootAnswer(ResponseModel):
    """Links to everything the gateway serves."""

    name: str
    version: str
    links: dict[str, str]


async def root(_gateway: Gateway, _caller: Caller, _request: NoParameters) -> RootAnswer:
    """The gateway's name, version and links."""
    links = {
        "console": "/console/",
        "docs": "/docs",
        "redoc": "/redoc",
        "openapi": "/openapi.json",
        "asyncapi": "/asyncapi",
        "health": "/health",
        "metrics": "/metrics",
        "websocket": "/ws/{session_id}",
    }
    return RootAnswer(name=NAME, version=__version__, links=links)


class LiveAnswer(ResponseModel):
    """The event loop runs."""

    status: Literal["ok"]


async def live(_gateway: Gateway, _caller: Caller, _request: NoParameters) -> LiveAnswer:
    """Answer without checking anything."""
    return LiveAnswer(status="ok")


# --- ready ----------------------------------------------------------------------------------------------------------


class CheckAnswer(ResponseModel):
    """One check. `required`: the gateway is not ready without it. `engine`: a service's engine, if reported."""

    status: CheckStatus
    required: bool
    latency_ms: float | None = None
    reason: str | None = None
    engine: str | None = None


class ReadyAnswer(ResponseModel):
    """Whether traffic may come. `degraded`: yes, but something is missing."""

    status: Literal["ready", "degraded", "draining", "unavailable"]
    checks: dict[str, CheckAnswer]


@lru_cache(maxsize=LIKE_ONES)
def _service_check(health: ServiceHealth, required: bool) -> CheckAnswer:
    working: CheckStatus = "degraded" if health.reason else "up"  # it says what it cannot do
    return CheckAnswer(
        status=working if health.up else "down",
        required=required,
        latency_ms=health.latency_ms,
        reason=health.reason or None,
        engine=health.engine or None,
    )


async def _state_check(gateway: Gateway) -> CheckAnswer:
    """Redis. Without it, limits and sessions are this process's own, so the gateway is only degraded."""
    if not gateway.state.shared:
        return CheckAnswer(status="up", required=False, reason="not configured: in-process state, one replica only")
    try:
        latency_ms = await gateway.state.ping()
    except RedisRefusedError:
        reason = "Redis takes no writes, perhaps because it is full: in-process state is used"
        return CheckAnswer(status="degraded", required=False, reason=reason)
    if latency_ms is None:
        return CheckAnswer(status="degraded", required=False, reason="Redis does not answer: in-process state is used")
    return CheckAnswer(status="up", required=False, latency_ms=latency_ms)


async def readiness(gateway: Gateway) -> ReadyAnswer:
    """All checks and the overall status."""
    required = gateway.settings.required_services
    checks = {
        name: _service_check(health, name in required) for name, health in gateway.upstream.health.services.items()
    }
    checks["redis"] = await _state_check(gateway)
    return ReadyAnswer(status=_verdict(gateway.draining, checks), checks=checks)


def _verdict(draining: bool, checks: dict[str, CheckAnswer]) -> Literal["ready", "degraded", "draining", "unavailable"]:
    if draining:
        return "draining"
    if any(check.required and check.status == "down" for check in checks.values()):
        return "unavailable"
    return "ready" if all(check.status == "up" for check in checks.values()) else "degraded"


async def ready(gateway: Gateway, _caller: Caller, _request: NoParameters) -> ReadyAnswer:
    """Whether traffic may come."""
    return await readiness(gateway)


# --- health ---------------------------------------------------------------------------------------------------------


class ServiceAnswer(ResponseModel):
    """A downstream service as the gateway sees it. `changed_at`: RFC 3339. `languages`: primary tags that it understands, if reported.

    `reason`: why it is down, or what it cannot do while it is up, so that the gateway is degraded.
    """

    status: Literal["up", "down"]
    required: bool
    circuit: str
    latency_ms: float | None
    reason: str | None
    engine: str | None
    languages: tuple[str, ...] | None
    running_calls: int
    changed_at: str


class HealthAnswer(ResponseModel):
    """The gateway's full state, for people."""

    status: Literal["ready", "degraded", "draining", "unavailable"]
    version: str
    started_at: str
    uptime_seconds: float
    services: dict[str, ServiceAnswer]
    redis: CheckAnswer
    event_loop_lag_ms: float
    load: Literal["normal", "busy", "very_busy"]
    requests_running: int
    sockets: int
    sessions: int


def _services(gateway: Gateway) -> dict[str, ServiceAnswer]:
    circuits, running = gateway.upstream.circuits(), gateway.upstream.running_calls()
    return {
        name: _service(seen, name in gateway.settings.required_services, str(circuits[name]), running.get(name, 0))
        for name, seen in gateway.upstream.health.services.items()
    }


@lru_cache(maxsize=LIKE_ONES)
def _service(seen: ServiceHealth, required: bool, circuit: str, running_calls: int) -> ServiceAnswer:
    return ServiceAnswer(
        status="up" if seen.up else "down",
        required=required,
        circuit=circuit,
        latency_ms=seen.latency_ms,
        reason=seen.reason or None,
        engine=seen.engine or None,
        languages=seen.languages or None,
        running_calls=running_calls,
        changed_at=rfc3339(seen.changed_at),
    )


async def health(gateway: Gateway, _caller: Caller, _request: NoParameters) -> HealthAnswer:
    """The gateway's full state."""
    summary = await readiness(gateway)
    sockets, sessions = gateway.sessions.counts()
    return HealthAnswer(
        status=summary.status,
        version=__version__,
        started_at=rfc3339(gateway.started_at),
        uptime_seconds=round(time.time() - gateway.started_at, 3),
        services=_services(gateway),
        redis=summary.checks["redis"],
        event_loop_lag_ms=round(gateway.loop_lag_s * 1000, 3),
        load=gateway.overload.load.word,
        requests_running=gateway.requests_running,
        sockets=sockets,
        sessions=sessions,
    )


def _public(name: str, path: str, summary: str, **more: Any) -> Operation:
    return Operation(name=name, method="GET", path=path, summary=summary, access=Access.PUBLIC, cost=0, **more)


OPERATIONS = (
    _public(
        "ops.root", "/", "Name, version and links; a browser is sent to the console", response=RootAnswer, run=root
    ),
    _public("ops.live", "/live", "Does the event loop turn?", response=LiveAnswer, run=live),
    _public(
        "ops.ready",
        "/ready",
        "May traffic come?",
        response=ReadyAnswer,
        run=ready,
        also=((503, "Draining, or a required service is down"),),
    ),
    _public("ops.health", "/health", "Everything, for people", response=HealthAnswer, run=health),
    _public("ops.metrics", "/metrics", "Prometheus metrics", content_type="text/plain"),
    _public("ops.openapi", "/openapi.json", "This document"),
    _public("ops.asyncapi", "/asyncapi.json", "The WebSocket, as AsyncAPI 3.0"),
)
