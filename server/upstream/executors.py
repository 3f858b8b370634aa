"""M7 browser, M8 OS, M9 search: one contract, three services."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Protocol

import grpc.aio

from protos import executor_pb2
from server.upstream.convert import asking, from_struct, to_struct
from server.upstream.metadata import call_metadata
from server.upstream.status import cancelled_from_outside, failure
from streaming.ports import ActionInfo, TaskProgress, TaskResult

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from server.upstream.call import Attempt, ServiceLine
    from streaming.ports import CallContext, TaskEvent

# The executor ends an overdue task in its own words; the call's deadline is a little later.
DEADLINE_GRACE_S = 0.5
TRAILER_WAIT_S = 0.25  # for the end of the call after its result; without it, the executor would see a cancelled task


class ExecutorStub(Protocol):
    """What the stubs of the three services share."""

    @property
    def Execute(self) -> grpc.aio.UnaryStreamMultiCallable[executor_pb2.ExecuteRequest, executor_pb2.ExecuteEvent]:  # noqa: N802 - the .proto's name
        """Run a task."""

    @property
    def ListActions(  # noqa: N802 - the .proto's name
        self,
    ) -> grpc.aio.UnaryUnaryMultiCallable[executor_pb2.ListActionsRequest, executor_pb2.ListActionsResponse]:
        """List the actions."""


class ExecutorClient:
    """Implements `streaming.ports.Executor`. A task is never sent twice."""

    def __init__(self, line: ServiceLine[ExecutorStub]) -> None:
        self._line = line

    async def execute(
        self, task_id: str, action: str, parameters: dict[str, Any], context: CallContext
    ) -> AsyncGenerator[TaskEvent, None]:
        """Run a task; ends after its TaskResult. Closing the generator cancels the task. Raises ServiceError."""
        with asking(self._line.name):
            request = self._request(task_id, action, parameters, context)
        limit_s = self._line.deadline_s(context) + DEADLINE_GRACE_S
        attempt = self._line.begin("Execute", context.user_id, limit_s - DEADLINE_GRACE_S / 2)
        call: grpc.aio.UnaryStreamCall[executor_pb2.ExecuteRequest, executor_pb2.ExecuteEvent] | None = None
        try:
            call = self._line.pool.pick().Execute(request, timeout=limit_s, metadata=call_metadata(context))
            attempt.call = call
            async with aclosing(self._events(call, attempt)) as events:
                async for event in events:
                    yield event
            attempt.succeeded()
        except asyncio.CancelledError as cancelled:
            if cancelled_from_outside():
                raise
            raise attempt.failed(cancelled) from None
        except Exception as error:  # noqa: BLE001 - as the port promises: ServiceError and nothing else
            raise attempt.failed(error) from None
        finally:
            if call is not None:
                call.cancel()
            attempt.abandoned()

    def _request(
        self, task_id: str, action: str, parameters: dict[str, Any], context: CallContext
    ) -> executor_pb2.ExecuteRequest:
        timeout_ms = 0 if context.timeout_ms is None else max(1, round(self._line.deadline_s(context) * 1000))
        return executor_pb2.ExecuteRequest(
            task_id=task_id,
            action=action,
            parameters=to_struct(parameters),
            session_id=context.session_id,
            user_id=context.user_id,
            timeout_ms=timeout_ms,
            asked_ms_ago=context.asked_ms_ago,
        )

    async def _events(
        self,
        call: grpc.aio.UnaryStreamCall[executor_pb2.ExecuteRequest, executor_pb2.ExecuteEvent],
        attempt: Attempt,
    ) -> AsyncGenerator[TaskEvent, None]:
        async for message in call:
            if message is None:  # grpc.aio returns None for what protobuf cannot parse
                raise ValueError("unreadable event")
            attempt.answered()
            match message.WhichOneof("event"):
                case "progress":
                    yield _progress(message.progress)
                case "result":
                    result = message.result
                    await _trailers(call)
                    yield TaskResult(result.status, from_struct(result.result), result.message)
                    return
        raise failure(self._line.name, "INTERNAL", "the task ended without a result")

    async def actions(self, context: CallContext) -> Sequence[ActionInfo]:
        """The executor's actions."""
        request = executor_pb2.ListActionsRequest()
        answer = await self._line.unary("ListActions", lambda stub: stub.ListActions, request, context, idempotent=True)
        return [ActionInfo(info.name, info.description, from_struct(info.parameters)) for info in answer.actions]


async def _trailers(call: grpc.aio.UnaryStreamCall[Any, Any]) -> None:
    """Wait for the end of the call. The result is final, whatever the rest of the call says."""
    with suppress(grpc.aio.AioRpcError, TimeoutError):
        async with asyncio.timeout(TRAILER_WAIT_S):
            await call.code()


def _progress(progress: executor_pb2.Progress) -> TaskProgress:
    percent = progress.percent if progress.HasField("percent") else None
    return TaskProgress(progress.message, percent, progress.stream, progress.data)
