"""CallMany: many unary calls in one gRPC call, each served like a call of its own, by the same handlers and interceptors."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import grpc
import grpc.aio

from protos import calls_pb2, calls_pb2_grpc
from server.embedded import trunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    Metadata = Iterable[tuple[str, str | bytes]]
    Found = Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]

log = logging.getLogger(__name__)

PART_BYTES = 64 * 1024  # of a response: more is sent in parts, and other calls' answers between them


class Metadatum(NamedTuple):
    """A key and its value. gRPC's own pairs have these names too, which interceptors use."""

    key: str
    value: str | bytes


@dataclass(frozen=True, slots=True)
class CallDetails(grpc.HandlerCallDetails):
    """What interceptors and handlers are told of a call."""

    method: str
    invocation_metadata: tuple[Metadatum, ...]


class CallContext(trunk.StreamContext):
    """A call's replacement for the servicer context of a separate one."""

    def __init__(self, metadata: Metadata, timeout_s: float, peer: str) -> None:
        self._metadata = tuple(Metadatum(key, value) for key, value in metadata)
        self._peer = peer
        self._due = asyncio.get_running_loop().time() + timeout_s
        self._code = grpc.StatusCode.OK
        self._details = ""
        self._trailing: Metadata = ()

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        """End this call with a status."""
        self._trailing = (*self._trailing, *trailing_metadata)
        await super().abort(code, details)

    def invocation_metadata(self) -> tuple[Metadatum, ...]:
        """What the caller sent."""
        return self._metadata

    def peer(self) -> str:
        """The caller's address."""
        return self._peer

    def time_remaining(self) -> float:
        """Seconds until the caller's deadline."""
        return max(0.0, self._due - asyncio.get_running_loop().time())

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Metadata that goes with the end of the call."""
        self._trailing = trailing_metadata

    def trailing_metadata(self) -> Metadata:
        """Metadata that goes with the end of the call."""
        return self._trailing

    def set_code(self, code: grpc.StatusCode) -> None:
        """The status, if the handler returns."""
        self._code = code

    def set_details(self, details: str) -> None:
        """The status' words, if the handler returns."""
        self._details = details

    def code(self) -> grpc.StatusCode:
        """The status that was set."""
        return self._code

    def details(self) -> str:
        """The words that were set."""
        return self._details


class Handlers:
    """The methods of a service, which is added to this as to a gRPC server, behind interceptors."""

    def __init__(self, interceptors: Sequence[grpc.aio.ServerInterceptor]) -> None:
        self._generic: list[grpc.GenericRpcHandler] = []
        find: Found = self._find
        for interceptor in reversed(interceptors):
            find = _behind(interceptor, find)
        self.find = find

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Called by the service's `add_to`."""
        self._generic += handlers

    def add_registered_method_handlers(self, _service: str, _handlers: object) -> None:
        """Called by generated code, with the handlers of the call before."""

    async def _find(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        found = (generic.service(details) for generic in self._generic)
        return next((handler for handler in found if handler is not None), None)


def _behind(interceptor: grpc.aio.ServerInterceptor, find: Found) -> Found:
    async def intercepted(details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return await interceptor.intercept_service(find, details)

    return intercepted


class CallManyCall(trunk.TrunkCall):
    """One gRPC call with unary calls."""

    def __init__(self, service: str, instance: str, find: Found, peer: str) -> None:
        super().__init__(calls_pb2, service, instance)
        self._peer = peer
        self._find = find

    def drain(self) -> None:
        """Ask the caller for no more calls."""
        self.put(trunk.ServedStream(0), draining=True)

    async def run(self, stream: trunk.ServedStream) -> None:
        request = await stream.requests.get()
        assert request is not None, "a stream begins with its request"
        context = CallContext(stream.metadata.items(), request.timeout_ms / 1000, self._peer)
        limit = asyncio.timeout(request.timeout_ms / 1000)
        try:
            async with limit:
                answer = await self._answer(request, context)
        except trunk.AbortError as aborted:
            self._fail(stream, aborted.code, str(aborted), context)
        except TimeoutError as late:
            if limit.expired():
                self._fail(stream, grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", context)
            else:
                self._crashed(stream, request, late, context)
        except Exception as crash:  # noqa: BLE001 - as gRPC does
            self._crashed(stream, request, crash, context)
        else:
            if context.code() is grpc.StatusCode.OK:
                await self._send(stream, answer)
            else:
                self._fail(stream, context.code(), context.details(), context)

    async def _answer(self, request: calls_pb2.Request, context: CallContext) -> bytes:
        handler = await self._find(CallDetails(request.method, context.invocation_metadata()))
        if handler is None or handler.unary_unary is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        method: Any = handler  # its parts are all optional, as in gRPC's other kinds of methods
        told: bytes = method.response_serializer(
            await method.unary_unary(method.request_deserializer(request.message), context)
        )
        return told

    def _crashed(
        self, stream: trunk.ServedStream, request: calls_pb2.Request, crash: Exception, context: CallContext
    ) -> None:
        log.error("a call failed: %s", request.method, exc_info=crash)
        self._fail(stream, grpc.StatusCode.UNKNOWN, f"Unexpected {type(crash)}", context)

    def _fail(self, stream: trunk.ServedStream, code: grpc.StatusCode, words: str, context: CallContext) -> None:
        end = calls_pb2.StreamEnd(
            code=code.value[0], message=words, trailing={key: str(value) for key, value in context.trailing_metadata()}
        )
        self.put(stream, end=end)

    async def _send(self, stream: trunk.ServedStream, answer: bytes) -> None:
        at = 0
        while len(answer) - at > PART_BYTES:
            self.put(stream, part=answer[at : at + PART_BYTES])
            at += PART_BYTES
            await self.sent()
        self.put(stream, response=answer[at:] if at else answer)

    def pause_s(self) -> float:
        """None: how many calls are under way says nothing about how often they are answered. What is ready leaves together."""
        return 0.0

    def ended(self, stream: trunk.ServedStream, code: grpc.StatusCode, message: str) -> None:
        """Nothing more: `run` has put the last item."""


class CallsServicer(calls_pb2_grpc.CallsServicer):
    """Serves CallMany, for one service. Add the service to `handlers` as to the gRPC server."""

    def __init__(self, service: str, interceptors: Sequence[grpc.aio.ServerInterceptor]) -> None:
        self._service = service
        self._instance = secrets.token_hex(8)
        self._calls: set[CallManyCall] = set()
        self.handlers = Handlers(interceptors)

    async def CallMany(  # type: ignore[override] # the stub also allows a generator  # noqa: N802 - gRPC's name
        self,
        request_iterator: AsyncIterator[calls_pb2.TrunkRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """Serve until the caller leaves."""
        call = CallManyCall(self._service, self._instance, self.handlers.find, context.peer())
        self._calls.add(call)
        try:
            await call.serve(request_iterator, context)
        finally:
            self._calls.discard(call)

    def drain(self) -> None:
        """The server is about to stop: let callers make new calls elsewhere."""
        for call in self._calls:
            call.drain()
