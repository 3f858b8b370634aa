from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest

from server.upstream.status import MAX_MESSAGE_CHARS, clean_text, service_error
from streaming.ports import ServiceError


def rpc_error(code: grpc.StatusCode, details: str, **trailing: str) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata(*((key.replace("_", "-"), value) for key, value in trailing.items()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details, "debug")


@pytest.mark.parametrize(
    "code", sorted(set(grpc.StatusCode) - {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}, key=str)
)
def test_every_other_status_keeps_its_name(code: grpc.StatusCode) -> None:
    told = service_error("stt", rpc_error(code, "words"))
    assert (told.code, told.service) == (code.name, "stt")
    assert told.retryable == (code.name in {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED"})


def test_a_service_that_ends_itself_cancels_what_it_ran() -> None:
    """A cancel of ours never comes as a status: gRPC raises CancelledError for it."""
    told = service_error("os", rpc_error(grpc.StatusCode.CANCELLED, "CANCELLED"))
    assert (told.code, told.message, told.retryable) == ("UNAVAILABLE", "the command executor cannot be reached", True)


@pytest.mark.parametrize(
    ("details", "nothing_ran"),
    [
        ("connections to all backends failing; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect", True),
        ("failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused", True),
        ("errors resolving os.internal:5: [field:hostname lookup error: Domain name not found]", True),
        ("Stream removed (Socket closed)", False),
        ("Cancelling all calls", False),
        ("it failed to connect to all addresses", False),
    ],
)
def test_a_call_that_found_no_connection_ran_nothing(details: str, nothing_ran: bool) -> None:
    assert service_error("os", rpc_error(grpc.StatusCode.UNAVAILABLE, details)).nothing_ran is nothing_ran


def test_the_services_own_words_are_shown() -> None:
    told = service_error("browser", rpc_error(grpc.StatusCode.UNAVAILABLE, "install Chromium"))
    assert told.message == "install Chromium"


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; ipv4:10.1.2.3:50051"),
        (grpc.StatusCode.UNAVAILABLE, "DNS resolution failed for stt.internal:50051"),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed"),
        (grpc.StatusCode.UNAVAILABLE, "recvmsg:Connection reset by peer"),
        (grpc.StatusCode.UNKNOWN, "Unexpected <class 'KeyError'>: 'secret words'"),
        (grpc.StatusCode.INTERNAL, 'Traceback (most recent call last): File "x.py"'),
        (grpc.StatusCode.INTERNAL, "java.lang.NullPointerException at a.b.C.d(C.java:1)"),
        (grpc.StatusCode.INTERNAL, ""),
    ],
)
def test_addresses_and_stack_traces_are_not(code: grpc.StatusCode, details: str) -> None:
    told = service_error("stt", rpc_error(code, details))
    assert told.message in {"speech recognition cannot be reached", "speech recognition failed"}


def test_text_is_one_bounded_line() -> None:
    assert clean_text(" a\r\n\tb\x00\x1b[31mc\u0085d ") == "a b [31mc d"
    long = clean_text("x" * 10_000)
    assert len(long) == MAX_MESSAGE_CHARS
    assert long.endswith("…")


@pytest.mark.parametrize(
    ("trailing", "expected"),
    [
        ({"grpc_retry_pushback_ms": "250"}, 250),
        ({"retry_after": "3"}, 3_000),
        ({"retry_after": "99999999999999"}, 3_600_000),
        ({"retry_after": "soon"}, None),
        ({"grpc_retry_pushback_ms": "-1"}, None),
        ({}, None),
    ],
)
def test_the_services_wish_to_be_left_alone_is_passed_on(trailing: dict[str, str], expected: int | None) -> None:
    told = service_error("stt", rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", **trailing))
    assert told.retry_after_ms == expected


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (asyncio.CancelledError(), "UNAVAILABLE"),
        (grpc.aio.UsageError("Channel is closed."), "UNAVAILABLE"),
        (asyncio.InvalidStateError(), "UNAVAILABLE"),
        (KeyError("x"), "INTERNAL"),
    ],
)
def test_whatever_else_a_call_raises_has_a_code(error: BaseException, code: str) -> None:
    assert service_error("stt", error).code == code


def test_a_service_error_passes_unchanged() -> None:
    told = ServiceError("NOT_FOUND", "x", service="memory")
    assert service_error("memory", told) is told
