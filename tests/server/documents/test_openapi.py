"""The OpenAPI document: valid, complete, and consistent with the table of operations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from server.documents.openapi import openapi_document
from server.operations import OPERATIONS, Access
from server.operations.operation import Streaming
from server.operations.refusals import refusals_of
from tests.support.documents import references, resolve

DOCUMENT: dict[str, Any] = json.loads(json.dumps(openapi_document()))
BY_ID = {
    described["operationId"]: (path, method, described)
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
}


def test_it_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        resolve(DOCUMENT, reference)


def _status(operation: Any, status: int) -> str:
    """OpenAI's API has 400 for what is 422 elsewhere."""
    return "400" if operation.of_openai and status == 422 else str(status)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_is_told_whole(operation: Any) -> None:
    path, method, described = BY_ID[operation.name]
    assert (path, method) == (operation.path, operation.method.lower())
    assert described["summary"]
    assert described["security"] == ([] if operation.access is Access.PUBLIC else [{"bearer": []}])
    assert ("requestBody" in described) is operation.takes_body
    statuses = {_status(operation, status) for status in refusals_of(operation)} | {str(operation.status)}
    assert statuses <= described["responses"].keys()
    named = [parameter.get("name") for parameter in described["parameters"] if parameter.get("in") == "path"]
    assert named == list(operation.path_parameters)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_error_is_a_problem_with_an_example_of_each_code(operation: Any) -> None:
    _, _, described = BY_ID[operation.name]
    for status, codes in refusals_of(operation).items():
        if operation.of_openai:
            answer = described["responses"][_status(operation, status)]["content"]["application/json"]
            assert answer["examples"].keys() >= set(codes)
            assert all(example["value"].keys() == {"error"} for example in answer["examples"].values())
            continue
        content = described["responses"][str(status)]["content"]["application/problem+json"]
        assert content["examples"].keys() == set(codes)
        for code, example in content["examples"].items():
            assert (example["value"]["code"], example["value"]["status"]) == (code, status)
            assert code in described["responses"][str(status)]["description"]


def test_path_fields_are_not_in_the_body_too() -> None:
    body = DOCUMENT["components"]["schemas"]["ConfirmRequest"]
    assert body["properties"].keys() == {"approve", "action_hash"}
    assert body["required"] == ["approve"]


def test_examples_of_requests_are_valid_requests() -> None:
    shown = 0
    for operation in OPERATIONS:
        if operation.takes_body and operation.streaming is not Streaming.AUDIO_IN and not operation.path_parameters:
            content = BY_ID[operation.name][2]["requestBody"]["content"]["application/json"]
            if "example" in content:
                operation.request.model_validate(content["example"])
                shown += 1
    assert shown >= 9


def test_limits_ids_and_retries_are_among_the_headers() -> None:
    responses = BY_ID["agent.intent"][2]["responses"]
    assert {"X-Request-ID", "X-RateLimit-Limit", "RateLimit", "RateLimit-Policy"} <= responses["200"]["headers"].keys()
    assert "Retry-After" in responses["429"]["headers"]
    assert "Retry-After" in responses["503"]["headers"]
    assert "X-RateLimit-Limit" not in BY_ID["ops.live"][2]["responses"]["200"]["headers"]


def test_streams_are_told() -> None:
    assert "text/event-stream" in BY_ID["executor.search"][2]["responses"]["200"]["content"]
    assert {"audio/wav", "audio/mpeg", "audio/ogg"} <= BY_ID["voice.tts"][2]["responses"]["200"]["content"].keys()
    assert "multipart/form-data" in BY_ID["voice.stt"][2]["requestBody"]["content"]


def test_bounds_of_numbers_are_told() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["MemorySearchRequest"]["properties"]["limit"]["maximum"] == 100
    assert schemas["StoreRequest"]["properties"]["ttl_seconds"]["anyOf"][0]["minimum"] == 1
    assert schemas["SpeakRequest"]["properties"]["sample_rate"]["anyOf"][0]["minimum"] == 8_000
    assert schemas["BrowserRequest"]["properties"]["timeout_ms"]["anyOf"][0]["maximum"] == 300_000
