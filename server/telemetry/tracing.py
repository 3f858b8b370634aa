"""Traces by OpenTelemetry, if the `otel` extra is installed and OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set.

Each service call is a span below the span of its request or, on a socket, of its channel and turn. Services continue the trace
from the `traceparent` in their metadata. Without OpenTelemetry the ids are still passed on, but nothing is recorded.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from server.telemetry.otel import make_provider
from server.telemetry.traceparent import next_traceparent
from streaming.ports import CallContext, Services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

SERVICE_NAME = "jarvis-gateway"


class Span:
    """One piece of work. `traceparent` is passed to the calls it makes."""

    def __init__(self, traceparent: str, span: Any = None, api: Any = None) -> None:
        self.traceparent = traceparent
        self._span = span
        self._api = api

    def end(self, error: BaseException | None = None) -> None:
        """End the span, with an error if the work failed. Only the first call counts."""
        span, self._span = self._span, None
        if span is None:
            return
        if error is not None:
            span.set_attribute("error.type", getattr(error, "code", type(error).__name__))
            span.set_status(self._api.StatusCode.ERROR)
        span.end()


class Tracer:
    """Starts spans. Span names contain no user data."""

    def __init__(self, provider: Any = None) -> None:
        self._provider = provider
        self._tracer = None
        if provider is not None:
            self._tracer = provider.get_tracer(SERVICE_NAME)
            self._api = importlib.import_module("opentelemetry.trace")
            propagation = importlib.import_module("opentelemetry.trace.propagation.tracecontext")
            self._propagator = propagation.TraceContextTextMapPropagator()

    @property
    def records(self) -> bool:
        """True if spans are recorded."""
        return self._tracer is not None

    def span(self, name: str, parent: str = "") -> Span:
        """Start a span below a traceparent, or a new trace."""
        if self._tracer is None:
            return Span(next_traceparent(parent))
        context = self._propagator.extract({"traceparent": parent} if parent else {})
        span = self._tracer.start_span(name, context=context)
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, self._api.set_span_in_context(span))
        return Span(carrier.get("traceparent", next_traceparent(parent)), span, self._api)

    def close(self) -> None:
        """Send the spans still queued."""
        if self._provider is not None:
            self._provider.shutdown()


def make_tracer() -> Tracer:
    """A tracer configured by OpenTelemetry's standard variables."""
    return Tracer(make_provider(SERVICE_NAME))


class _TracedStream:
    """A recognition or synthesis stream. The span ends when the stream has been read to its end."""

    def __init__(self, stream: Any, span: Span) -> None:
        self._stream = stream
        self._span = span

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def cancel(self) -> None:
        self._stream.cancel()
        self._span.end()

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        with _ending(self._span):
            async for event in self._stream:
                yield event


@contextlib.contextmanager
def _ending(span: Span) -> Any:
    try:
        yield
    except BaseException as error:
        span.end(None if isinstance(error, GeneratorExit) else error)
        raise
    span.end()


class _TracedClient:
    """A service client that starts a span for each call. The parent is in the CallContext among the arguments."""

    def __init__(self, inner: Any, name: str, tracer: Tracer) -> None:
        self._inner = inner
        self._name = name
        self._tracer = tracer

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._inner, method)
        traced = self._traced(method, call)
        setattr(self, method, traced)  # looked up once
        return traced

    def _begin(self, method: str, arguments: tuple[Any, ...]) -> tuple[Span, list[Any]]:
        given = next(argument for argument in arguments if isinstance(argument, CallContext))
        span = self._tracer.span(f"{self._name}.{method}", given.traceparent)
        below = replace(given, traceparent=span.traceparent)
        return span, [below if argument is given else argument for argument in arguments]

    def _traced(self, method: str, call: Callable[..., Any]) -> Callable[..., Any]:
        if method in {"recognize", "synthesize"} and self._name in {"stt", "tts"}:
            return functools.partial(self._stream, method, call)
        if method == "execute":
            return functools.partial(self._events, method, call)
        return functools.partial(self._unary, method, call)

    def _stream(self, method: str, call: Callable[..., Any], *arguments: Any) -> _TracedStream:
        span, below = self._begin(method, arguments)
        return _TracedStream(call(*below), span)

    async def _unary(self, method: str, call: Callable[..., Any], *arguments: Any) -> Any:
        span, below = self._begin(method, arguments)
        with _ending(span):
            return await call(*below)

    async def _events(self, method: str, call: Callable[..., Any], *arguments: Any) -> AsyncGenerator[Any, None]:
        span, below = self._begin(method, arguments)
        with _ending(span):
            async with contextlib.aclosing(call(*below)) as events:
                async for event in events:
                    yield event


def traced(services: Services, tracer: Tracer) -> Services:
    """The same services, with a span for each call."""
    return Services(
        **{field.name: _TracedClient(getattr(services, field.name), field.name, tracer) for field in fields(Services)}
    )
