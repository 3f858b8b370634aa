"""The log of the embedded services."""

from __future__ import annotations

import importlib
import io
import json
import logging
from typing import Any

import grpc.aio
import pytest

from protos import safety_pb2, safety_pb2_grpc
from server.embedded.__main__ import GRPC_SERVER, is_worth_a_line
from server.embedded.callers import NameCaller
from server.telemetry import log
from server.upstream.metadata import call_metadata
from streaming.ports import CallContext

cygrpc = importlib.import_module("grpc._cython.cygrpc")


def record(error: Exception) -> logging.LogRecord:
    return logging.LogRecord(GRPC_SERVER, logging.ERROR, "", 0, "raised", (), (type(error), error, None))


def test_a_gateway_that_dies_while_it_is_answered_is_no_failure_of_the_service() -> None:
    assert not is_worth_a_line(record(cygrpc.ExecuteBatchError("SendMessage")))


def test_any_other_failure_is_told() -> None:
    assert is_worth_a_line(record(ValueError("broken")))
    assert is_worth_a_line(logging.LogRecord(GRPC_SERVER, logging.WARNING, "", 0, "plain", (), None))


class Broken(safety_pb2_grpc.SafetyServicer):
    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        raise ValueError("broken")


async def test_a_services_lines_name_the_request_that_the_console_shows() -> None:
    lines = io.StringIO()
    log.configure("WARNING", "json", lines)
    server = grpc.aio.server(interceptors=[NameCaller("safety")])
    safety_pb2_grpc.add_SafetyServicer_to_server(Broken(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    context = CallContext(user_id="ann", request_id="r-1", session_id="séance")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await safety_pb2_grpc.SafetyStub(channel).Check(
                    safety_pb2.CheckRequest(), metadata=call_metadata(context)
                )
    finally:
        await server.stop(None)
    [line] = [json.loads(each) for each in lines.getvalue().splitlines()]
    assert "broken" in line["exception"]
    assert (line["service"], line["request_id"], line["session_id"]) == ("safety", "r-1", "séance")
    assert "ann" not in lines.getvalue()
