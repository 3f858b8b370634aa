from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ERRORS, ApiError, from_service, problem, retry_after
from server.operations.validation import invalid
from server.strict_json import MAX_DEPTH, loads
from streaming import errors
from streaming.errors import CATALOGUE, is_retryable
from streaming.ports import ServiceError
from streaming.protocol.messages.base import MAX_SAFE_INTEGER as MAX_INTEGER

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


# --- strict JSON ---


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"{} {}", "Extra data"),
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e400]", "double precision"),
        (b"[" + b"9" * 5000 + b"]", "2^53"),
        (str([MAX_INTEGER + 1]).encode(), "2^53"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": {"b": 1, "b": 1}}', "twice"),
        (b'["\\ud800"]', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'["\xff"]', "UTF-8 at byte 2"),
        (b"[" * 100_000, "deeper"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "deeper"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "deeper"),
        (b"{'a': 1}", "line 1"),
        (b'["\x01"]', "control character"),
        (b"[01]", "line 1"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_others_would_read_differently_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        loads(body)
    assert (refused.value.status, refused.value.code) == (400, "MALFORMED_JSON")
    assert words in refused.value.detail


def test_the_edges_are_taken() -> None:
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    assert loads(b"[[],[],[],[]]" * 1) == [[], [], [], []]
    assert loads(str([MAX_INTEGER, -MAX_INTEGER, 1e308]).encode()) == [MAX_INTEGER, -MAX_INTEGER, 1e308]
    assert loads(b'"\\ud83d\\ude00"') == "😀"
    assert loads('{"grüße": null}') == {"grüße": None}
    wide = json.dumps([[n] for n in range(1000)])
    assert len(loads(wide)) == 1000


@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda text: text.encode()))
def test_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    try:
        value = loads(body)
    except ApiError as refused:
        code = refused.code
    else:
        code = ""
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert code in {"", "MALFORMED_JSON"}


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-MAX_INTEGER, MAX_INTEGER)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_what_is_json_everywhere_comes_through(value: object) -> None:
    assert loads(json.dumps(value)) == value
