"""A service's spans in its callers' traces, by OpenTelemetry's own interceptor."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from server.telemetry.otel import make_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

NOTHING: tuple[Any, ...] = ()


def tracing(name: str) -> list[grpc.aio.ServerInterceptor]:
    """The interceptors for traces, if these are configured: each call continues its caller's trace."""
    provider = make_provider(f"jarvis-{name}")
    if provider is None:
        return []
    instrumentation = importlib.import_module("opentelemetry.instrumentation.grpc")
    filters = importlib.import_module("opentelemetry.instrumentation.grpc.filters")
    return [
        instrumentation.aio_server_interceptor(
            tracer_provider=provider, filter_=filters.negate(filters.health_check())
        ),
        GeneratorsOnly(),
    ]


class GeneratorsOnly(grpc.aio.ServerInterceptor):
    """Turns methods that write their answers into generators, the only kind that OpenTelemetry's interceptor supports."""

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Wrap the handler if it writes its answers."""
        handler = await continuation(handler_call_details)
        behavior = handler and (handler.stream_stream or handler.unary_stream)
        if not behavior or inspect.isasyncgenfunction(behavior):
            return handler
        make = grpc.stream_stream_rpc_method_handler if handler.stream_stream else grpc.unary_stream_rpc_method_handler
        return make(_as_generator(behavior), handler.request_deserializer, handler.response_serializer)


def _as_generator(write: Callable[[Any, Any], Awaitable[None]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def generate(request: Any, context: Any) -> AsyncIterator[Any]:
        await write(request, context)
        for nothing in NOTHING:
            yield nothing

    return generate
