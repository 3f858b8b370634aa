"""Intent recognition and memory as one real gRPC server, with handlers scripted by tests, which also serves CallMany.

async with UnaryService() as service, service.upstream() as upstream:
    service.on_recognize = handler        # async (request, context) -> response
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from protos import calls_pb2_grpc, intent_pb2, memory_pb2
from server.embedded.calls import CallsServicer
from server.services import SERVICES
from server.upstream import ServiceEndpoint, Upstream
from server.upstream.trunk import NEXT_INSTANCE_S
from streaming.ports import ServiceError
from tests.server.upstream.observing import CALLER
from tests.support.services import UNHURRIED_MS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from server.upstream import BreakerPolicy, CallObserver

    Recognize = Callable[[intent_pb2.RecognizeRequest, Any], Awaitable[intent_pb2.RecognizeResponse]]
    Delete = Callable[[memory_pb2.DeleteRequest, Any], Awaitable[memory_pb2.DeleteResponse]]

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
CALL_MANY = "/jarvis.calls.v1.Calls/CallMany"
RECOGNIZE = "/jarvis.intent.v1.IntentRecognizer/Recognize"
DELETE = "/jarvis.memory.v1.Memory/Delete"


async def echo(request: intent_pb2.RecognizeRequest, _context: Any) -> intent_pb2.RecognizeResponse:
    return intent_pb2.RecognizeResponse(intent=request.text)


async def delete(_request: memory_pb2.DeleteRequest, _context: Any) -> memory_pb2.DeleteResponse:
    return memory_pb2.DeleteResponse()


class _Methods(grpc.aio.ServerInterceptor):
    """Writes down which gRPC calls arrive."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        if not handler_call_details.method.startswith("/grpc.health"):
            self.seen.append(handler_call_details.method)
        return await continuation(handler_call_details)


def _serialized(answer: Any) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


class UnaryService:
    """One method of each of them, on one port. Handlers may also return bytes. `methods`: the gRPC calls that arrived."""

    def __init__(self, *, trunks: bool = True) -> None:
        self.on_recognize: Recognize = echo
        self.on_delete: Delete = delete
        self.address = ""
        self.servicer: CallsServicer | None = None
        self._trunks = trunks
        self._methods = _Methods()
        self._server: grpc.aio.Server | None = None

    @property
    def methods(self) -> list[str]:
        return self._methods.seen

    async def _recognize(self, request: intent_pb2.RecognizeRequest, context: Any) -> Any:
        return await self.on_recognize(request, context)

    async def _delete(self, request: memory_pb2.DeleteRequest, context: Any) -> Any:
        return await self.on_delete(request, context)

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        recognize = grpc.unary_unary_rpc_method_handler(
            self._recognize, intent_pb2.RecognizeRequest.FromString, _serialized
        )
        delete = grpc.unary_unary_rpc_method_handler(self._delete, memory_pb2.DeleteRequest.FromString, _serialized)
        return (
            grpc.method_handlers_generic_handler(SERVICES["intent"].full_name, {"Recognize": recognize}),
            grpc.method_handlers_generic_handler(SERVICES["memory"].full_name, {"Delete": delete}),
        )

    async def start(self) -> None:
        """Listen; on the same port as before, if it was stopped."""
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
        server = self._server = grpc.aio.server(interceptors=[self._methods], options=options)
        self.servicer = CallsServicer("intent", ())
        server.add_generic_rpc_handlers(self._handlers())
        self.servicer.handlers.add_generic_rpc_handlers(self._handlers())
        if self._trunks:
            calls_pb2_grpc.add_CallsServicer_to_server(self.servicer, server)
        checks = health.aio.HealthServicer()
        await checks.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        port = server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await server.start()

    async def stop(self, grace_s: float | None = None) -> None:
        """Cut all connections; with a grace, as an embedded service stops."""
        if self._server is not None:
            server, self._server = self._server, None
            if grace_s is not None and self.servicer is not None:
                self.servicer.drain()
            await server.stop(grace_s)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    def upstream(self, **settings: Any) -> Any:
        return upstream_of(self.address, **settings)


@asynccontextmanager
async def upstream_of(
    address: str,
    *,
    deadline_ms: int = UNHURRIED_MS,
    observer: CallObserver | None = None,
    policy: BreakerPolicy | None = None,
    trunked: bool = True,
) -> AsyncIterator[Upstream]:
    """The gateway's clients; `trunked`: both have a trunk."""
    here = {"intent", "memory"}
    endpoints = [ServiceEndpoint(name, address if name in here else "127.0.0.1:1", deadline_ms) for name in SERVICES]
    upstream = Upstream(endpoints, observer, policy)
    await upstream.start()
    try:
        if trunked:
            while not all(upstream.health.services[name].up for name in here):  # which opens trunks, too
                await asyncio.sleep(0.005)
            await until_trunked(upstream, *here)
        yield upstream
    finally:
        await upstream.close(0)


async def until_trunked(upstream: Upstream, *names: str, trunks: int = 1) -> None:
    """Wait until each has so many trunks, and looks for no more."""
    for name in names:
        found: Any = upstream._lines[name].trunks
        while len(ready(upstream, name)) != trunks or found._try_at < found._line.now() + NEXT_INSTANCE_S / 2:
            found._try_at = 0.0  # no pause between attempts
            found.pick()
            await asyncio.sleep(0.005)


def ready(upstream: Upstream, name: str) -> list[Any]:
    """The service's trunks that take calls."""
    trunks: Any = upstream._lines[name].trunks
    return [trunk for trunk in trunks._trunks if trunk.ready and not (trunk.over or trunk.retired)]


async def ask(upstream: Upstream, text: str = "hello", timeout_ms: int | None = None) -> str:
    caller = replace(CALLER, timeout_ms=timeout_ms)
    return (await upstream.services.intent.recognize(text, "", caller)).intent


async def refusal(upstream: Upstream, text: str = "hello", timeout_ms: int | None = None) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await ask(upstream, text, timeout_ms)
    return refused.value


async def overdue(upstream: Upstream, gate: Gate) -> ServiceError:
    """The refusal of a call that reached the service and ran out of time there, however long the way took."""
    timeout_ms = 100
    while True:
        refused = await refusal(upstream, "slow", timeout_ms)
        if gate.waiting.is_set():
            return refused
        timeout_ms *= 4


class Gate:
    """A handler that waits for `open` if the text is "slow"."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, request: intent_pb2.RecognizeRequest, _context: Any) -> intent_pb2.RecognizeResponse:
        if request.text == "slow":
            self.waiting.set()
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return intent_pb2.RecognizeResponse(intent=request.text)
