"""Whose call a log line of a service is about: the caller's request id, session and trace (CONTRACT 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc.aio
from structlog.contextvars import bind_contextvars, clear_contextvars

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FIELDS = {"x-request-id": "request_id", "x-session-id": "session_id", "traceparent": "traceparent"}


class NameCaller(grpc.aio.ServerInterceptor):
    """Adds the service and its caller to every log line that a call writes, gRPC's own about a crash included.

    gRPC runs the interceptor and the method in one task, so what is bound here holds until the call has ended.
    """

    def __init__(self, service: str) -> None:
        self._service = service

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Bind the caller, then pass the call on."""
        sent = {FIELDS[key]: unquote(value) for key, value in handler_call_details.invocation_metadata if key in FIELDS}
        clear_contextvars()
        bind_contextvars(service=self._service, **sent)
        return await continuation(handler_call_details)
