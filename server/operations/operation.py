"""What an operation is: one thing a client may ask for, described once.

REST routes, the socket's `call`, the OpenAPI document, role rules and metric labels are derived from the table of operations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from server import roles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.gateway import Gateway
    from streaming.ports import CallContext, Identity, TaskProgress

    Run = Callable[[Gateway, "Caller", Any], Awaitable[BaseModel | None]]

KIB = 1024
JSON_BODY_BYTES = 64 * KIB  # sixteen times the longest text


class RequestModel(BaseModel):
    """A client's parameters. Unknown fields are refused, and strings are not converted to numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True)


class ResponseModel(BaseModel):
    """The answer to a client."""

    # An error's text may reach a log, so it must not quote the input.
    model_config = ConfigDict(hide_input_in_errors=True, defer_build=True)


class NoParameters(RequestModel):
    """The request of operations without parameters."""


class Access(StrEnum):
    """Who may use an operation: everybody, anybody with a valid token, or holders of a role or a higher one."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    USER = roles.USER
    OPERATOR = roles.OPERATOR
    ADMIN = roles.ADMIN

    @property
    def role(self) -> str | None:
        """The required role, if any."""
        return None if self in {Access.PUBLIC, Access.SIGNED_IN} else self.value


class Streaming(StrEnum):
    """How an operation differs from JSON in, JSON out."""

    NONE = "none"
    PROGRESS = "progress"  # Server-Sent Events for clients that accept them
    AUDIO_IN = "audio in"  # a multipart upload
    AUDIO_OUT = "audio out"  # bytes, sent as they are made


def ignore_progress(_event: TaskProgress) -> None:
    """For callers who only wait for the result."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which context, and where progress goes while the operation runs."""

    identity: Identity
    context: CallContext
    progress: Callable[[TaskProgress], None] = ignore_progress
    client_ip: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of the table. `path` has a `{name}` for each field of `request` that is a path parameter."""

    name: str
    method: str
    path: str
    summary: str
    access: Access
    request: type[RequestModel] = NoParameters
    response: type[BaseModel] | None = None  # None: no body, or not JSON
    run: Run | None = None  # None: not available to a socket's `call`; a handler of its own serves it
    status: int = 200
    description: str = ""
    service: str = ""  # the downstream service whose errors it can answer with
    refusals: tuple[str, ...] = ()  # further codes of `server.errors` that this operation answers with
    streaming: Streaming = Streaming.NONE
    idempotency_key: bool = False
    body_limit_bytes: int = JSON_BODY_BYTES
    cost: int = 1  # deducted from the caller's rate limit; 0: not limited
    content_type: str = "application/json"
    callable: bool = True  # by a socket's `call`; needs `run`
    also: tuple[tuple[int, str], ...] = ()  # other statuses with the response model, and when they are sent
    path_parameters: tuple[str, ...] = field(init=False)  # in the order of the path
    takes_body: bool = field(init=False)  # True if the parameters are in the body, else they are in the query

    def __post_init__(self) -> None:
        """Take the path parameters from the path; what else the request has is its body, if the method has one."""
        in_path = re.findall(r"\{(\w+)\}", self.path)
        others = self.request.model_fields.keys() - set(in_path)
        object.__setattr__(self, "path_parameters", tuple(in_path))
        object.__setattr__(self, "takes_body", bool(others) and self.method in {"POST", "PUT", "PATCH"})

    @property
    def group(self) -> str:
        """The first word of the name: the section in the documents."""
        return self.name.partition(".")[0]

    @property
    def of_openai(self) -> bool:
        """True for operations of OpenAI's API, which has an error form of its own."""
        return self.path.startswith("/v1/")
