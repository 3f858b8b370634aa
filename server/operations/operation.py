"""What an operation is: one thing a client may ask for, described once.

REST routes, the socket's `call`, the OpenAPI document, role rules and metric labels are all read off the table of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.gateway import Gateway
    from streaming.ports import CallContext, Identity, TaskProgress

    Run = Callable[[Gateway, "Caller", Any], Awaitable[BaseModel | None]]

KIB = 1024
JSON_BODY_BYTES = 64 * KIB  # sixteen times the longest text that is taken


class RequestModel(BaseModel):
    """What a client sends. A field that is not named here is refused, and a string is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ResponseModel(BaseModel):
    """What it gets."""

    model_config = ConfigDict(
        hide_input_in_errors=True
    )  # an error's text may reach a log: not with what was said in it


class NoParameters(RequestModel):
    """For operations that take none."""


class Access(StrEnum):
    """Who may use an operation: everybody, anybody with a valid token, or the holders of a role (or a stronger one)."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    USER = "user"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def role(self) -> str | None:
        """The role that is needed, if one is."""
        return None if self in {Access.PUBLIC, Access.SIGNED_IN} else self.value


class Streaming(StrEnum):
    """How an operation is more than JSON in, JSON out."""

    NONE = "none"
    PROGRESS = "progress"  # Server-Sent Events for those who accept them
    AUDIO_IN = "audio in"  # a multipart upload
    AUDIO_OUT = "audio out"  # bytes as they are made


def ignore_progress(_event: TaskProgress) -> None:
    """For callers who wait for the result only."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which context, and where progress goes while the operation runs."""

    identity: Identity
    context: CallContext
    progress: Callable[[TaskProgress], None] = ignore_progress
    client_ip: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of the table. `path` holds `{name}` for each field of `request` that travels in the path."""

    name: str
    method: str
    path: str
    summary: str
    access: Access
    request: type[RequestModel] = NoParameters
    response: type[BaseModel] | None = None  # None: no body, or not JSON
    run: Run | None = None  # None: cannot be a socket's `call`; a handler of its own serves it
    status: int = 200
    description: str = ""
    service: str = ""  # the downstream service, whose failures are among the errors
    refusals: tuple[str, ...] = ()  # codes of `server.errors` that only this operation answers with
    streaming: Streaming = Streaming.NONE
    idempotency_key: bool = False
    body_limit_bytes: int = JSON_BODY_BYTES
    cost: int = 1  # of the caller's rate limit; 0: not limited
    content_type: str = "application/json"
    callable: bool = True  # by a socket's `call`; only with `run`
    also: tuple[tuple[int, str], ...] = ()  # other statuses that come with the response model, and when
    path_parameters: tuple[str, ...] = field(init=False)  # in the path's order

    def __post_init__(self) -> None:
        """Read the path."""
        object.__setattr__(self, "path_parameters", tuple(re.findall(r"\{(\w+)\}", self.path)))

    @property
    def group(self) -> str:
        """The first word of the name: the documents' sections."""
        return self.name.partition(".")[0]

    @property
    def of_openai(self) -> bool:
        """Is it one of OpenAI's API, with that API's error form?"""
        return self.path.startswith("/v1/")

    @property
    def takes_body(self) -> bool:
        """Do parameters travel in the body (else in the query)?"""
        return self.method in {"POST", "PUT", "PATCH"} and not (
            self.request.model_fields.keys() <= set(self.path_parameters)
        )
