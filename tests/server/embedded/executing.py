"""Runs an embedded service on a real gRPC server, and tasks on it.

async with serving(OsService(config)) as channel:
    run = await execute(OsExecutorStub(channel), "ls", {"args": ["-l"]})
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict

from protos import executor_pb2
from server.embedded.callers import RunningCalls
from server.embedded.service import EmbeddedConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.embedded.service import EmbeddedService

MAX_MESSAGE_BYTES = 16 * 1024 * 1024


def config(directory: Path, **options: str) -> EmbeddedConfig:
    return EmbeddedConfig(directory=directory, options=tuple(options.items()))


@asynccontextmanager
async def serving(service: EmbeddedService) -> AsyncIterator[grpc.aio.Channel]:
    """Started, on a free port, with a channel to it."""
    calls = RunningCalls()
    server = grpc.aio.server(interceptors=[calls])
    service.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await service.start()
    await server.start()
    try:
        options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            yield channel
    finally:
        await server.stop(0)
        await calls.ended()
        await service.stop()


@dataclass
class Run:
    """A task and what came of it."""

    progress: list[executor_pb2.Progress] = field(default_factory=list)
    status: str = ""
    message: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def output(self, stream: str) -> str:
        return "".join(told.data for told in self.progress if told.stream == stream)


def request(
    action: str,
    parameters: dict[str, Any] | None = None,
    *,
    user: str = "ann",
    session: str = "s1",
    timeout_ms: int = 0,
    asked_ms_ago: int = 0,
) -> executor_pb2.ExecuteRequest:
    asked = executor_pb2.ExecuteRequest(
        task_id="t1",
        action=action,
        user_id=user,
        session_id=session,
        timeout_ms=timeout_ms,
        asked_ms_ago=asked_ms_ago,
    )
    asked.parameters.update(parameters or {})
    return asked


async def execute(stub: Any, action: str, parameters: dict[str, Any] | None = None, **who: Any) -> Run:
    """To the end of the call. Raises AioRpcError."""
    run = Run()
    async for event in stub.Execute(request(action, parameters, **who)):
        assert run.status == "", "the result is the last event"
        if event.WhichOneof("event") == "progress":
            run.progress.append(event.progress)
        else:
            run.status, run.message = event.result.status, event.result.message
            run.values = MessageToDict(event.result.result)
    return run


async def refused(stub: Any, action: str, parameters: dict[str, Any] | None = None, **who: Any) -> tuple[str, str]:
    """Status and words of a task that does not come to a result."""
    try:
        run = await execute(stub, action, parameters, **who)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    pytest.fail(f"{action} was not refused: {run}")


async def listed(stub: Any) -> dict[str, dict[str, Any]]:
    """Each action's JSON Schema."""
    answer = await stub.ListActions(executor_pb2.ListActionsRequest())
    assert all(info.description for info in answer.actions)
    return {info.name: MessageToDict(info.parameters) for info in answer.actions}
