"""`/openapi.json` (OpenAPI 3.1), generated from the table of operations and their models."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from server.audio.formats import AUDIO_FORMATS
from server.errors import ERRORS, ApiError, problem
from server.operations import OPERATIONS, Access, Streaming
from server.operations.openai_errors import error_of, status_of
from server.operations.refusals import refusals_of
from server.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from server.documents.dialects import Json
    from server.operations.operation import Operation


_TAGS = {
    "voice": "Speech to text and text to speech, file by file. Live audio: the WebSocket.",
    "agent": "What was meant, how to get there, and whether it may be done.",
    "executor": "Browser, operating system and search. Each action passes the safety policies first.",
    "memory": "What a user asked to be remembered, and conversations so far. Everything belongs to its user.",
    "auth": "Sign-in, rotation, sign-out and WebSocket tickets.",
    "ws": "Live sessions.",
    "openai": "OpenAI's API, for its own clients: the base address is `/v1`. Live sessions: the WebSockets `/v1/realtime` and `/v1/live/sessions`.",
    "ops": "Health, metrics and documents.",
}
_DESCRIPTION = """\
One gateway in front of the nine services of a voice agent.

Send the access token as `Authorization: Bearer …`. Errors are RFC 9457 problem documents with a stable `code` and the
`request_id` to quote. The main interface is the WebSocket `/ws/{session_id}`: see `/asyncapi`.
"""
_HEADERS: Json = {
    "X-Request-ID": {
        "description": "Names this request in logs and errors; yours when it matches `[A-Za-z0-9_-]{8,64}`",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$"},
    },
    "X-RateLimit-Limit": {"description": "Requests per window", "schema": {"type": "integer"}},
    "X-RateLimit-Remaining": {"description": "Requests left now", "schema": {"type": "integer"}},
    "X-RateLimit-Reset": {"description": "Unix time at which the window is free again", "schema": {"type": "integer"}},
    "RateLimit": {"description": "The same as the IETF draft has it", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "Quota and window as the IETF draft has it", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}},
    "Idempotency-Replayed": {
        "description": "`true`: the stored answer to an earlier request",
        "schema": {"const": "true"},
    },
}
_EXAMPLE_ID = "0f8fad5bd9cb469fa165708676728950"
_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy")
_SSE_EXAMPLE = (
    'event: progress\ndata: {"message":"opening the page","percent":10}\n\n'
    'event: result\ndata: {"task_id":"5d3f…","status":"ok"}\n\n'
)


class FieldError(BaseModel):
    """What is wrong with one field."""

    pointer: str = Field(description="RFC 6901 pointer, as a fragment", examples=["#/text"])
    detail: str


class Problem(BaseModel):
    """RFC 9457, with the members that this gateway adds."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="Stable", examples=["VALIDATION_ERROR"])
    request_id: str
    retryable: bool | None = Field(
        default=None, description="False: the same request will fail again, although its code suggests otherwise"
    )
    errors: list[FieldError] | None = Field(default=None, description="For 422: which fields")
    confirmation_id: str | None = Field(default=None, description="For CONFIRMATION_REQUIRED")
    expires_at: str | None = Field(default=None, description="For CONFIRMATION_REQUIRED: RFC 3339")
    risk: str | None = Field(default=None, description="For CONFIRMATION_REQUIRED and SAFETY_DENIED")


class OpenAiErrorBody(BaseModel):
    """What went wrong."""

    message: str
    type: str
    code: str | None
    param: str | None


class OpenAiError(BaseModel):
    """The error form of `/v1`."""

    error: OpenAiErrorBody


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _schemas() -> Json:
    """The schemas of all models in the table."""
    models: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [(Problem, "serialization")]
    for operation in OPERATIONS:
        if operation.takes_body:
            models.append((operation.request, "validation"))
        if operation.response is not None:
            models.append((operation.response, "serialization"))
    models.append((OpenAiError, "serialization"))
    unique = list(dict.fromkeys(models))
    _, definitions = models_json_schema(unique, ref_template="#/components/schemas/{model}")
    schemas: Json = definitions["$defs"]
    for operation in OPERATIONS:
        if operation.takes_body:
            _leave_out(schemas[operation.request.__name__], operation.path_parameters)
    return schemas


def _leave_out(schema: Json, names: Iterable[str]) -> None:
    """Remove path parameters from a body's schema."""
    for name in names:
        schema["properties"].pop(name, None)
        if name in schema.get("required", []):
            schema["required"].remove(name)


def _parameters(operation: Operation) -> list[Json]:
    schema = operation.request.model_json_schema()
    required = schema.get("required", [])
    parameters = []
    for name, described in schema.get("properties", {}).items():
        in_path = name in operation.path_parameters
        if operation.takes_body and not in_path:
            continue
        parameter = {
            "name": name,
            "in": "path" if in_path else "query",
            "required": in_path or name in required,
            "schema": _in_text(described),
        }
        parameters.append(parameter | {key: described[key] for key in ("description",) if key in described})
    if operation.idempotency_key:
        parameters.append(_ref("parameters", "IdempotencyKey"))
    return parameters


def _in_text(described: Json) -> Json:
    """The schema of a URL parameter, which is omitted rather than null."""
    schema = {key: value for key, value in described.items() if key not in {"description", "title"}}
    some = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(some) == 1:
        del schema["anyOf"]
        schema |= some[0]
    if schema.get("default", ...) is None:
        del schema["default"]
    return schema


def _request_body(operation: Operation) -> Json:
    if operation.streaming is Streaming.AUDIO_IN:
        schema = operation.request.model_json_schema()
        field = "file" if operation.of_openai else "audio"
        schema["properties"][field] = {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "The file",
        }
        schema["required"] = [field, *schema.get("required", ())]
        return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    content: Json = {"schema": _ref("schemas", operation.request.__name__)}
    examples = operation.request.model_json_schema().get("examples", [])
    if examples:
        content["example"] = examples[0]
    may_be_absent = operation.of_openai and not any(
        field.is_required() for field in operation.request.model_fields.values()
    )
    return {"required": not may_be_absent, "content": {"application/json": content}}


def _headers(operation: Operation, *more: str) -> Json:
    names = ("X-Request-ID", *(_LIMIT_HEADERS if operation.cost else ()), *more)
    return {name: _ref("headers", name) for name in names}


def _success(operation: Operation) -> Json:
    more = ("Idempotency-Replayed",) if operation.idempotency_key else ()
    answer: Json = {"description": operation.summary, "headers": _headers(operation, *more)}
    if operation.streaming is Streaming.AUDIO_OUT:
        answer["content"] = {audio_format.content_type: {} for audio_format in AUDIO_FORMATS.values()}
    elif operation.response is not None:
        answer["content"] = {"application/json": {"schema": _ref("schemas", operation.response.__name__)}}
    elif operation.status != 204:
        answer["content"] = {
            operation.content_type: {"schema": {} if "json" in operation.content_type else {"type": "string"}}
        }
    if operation.streaming in {Streaming.PROGRESS, Streaming.AUDIO_IN}:
        answer["content"]["text/event-stream"] = {
            "schema": {"type": "string", "description": "Events `progress`, then one `result` or `error`"},
            "example": _SSE_EXAMPLE,
        }
    elif operation.streaming is Streaming.AUDIO_OUT and operation.of_openai:
        answer["content"]["text/event-stream"] = {
            "schema": {
                "description": "With `stream_format: sse`: events whose data is JSON, audio in base64, piece by piece"
            }
        }
    return answer


def _problem(operation: Operation, status: int, codes: list[str]) -> Json:
    examples = {
        code: {
            "summary": ERRORS[code].title,
            "value": problem(ApiError(code), operation.path, _EXAMPLE_ID),
        }
        for code in codes
    }
    return {
        "description": "\n\n".join(f"`{code}`: {ERRORS[code].meaning}" for code in codes),
        "headers": _headers(operation, *(("Retry-After",) if status in {429, 503} else ())),
        "content": {"application/problem+json": {"schema": _ref("schemas", "Problem"), "examples": examples}},
    }


def _openai_error(operation: Operation, codes: list[str]) -> Json:
    examples = {code: {"summary": ERRORS[code].title, "value": error_of(ApiError(code))} for code in codes}
    return {
        "description": "\n\n".join(f"`{code}`: {ERRORS[code].meaning}" for code in codes),
        "headers": _headers(operation, "Retry-After"),
        "content": {"application/json": {"schema": _ref("schemas", "OpenAiError"), "examples": examples}},
    }


def _openai_errors(operation: Operation) -> Json:
    by_status: dict[str, list[str]] = {}
    for codes in refusals_of(operation).values():
        for code in codes:
            by_status.setdefault(str(status_of(ApiError(code))), []).append(code)
    return {status: _openai_error(operation, codes) for status, codes in by_status.items()}


def _responses(operation: Operation) -> Json:
    answers = {str(operation.status): _success(operation)}
    answers |= {str(status): _success(operation) | {"description": when} for status, when in operation.also}
    if operation.of_openai:
        return answers | _openai_errors(operation)
    problems = {str(status): _problem(operation, status, codes) for status, codes in refusals_of(operation).items()}
    return answers | problems


def _operation(operation: Operation) -> Json:
    described: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.group],
        "parameters": _parameters(operation),
        "responses": _responses(operation),
        "security": [] if operation.access is Access.PUBLIC else [{"bearer": []}],
    }
    text = [operation.description] if operation.description else []
    if operation.access.role:
        text.append(f"Role: `{operation.access.role}` or stronger.")
    if text:
        described["description"] = "\n\n".join(text)
    if operation.takes_body:
        described["requestBody"] = _request_body(operation)
    return described


def openapi_document() -> Json:
    """The whole document. Building it takes some tens of milliseconds: do it once."""
    paths: Json = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jarvis Gateway",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This gateway"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "x-errors": {code: asdict(kind) for code, kind in ERRORS.items()},  # shown at `/docs#CODE`
        "components": {
            "schemas": _schemas(),
            "headers": _HEADERS,
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "Same key, same request: the stored answer, for 24 hours, also if it is an error (only that there was one, with ALREADY_ANSWERED, once a user's have more than 64 MiB in a day); its `retryable` false says that only a new key runs the request again. A request that certainly had no effect keeps no answer, and may be sent again. With fewer roles than the first had: FORBIDDEN",
                    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
                }
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
