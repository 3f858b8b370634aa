"""The process of the embedded services: one gRPC server and port each, all on one event loop.

A service that cannot start still has its port: its health is NOT_SERVING, with the reason in the trailing metadata
`x-health-reason`, and all its calls end with UNAVAILABLE and that reason. The other services are unaffected. What may be there later,
as a file that another program has locked, is tried again.
"""

from __future__ import annotations

import asyncio
import errno
import importlib
import logging
import socket
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from protos import calls_pb2_grpc
from server.embedded.callers import NameCaller, RunningCalls
from server.embedded.calls import CallsServicer
from server.embedded.service import EmbeddedConfig, EmbeddedService, MissingPartError, NotYetError
from server.embedded.tracing import tracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

START_AGAIN_S = 5.0  # after a start that may succeed later
STOP_GRACE_S = 1.0  # for running calls; the gateway has drained before it stops its services
REASON_KEY, ENGINE_KEY, LANGUAGES_KEY = "x-health-reason", "x-health-engine", "x-health-languages"
IMPAIRED_KEY = "x-health-impaired"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # a full-page screenshot is some megabytes


class ReasonedHealth(health.aio.HealthServicer):  # type: ignore[misc] # grpc_health carries no types
    """grpc.health.v1, with the reason why a service is down, or its engine and languages."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = "it is still starting"
        self.engine = ""
        self.languages: tuple[str, ...] = ()
        self.impaired: Callable[[], str] = str  # what it cannot do, while it serves

    async def Check(  # noqa: N802 - gRPC's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """The standard answer, with the reason as metadata if there is one, else the engine, languages and what it cannot do."""
        working = {
            ENGINE_KEY: self.engine,
            LANGUAGES_KEY: ",".join(self.languages),
            IMPAIRED_KEY: self.impaired(),
        }
        told = {REASON_KEY: self.reason} if self.reason else working
        context.set_trailing_metadata(
            tuple((key, words.encode("ascii", "replace").decode("ascii")) for key, words in told.items() if words)
        )
        return await super().Check(request, context)


def _refusal(handler: grpc.RpcMethodHandler[Any, Any], reason: str) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler of the same kind that ends every call with UNAVAILABLE."""

    async def unary(_request: object, context: grpc.aio.ServicerContext[Any, Any]) -> object:
        await context.abort(grpc.StatusCode.UNAVAILABLE, reason)

    async def stream(_request: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(grpc.StatusCode.UNAVAILABLE, reason)

    kinds: dict[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler[Any, Any]]] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    shape = (bool(handler.request_streaming), bool(handler.response_streaming))
    return kinds[shape](stream if shape[1] else unary, handler.request_deserializer, handler.response_serializer)


class RefuseWhileDown(grpc.aio.ServerInterceptor):
    """Answers calls of a service that has not started."""

    def __init__(self, checks: ReasonedHealth) -> None:
        self._checks = checks

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Pass the call on, or refuse it with the reason."""
        handler = await continuation(handler_call_details)
        is_health = handler_call_details.method.startswith("/grpc.health.v1.")
        if handler is None or is_health or not self._checks.reason:
            return handler
        return _refusal(handler, self._checks.reason)


def is_taken(address: str) -> bool:
    """True if another process listens there. Checked first, because gRPC writes each failed bind to standard error."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, _, _, where = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC does: lingering sockets do not count
            probe.bind(where)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def service_class(name: str) -> type[EmbeddedService]:
    """The service of that name, from its folder. Imported on demand only: a missing package affects only its own service."""
    module = importlib.import_module(f"server.embedded.{name}.service")
    classes = (found for found in vars(module).values() if isinstance(found, type))
    return next(found for found in classes if issubclass(found, EmbeddedService) and vars(found).get("name") == name)


class HostedService:
    """One service on a port of its own."""

    def __init__(self, name: str, config: EmbeddedConfig) -> None:
        self.name = name
        self.address = ""
        self._config = config
        self._checks = ReasonedHealth()
        self._service: EmbeddedService | None = None
        self._server: grpc.aio.Server | None = None
        self._calls: CallsServicer | None = None
        self._running = RunningCalls()
        self._starting_again: asyncio.Task[None] | None = None

    @property
    def reason(self) -> str:
        """Why it is down; empty while it is serving."""
        return str(self._checks.reason)

    async def bind(self, address: str) -> None:
        """Listen on `address`, or on a free port of the same host if it is taken."""
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_permit_without_calls", 1),
            # a fixed window of 64 KiB: a service that hangs holds seconds of audio, not minutes
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ]
        interceptors = [*tracing(self.name), RefuseWhileDown(self._checks)]
        self._server = grpc.aio.server(
            interceptors=[self._running, NameCaller(self.name), *interceptors], options=options
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._checks, self._server)
        self._calls = CallsServicer(self.name, interceptors)  # a trunk names the caller of each of its streams itself
        calls_pb2_grpc.add_CallsServicer_to_server(self._calls, self._server)
        self._create(self._calls)
        host = address.rpartition(":")[0]
        try:
            port = self._server.add_insecure_port(f"{host}:0" if is_taken(address) else address)
        except RuntimeError:  # taken in the meantime
            port = self._server.add_insecure_port(f"{host}:0")
        self.address = f"{host}:{port}"
        await self._server.start()

    def _create(self, calls: CallsServicer) -> None:
        """Import and register the service; a missing package makes it down, without a crash."""
        try:
            service = service_class(self.name)(self._config)
        except ImportError as missing:
            self._checks.reason = (
                f"the Python package {missing.name} is missing: pip install 'jarvis-gateway[embedded]'"
            )
            return
        assert self._server is not None
        service.add_to(self._server)
        service.add_to(cast("grpc.aio.Server", calls.handlers))
        self._service = service
        self._checks.impaired = lambda: service.impaired

    async def start(self) -> None:
        """Start the service and set its health. If it may start later, that is tried in the background."""
        if await self._start_once():
            loop = asyncio.get_running_loop()
            self._starting_again = loop.create_task(self._start_again(), name=f"start of {self.name}")

    async def _start_again(self) -> None:
        again = True
        while again:
            await asyncio.sleep(START_AGAIN_S)
            again = await self._start_once()

    async def _start_once(self) -> bool:
        """True if it is to be tried again."""
        status, again = health_pb2.HealthCheckResponse.NOT_SERVING, False
        if self._service is not None:
            try:
                await self._service.start()
            except MissingPartError as missing:
                self._checks.reason, again = str(missing), isinstance(missing, NotYetError)
            except Exception as broken:
                log.exception("service did not start: %s", self.name)
                self._checks.reason = f"did not start: {type(broken).__name__}"
            else:
                self._checks.reason, self._checks.engine = "", self._service.engine
                self._checks.languages = self._service.languages
                status = health_pb2.HealthCheckResponse.SERVING
            await self._checks.set(self._service.full_name, status)
        await self._checks.set("", status)
        return again

    async def stop(self) -> None:
        """Refuse new calls, give running ones a moment, and release everything."""
        if self._starting_again is not None:
            self._starting_again.cancel()
            await asyncio.wait([self._starting_again])
        if self._calls is not None:
            self._calls.drain()
        if self._server is not None:
            await self._server.stop(STOP_GRACE_S)
            await self._running.ended()
        if self._service is not None:
            await self._service.stop()


class EmbeddedServices:
    """All requested services."""

    def __init__(self, addresses: dict[str, str], config: EmbeddedConfig) -> None:
        self._addresses = addresses
        self.services = [HostedService(name, config) for name in addresses]

    async def bind(self) -> dict[str, str]:
        """Open all ports; returns the actual address of each service."""
        await asyncio.gather(*(service.bind(self._addresses[service.name]) for service in self.services))
        return {service.name: service.address for service in self.services}

    async def start(self) -> dict[str, str]:
        """Start all services concurrently; returns the reason of each that is down."""
        await asyncio.gather(*(service.start() for service in self.services))
        return {service.name: service.reason for service in self.services if service.reason}

    async def stop(self) -> None:
        """Stop all services concurrently."""
        await asyncio.gather(*(service.stop() for service in self.services))
