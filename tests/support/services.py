"""The nine services as real gRPC servers on real sockets, with answers and failures scripted by tests.

async with FakeServices() as fakes, fakes.upstream() as upstream:
    fakes.intent.on("Recognize", lambda request: ...)     # an answer per request
    fakes.intent.faults.append(Fault(UNAVAILABLE))         # the next call fails
    await fakes.intent.stop()                              # the port is closed
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from server.services import SERVICES
from server.upstream import BreakerPolicy, ServiceEndpoint, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from server.upstream import CallObserver, TlsFiles

    Handler = Callable[["Call"], Awaitable[None]]


UNHURRIED_MS = 60_000  # a deadline that only a hang exceeds, however busy the machine is


@dataclass(frozen=True)
class Fault:
    """A failure of one call, before its handler runs."""

    code: grpc.StatusCode | None = None  # end with this status
    details: str = "scripted"
    trailing: tuple[tuple[str, str], ...] = ()
    hang: bool = False  # never answer
    raw: bytes | None = None  # answer with these bytes, valid or not


class Call:
    """One call at the server: reads requests, writes messages, aborts. Kept in `FakeService.calls`."""

    def __init__(self, method: str, context: grpc.aio.ServicerContext[Any, Any], parse: Callable[[bytes], Any]) -> None:
        self.method = method
        self.context = context
        self._parse = parse
        self.metadata = dict(context.invocation_metadata() or ())
        self.peer = context.peer()  # gRPC crashes if asked after the call
        self.time_remaining_s: float = context.time_remaining()
        self.requests: list[Any] = []
        self.half_closed = asyncio.Event()
        self.ended = asyncio.Event()
        self.cancelled = False
        self.n_written = 0

    async def read(self) -> Any:
        """The next request, or None after half-close."""
        raw: Any = await self.context.read()
        if raw is grpc.aio.EOF:
            self.half_closed.set()
            return None
        request = self._parse(raw)
        self.requests.append(request)
        return request

    async def write(self, *messages: Any) -> None:
        for message in messages:
            try:
                await self.context.write(message.SerializeToString())
            except grpc.aio.BaseError:
                self.cancelled = True  # a write may notice it before the context does
                raise
            self.n_written += 1

    async def abort(self, code: grpc.StatusCode, details: str = "scripted") -> None:
        await self.context.abort(code, details)


class FakeService(grpc.GenericRpcHandler):
    """One service on its own port. Its health is `health_status`, with `health_reason` in the trailing metadata."""

    def __init__(self, name: str, methods: dict[str, Callable[[bytes], Any]]) -> None:
        self.name = name
        self.calls: list[Call] = []
        self.arrived = asyncio.Condition()
        self.faults: deque[Fault] = deque()
        self.handlers: dict[str, Handler] = {}
        self.address = ""
        self._methods = methods
        self._server: grpc.aio.Server | None = None
        self.checks = ScriptedHealth()

    def on(self, method: str, handler: Handler) -> None:
        """Answer a method with a coroutine function that takes the Call."""
        self.handlers[method] = handler

    def answer(self, method: str, *messages: Any) -> None:
        """Answer every call of a method: read one request, write these messages."""

        async def handler(call: Call) -> None:
            await call.read()
            await call.write(*messages)

        self.on(method, handler)

    async def call(self, index: int = 0) -> Call:
        """The call of that index, once it has arrived."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.calls) > index)
        return self.calls[index]

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        service, _, method = handler_call_details.method.lstrip("/").partition("/")
        if service != SERVICES[self.name].full_name or method not in self._methods:
            return None
        if method in {"RecognizeMany", "SynthesizeMany"} and method not in self.handlers:
            return None  # services without trunks are what most tests are about

        async def handle(_requests: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
            await self._handle(method, context)

        return grpc.stream_stream_rpc_method_handler(handle)

    async def _handle(self, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        call = Call(method, context, self._methods[method])
        async with self.arrived:
            self.calls.append(call)
            self.arrived.notify_all()
        try:
            if self.faults:
                await self._fail(call, self.faults.popleft())
            else:
                await self.handlers[method](call)
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        finally:
            call.cancelled = call.cancelled or context.cancelled()
            call.ended.set()

    async def _fail(self, call: Call, fault: Fault) -> None:
        if fault.hang:
            await asyncio.Event().wait()
        if fault.raw is not None:
            await call.read()
            await call.context.write(fault.raw)
        elif fault.code is not None:
            await call.context.abort(fault.code, fault.details, fault.trailing)

    async def start(self, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None) -> None:
        """Listen; on the same port as before, if it was stopped."""
        address = self.address or address
        # 64 KiB windows
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.http2.bdp_probe", 0)])
        self._server.add_generic_rpc_handlers((self,))
        health_pb2_grpc.add_HealthServicer_to_server(self.checks, self._server)
        if credentials is not None:
            port = self._server.add_secure_port(address, credentials)
        else:
            port = self._server.add_insecure_port(address)
        self.address = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
        await self._server.start()

    async def stop(self) -> None:
        """Cut all connections and close the port."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None


class ScriptedHealth(health.aio.HealthServicer):  # type: ignore[misc] # grpc_health carries no types
    """A scripted grpc.health.v1."""

    def __init__(self) -> None:
        super().__init__()
        self.status: int | None = health_pb2.HealthCheckResponse.SERVING
        self.error: grpc.StatusCode | None = None  # returned instead of a status
        self.reason = ""
        self.engine = ""
        self.impaired = ""
        self.hang = False
        self.asked: list[str] = []

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        self.asked.append(request.service)
        if self.hang:
            await asyncio.Event().wait()
        if self.reason:
            context.set_trailing_metadata((("x-health-reason", self.reason),))
        elif self.engine:
            context.set_trailing_metadata((("x-health-engine", self.engine),))
        elif self.impaired:
            context.set_trailing_metadata((("x-health-impaired", self.impaired),))
        if self.error is not None and request.service:
            await context.abort(self.error, "scripted")
        return health_pb2.HealthCheckResponse(status=self.status)


def _methods() -> dict[str, dict[str, Callable[[bytes], Any]]]:
    from protos import executor_pb2, intent_pb2, memory_pb2, planner_pb2, safety_pb2, stt_pb2, tts_pb2

    executor: dict[str, Callable[[bytes], Any]] = {
        "Execute": executor_pb2.ExecuteRequest.FromString,
        "ListActions": executor_pb2.ListActionsRequest.FromString,
    }
    return {
        "stt": {
            "Recognize": stt_pb2.RecognizeRequest.FromString,
            "RecognizeMany": stt_pb2.TrunkRequest.FromString,
        },
        "tts": {
            "Synthesize": tts_pb2.SynthesizeRequest.FromString,
            "SynthesizeMany": tts_pb2.TrunkRequest.FromString,
            "ListVoices": tts_pb2.ListVoicesRequest.FromString,
        },
        "intent": {
            "Recognize": intent_pb2.RecognizeRequest.FromString,
            "ListIntents": intent_pb2.ListIntentsRequest.FromString,
        },
        "planner": {
            "Plan": planner_pb2.PlanRequest.FromString,
            "Compose": planner_pb2.ComposeRequest.FromString,
            "Converse": planner_pb2.ConverseRequest.FromString,
        },
        "safety": {"Check": safety_pb2.CheckRequest.FromString},
        "browser": executor,
        "os": executor,
        "search": executor,
        "memory": {
            "Store": memory_pb2.StoreRequest.FromString,
            "Retrieve": memory_pb2.RetrieveRequest.FromString,
            "Delete": memory_pb2.DeleteRequest.FromString,
            "Search": memory_pb2.SearchRequest.FromString,
            "PutTurn": memory_pb2.PutTurnRequest.FromString,
            "Context": memory_pb2.ContextRequest.FromString,
        },
    }


class FakeServices:
    """All nine services, or the named ones; the others are at a port without a listener."""

    def __init__(self, *names: str) -> None:
        methods = _methods()
        self.services = {name: FakeService(name, methods[name]) for name in methods}
        self._started = names or tuple(methods)
        self.stt, self.tts, self.intent = (self.services[name] for name in ("stt", "tts", "intent"))
        self.planner, self.safety, self.memory = (self.services[name] for name in ("planner", "safety", "memory"))
        self.browser, self.os, self.search = (self.services[name] for name in ("browser", "os", "search"))

    async def __aenter__(self) -> Self:
        for name in self._started:
            await self.services[name].start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.gather(*(service.stop() for service in self.services.values()))

    def endpoints(
        self, deadline_ms: int = UNHURRIED_MS, *, tls: TlsFiles | None = None, pool_size: int = 1
    ) -> Sequence[ServiceEndpoint]:
        """The endpoints of the services."""
        return [
            ServiceEndpoint(name, service.address or "127.0.0.1:1", deadline_ms, tls, pool_size)
            for name, service in self.services.items()
        ]

    @asynccontextmanager
    async def upstream(
        self,
        deadline_ms: int = UNHURRIED_MS,
        observer: CallObserver | None = None,
        policy: BreakerPolicy | None = None,
        **endpoint: Any,
    ) -> AsyncIterator[Upstream]:
        """The gateway's clients for the services: started, and closed without grace at the end."""
        upstream = Upstream(self.endpoints(deadline_ms, **endpoint), observer, policy)
        await upstream.start()
        try:
            yield upstream
        finally:
            await upstream.close(0)
