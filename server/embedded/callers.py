"""Who calls a service (CONTRACT 1): for log lines the request id, session and trace; for fair shares the user.

And how a call ends whose caller or server has gone.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc.aio
from structlog.contextvars import bind_contextvars, clear_contextvars

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

FIELDS = {"x-request-id": "request_id", "x-session-id": "session_id", "traceparent": "traceparent"}
USER = "x-user-id"

_user: ContextVar[str] = ContextVar("user", default="")


def current_user() -> str:
    """The user for whom this task works; empty if its caller named none."""
    return _user.get()


def bind_caller(service: str, metadata: Iterable[tuple[str, str | bytes]]) -> None:
    """Bind the caller that the metadata of a call, or of a trunk's stream, names: for the rest of this task."""
    sent = {key: unquote(value) for key, value in metadata if isinstance(value, str)}
    clear_contextvars()
    bind_contextvars(service=service, **{FIELDS[key]: value for key, value in sent.items() if key in FIELDS})
    _user.set(sent.get(USER, ""))


def own_context(service: str) -> Context:
    """For a task that outlives the call that starts it: its log lines name the service, and no caller."""
    context = Context()
    context.run(bind_contextvars, service=service)
    return context


@contextmanager
def cancelled_without_caller() -> Iterator[None]:
    """End a call that can neither read nor send any more by a cancel, as gRPC does itself. It would log any other end with a traceback.

    Its caller has died or left, or this server is ending. gRPC's errors then come out of task groups, too.
    """
    over = False
    try:
        yield
    except* grpc.aio.BaseError:
        over = True
    if over:
        raise asyncio.CancelledError


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
        bind_caller(self._service, handler_call_details.invocation_metadata)
        return await continuation(handler_call_details)


class RunningCalls(grpc.aio.ServerInterceptor):
    """Knows the tasks of running calls. A cancelled one goes on after its server has stopped: it may have processes to end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Remember the task, then pass the call on. gRPC runs both in it."""
        task = asyncio.current_task()
        assert task is not None, "gRPC calls this in the call's task"
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await continuation(handler_call_details)

    async def ended(self) -> None:
        """Wait for the end of all, once the server has stopped."""
        if self._tasks:
            await asyncio.wait(self._tasks)
