"""The log of the embedded services."""

from __future__ import annotations

import importlib
import logging

from server.embedded.__main__ import GRPC_SERVER, is_worth_a_line

cygrpc = importlib.import_module("grpc._cython.cygrpc")


def record(error: Exception) -> logging.LogRecord:
    return logging.LogRecord(GRPC_SERVER, logging.ERROR, "", 0, "raised", (), (type(error), error, None))


def test_a_gateway_that_dies_while_it_is_answered_is_no_failure_of_the_service() -> None:
    assert not is_worth_a_line(record(cygrpc.ExecuteBatchError("SendMessage")))


def test_any_other_failure_is_told() -> None:
    assert is_worth_a_line(record(ValueError("broken")))
    assert is_worth_a_line(logging.LogRecord(GRPC_SERVER, logging.WARNING, "", 0, "plain", (), None))
