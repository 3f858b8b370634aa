"""The composition root: builds the gateway in order, listens, and takes it down in reverse order.

Redis, embedded services, upstream clients, state, sessions and HTTP are each entered into one AsyncExitStack. Whatever was
started is therefore stopped, however far the start came.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from tornado.autoreload import add_reload_hook

from server.app import make_app, start_server
from server.composition import (
    breaker_policy,
    embedded_addresses,
    embedded_environment,
    embedded_secrets,
    endpoints,
    lane_services,
    overload_limits,
    session_limits,
)
from server.drain import drain
from server.gateway import Gateway
from server.heap import garbage
from server.heap.freed_memory import freed_memory
from server.identity.auth import Authenticator
from server.identity.users import Users
from server.net.handshakes import HandshakeMeter
from server.net.http.server import check_free, listening_sockets
from server.net.websocket.rounds import read_rounds
from server.operations.quota import allowance, check_limits
from server.overload import Overload, resident_bytes
from server.process.children import BundledRedis, EmbeddedProcess
from server.sessions.desk import GatewayDesk
from server.sessions.fenced import FencedGroup
from server.sessions.news import SessionNews
from server.sessions.stats import ResidentStats
from server.shared.confirmations import ConfirmationStore
from server.shared.idempotency import IdempotencyStore
from server.shared.observation import ReplicaObservation
from server.shared.once import RunOnceStore
from server.shared.rate_limits import RateLimiter
from server.shared.session_records import SessionRecords
from server.shared.state import LocalState, RedisState
from server.shared.store_epoch import StoreEpoch
from server.telemetry.audit import AuditLog, audited
from server.telemetry.metrics import Metrics
from server.telemetry.recordings import Recordings
from server.telemetry.tracing import make_tracer, traced
from server.upstream import Upstream
from server.version import __version__
from streaming.jarvis.registry import Sessions
from streaming.openai.registry import RealtimeSessions
from streaming.residents import Residents
from streaming.twilio.registry import Calls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from server.config import Settings
    from server.shared.redis_link import RedisLink
    from server.shared.state import State
    from streaming.residents import Recorder

log = structlog.get_logger(__name__)

LOOK_FOR_REDIS_S = 0.3  # at the default address, on the same machine
FIRST_HEALTH_S = 2.0  # the start waits this long for the services' first health checks, to report them


@dataclass(frozen=True, slots=True)
class Started:
    """What to report once the gateway listens. `redis` is a description; `down`: service → reason."""

    gateway: Gateway
    port: int
    redis: str
    embedded: tuple[str, ...]
    down: dict[str, str]


class Lifecycle:
    """One gateway from start to stop."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError."""
        check_limits(settings)
        self._settings = settings
        self._stack = AsyncExitStack()
        self._clients = FencedGroup()  # the group of clients' work
        self._loops: list[asyncio.Task[None]] = []

    async def run(self, on_started: Callable[[Started], Awaitable[None]]) -> None:
        """Serve until SIGTERM or Ctrl-C, then drain. Raises ChildError, EndpointError, OSError if it cannot start."""
        async with self._stack:
            tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
            await self._stack.enter_async_context(self._clients)
            self._stack.callback(self._cancel_loops)
            started = await self._start(tasks)
            garbage.begin()
            collection = garbage.WholeCollection(lambda: bool(started.gateway.rounds), resident_bytes)
            self._loop(tasks, collection.watch(), "whole collection")
            stop = _on_signals()  # before anybody is told that it has started, and ends it
            await on_started(started)
            await stop.wait()
            await drain(started.gateway, self._settings.drain_seconds)

    def _loop(self, tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a loop for the life of the gateway."""
        self._loops.append(tasks.create_task(work, name=name))

    def _cancel_loops(self) -> None:
        for loop in self._loops:
            loop.cancel()

    async def _start(self, tasks: asyncio.TaskGroup) -> Started:
        settings = self._settings
        # First, because the services take seconds.
        check_free(settings.host, settings.port, reuse_port=settings.reuse_port)
        metrics = Metrics(__version__)
        redis_url, redis_words = await self._find_redis()
        embedded = await self._start_embedded(tasks)
        upstream = await self._start_upstream(embedded, metrics)
        link, state, limiter = await self._start_state(redis_url, tasks, metrics)
        tracer = make_tracer()
        self._stack.callback(tracer.close)
        if tracer.records:
            upstream.without_trunks()
        epoch = StoreEpoch(link, secrets.token_hex(8)) if link else None
        if epoch is not None:
            self._loop(tasks, epoch.keep_beating(), "redis epoch")
        idempotency = IdempotencyStore(state, epoch)
        audit = AuditLog(settings.audit_log)
        self._stack.callback(audit.close)
        residents = Residents()
        gateway = Gateway(
            settings=settings,
            services=audited(traced(upstream.services, tracer) if tracer.records else upstream.services, audit),
            upstream=upstream,
            authenticator=Authenticator(settings, state, Users(settings.users_file)),
            limiter=limiter,
            state=state,
            metrics=metrics,
            confirmations=ConfirmationStore(
                state, audit=audit, destructive_by_voice=settings.confirm_destructive_by_voice, epoch=epoch
            ),
            idempotency=idempotency,
            once=RunOnceStore(state, idempotency),
            tracer=tracer,
            residents=residents,
            handshakes=HandshakeMeter(settings.ws_handshakes_per_minute),
            overload=Overload(overload_limits(settings), lambda: len(residents)),
        )
        freed = freed_memory(resident_bytes)
        if freed is not None:
            self._loop(tasks, freed.keep_looking(), "freed memory")
        self._loop(tasks, limiter.keep_forgetting(), "rate limits")
        self._loop(tasks, gateway.confirmations.expire(), "confirmations")
        self._loop(tasks, gateway.confirmations.keep(), "questions")
        await self._start_realtime(gateway, tasks, link, epoch)
        self._start_rounds(gateway)
        port = await self._listen(gateway)
        await _first_health(upstream)
        down = {name: health.reason for name, health in upstream.health.services.items() if not health.up}
        if link is not None and not link.up:
            redis_words += ", does not answer: state stays in the process until it does"
        return Started(gateway, port, redis_words, tuple(embedded), down)

    # --- Redis ---

    async def _find_redis(self) -> tuple[str, str]:
        """The configured Redis, else one at the default address, else our own, else none."""
        url = self._settings.redis_url
        if self._settings.explicit_redis:
            return (url, "as configured") if url else ("", "none: in-process state, one replica only")
        from server.shared.redis_urls import answers  # noqa: PLC0415 - redis-py takes 5 MB, which others need not have

        if await answers(url, LOOK_FOR_REDIS_S):
            return url, url
        bundled = BundledRedis()
        self._stack.push_async_callback(bundled.stop)
        add_reload_hook(bundled.end_now)
        if self._settings.embedded and await bundled.start():
            return bundled.url, "bundled, on a socket of its own"
        return "", "none found: in-process state, one replica only"

    async def _start_state(
        self, url: str, tasks: asyncio.TaskGroup, metrics: Metrics
    ) -> tuple[RedisLink | None, State, RateLimiter]:
        if not url:
            return None, LocalState(), RateLimiter(None, on_decision=metrics.decision)
        from server.shared.redis_link import RedisLink  # noqa: PLC0415 - as above

        link = RedisLink(url, tasks, metrics.redis_error)
        self._stack.push_async_callback(link.close)
        state = RedisState(link)
        self._loop(tasks, link.probe(), "redis probe")
        self._loop(tasks, state.listen(), "redis news")
        self._loop(tasks, state.tell_late(), "redis told late")
        return link, state, RateLimiter(link, on_decision=metrics.decision)

    # --- services ---

    async def _start_embedded(self, tasks: asyncio.TaskGroup) -> dict[str, str]:
        wanted = embedded_addresses(self._settings)
        if not wanted:
            return {}
        environment = embedded_environment(self._settings, os.environ)
        secrets = embedded_secrets(self._settings)
        process = EmbeddedProcess(wanted, self._settings.embedded_dir, environment, secrets)
        self._stack.push_async_callback(process.stop)
        add_reload_hook(process.end_now)
        await process.start()
        self._loop(tasks, process.watch(), "embedded services")
        return process.addresses

    async def _start_upstream(self, embedded: dict[str, str], metrics: Metrics) -> Upstream:
        upstream = Upstream(endpoints(self._settings, embedded), metrics, breaker_policy(self._settings))
        await upstream.start()
        self._stack.push_async_callback(upstream.close)
        return upstream

    # --- sessions and HTTP ---

    async def _start_realtime(
        self, gateway: Gateway, tasks: asyncio.TaskGroup, link: RedisLink | None, epoch: StoreEpoch | None
    ) -> None:
        desk = GatewayDesk(gateway)
        life_s = 2 * self._settings.ws_resume_seconds
        store = SessionRecords(link, epoch, gateway.state, life_s) if link is not None and epoch is not None else None
        residents = gateway.residents
        observation = ReplicaObservation(gateway.state, link, self._clients, residents, gateway.loop_turns)
        provided = lane_services(gateway, observation)
        recorder = self._start_recordings()
        limits = session_limits(self._settings)
        sessions = Sessions(limits, provided, desk, self._clients, residents, store, recorder, gateway.wakes)
        if epoch is not None:
            epoch.on_news += [sessions.write_anew, gateway.confirmations.write_anew, gateway.state.write_anew]
        gateway.jarvis, gateway.session_tasks = sessions, self._clients
        gateway.openai = RealtimeSessions(
            provided,
            self._clients,
            residents,
            recorder,
            resume_s=self._settings.ws_resume_seconds,
            allowance=partial(allowance, gateway),
        )
        self._stack.push_async_callback(gateway.openai.close)
        gateway.twilio = Calls(provided, self._clients, residents)
        self._stack.push_async_callback(gateway.twilio.close)
        gateway.sessions = ResidentStats(residents, sessions.resumes)
        gateway.state.subscribe(SessionNews(residents, sessions, observation).on_news)
        self._stack.push_async_callback(sessions.close)
        self._loop(tasks, sessions.sweep(), "session sweep")

        def on_lag(lag_s: float) -> None:
            gateway.loop_lag_s = lag_s
            gateway.overload.measured(lag_s)

        self._loop(tasks, gateway.metrics.watch_loop(on_lag), "loop lag")

    def _start_rounds(self, gateway: Gateway) -> None:
        gateway.rounds = rounds = read_rounds(asyncio.get_running_loop())
        if rounds is not None:
            self._stack.callback(rounds.close)

    def _start_recordings(self) -> Recorder | None:
        if self._settings.record_dir is None:
            return None
        recordings = Recordings(self._settings.record_dir, self._settings.record_max_bytes)
        self._stack.push_async_callback(recordings.close)
        return recordings.record

    async def _listen(self, gateway: Gateway) -> int:
        host, port = self._settings.host, self._settings.port
        sockets = listening_sockets(host, port, reuse_port=self._settings.reuse_port)
        server = await start_server(make_app(gateway), sockets)
        self._stack.push_async_callback(server.close_all_connections)
        self._stack.callback(server.stop)
        gateway.stop_listening = server.stop
        return int(sockets[0].getsockname()[1])


async def _first_health(upstream: Upstream) -> None:
    try:
        async with asyncio.timeout(FIRST_HEALTH_S):
            await upstream.health.first_round()
    except TimeoutError:
        log.warning("not every service has answered its first health check")


def _on_signals() -> asyncio.Event:
    """The event that SIGTERM or SIGINT sets; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop
