"""Calls whose caller has gone, and work that outlives the call that began it."""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING, Any

import pytest
from structlog.contextvars import get_contextvars

from protos import executor_pb2
from server.embedded.callers import bind_caller, cancelled_without_caller, current_user, own_context
from server.embedded.os.service import OsService
from server.upstream.convert import to_struct
from tests.server.embedded.executing import config

if TYPE_CHECKING:
    from pathlib import Path

cygrpc = importlib.import_module("grpc._cython.cygrpc")
GONE = [cygrpc.ExecuteBatchError("SendMessage"), cygrpc._ServerStoppedError("Server already stopped.")]


@pytest.mark.parametrize("error", GONE)
async def test_grpcs_errors_are_a_cancel_also_out_of_a_group(error: Exception) -> None:
    async def fail() -> None:
        raise error

    async def fail_together() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(), name="send")
            group.create_task(fail(), name="read")

    for way in (fail, fail_together):
        with pytest.raises(asyncio.CancelledError), cancelled_without_caller():
            await way()


def test_a_fault_of_ours_beside_them_is_still_one() -> None:
    with pytest.raises(ExceptionGroup) as left, cancelled_without_caller():
        raise ExceptionGroup("both", [GONE[0], KeyError("ours")])
    assert [type(error) for error in left.value.exceptions] == [KeyError]


class GoneContext:
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def write(self, _message: Any) -> None:
        raise self._error


@pytest.mark.parametrize("action", [("pwd", []), ("echo", ["something"])])
@pytest.mark.parametrize("error", GONE)
async def test_a_task_whose_caller_has_gone_is_cancelled_without_a_traceback(
    action: tuple[str, list[str]], error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = OsService(config(tmp_path))
    await service.start()
    name, args = action
    request = executor_pb2.ExecuteRequest(action=name, parameters=to_struct({"args": args}))
    context: Any = GoneContext(error)
    with caplog.at_level(logging.INFO), pytest.raises(asyncio.CancelledError):
        await service._execute(request, context)
    assert caplog.records == []


async def test_work_that_outlives_a_call_names_the_service_and_no_caller() -> None:
    """In a task of its own, because the other tests' lines would name this caller too."""
    bind_caller("stt", [("x-request-id", "r-1"), ("x-user-id", "ann")])
    context = own_context("stt")
    assert context.run(get_contextvars) == {"service": "stt"}
    assert context.run(current_user) == ""
