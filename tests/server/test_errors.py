from __future__ import annotations

import ast
from pathlib import Path

import pytest

from server.errors import ERRORS, ApiError, from_service, problem, retry_after
from server.operations.validation import invalid
from streaming import errors
from streaming.errors import CATALOGUE, is_retryable
from streaming.ports import ServiceError

# https://github.com/grpc-ecosystem/grpc-gateway runtime/errors.go HTTPStatusFromCode
GRPC_GATEWAY = {
    "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401, "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400, "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500,
    "UNAVAILABLE": 503, "DATA_LOSS": 500,
}  # fmt: skip


@pytest.mark.parametrize(("code", "status"), [*GRPC_GATEWAY.items(), ("CIRCUIT_OPEN", 503), ("NEVER_HEARD_OF", 500)])
def test_services_errors_are_mapped_as_grpc_gateway_does(code: str, status: int) -> None:
    error = from_service(ServiceError(code, "why", service="stt"))
    assert error.status == status
    assert "why" in error.detail
    assert ("Retry-After" in error.headers) == (status == 503)


@pytest.mark.parametrize(("wait_ms", "header"), [(1, "1"), (1000, "1"), (1001, "2"), (30_000, "30"), (None, "1")])
def test_an_open_circuit_says_when_to_come_back(wait_ms: int | None, header: str) -> None:
    error = from_service(ServiceError("CIRCUIT_OPEN", "resting", service="tts", retry_after_ms=wait_ms))
    assert (error.code, error.headers) == ("CIRCUIT_OPEN", {"Retry-After": header})
    assert retry_after(0) == "1"


def test_a_busy_service_s_hint_is_passed_on() -> None:
    error = from_service(ServiceError("RESOURCE_EXHAUSTED", "full", service="tts", retry_after_ms=2500))
    assert error.headers == {"Retry-After": "3"}


def test_the_problem_document_has_every_member() -> None:
    error = ApiError("CONFIRMATION_REQUIRED", "really?", extra={"confirmation_id": "c1"})
    assert problem(error, "/api/v1/x", "r1") == {
        "type": "/docs#CONFIRMATION_REQUIRED",
        "title": ERRORS["CONFIRMATION_REQUIRED"].title,
        "status": 409,
        "detail": "really?",
        "instance": "/api/v1/x",
        "code": "CONFIRMATION_REQUIRED",
        "request_id": "r1",
        "confirmation_id": "c1",
    }


def test_a_wrong_field_is_pointed_at() -> None:
    document = problem(invalid((("body", "a/b", 0, "m~n"), "no")), "/x", "r")
    assert document["status"] == 422
    assert document["errors"] == [{"pointer": "#/body/a~1b/0/m~0n", "detail": "no"}]


def test_the_catalogue_is_complete() -> None:
    for code, kind in ERRORS.items():
        assert code == code.upper()
        assert 400 <= kind.status < 600
        assert kind.title
        assert kind.meaning.endswith(".")
    with pytest.raises(KeyError):
        ApiError("NO_SUCH_CODE")


def test_every_code_is_told_by_somebody() -> None:
    catalogue = Path(errors.__file__)
    house = catalogue.parents[1]
    sources = [path for part in ("server", "handlers", "streaming") for path in (house / part).rglob("*.py")]
    said = {
        node.value
        for path in sources
        if path != catalogue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert CATALOGUE.keys() - said == set()


def test_what_may_be_sent_again_is_told_once_for_http_and_socket() -> None:
    again = {code for code in CATALOGUE if is_retryable(code)}
    assert {code for code, kind in ERRORS.items() if kind.status in {429, 503, 504}} <= again
    assert not is_retryable("NEVER_HEARD_OF")
