"""M10 memory: what users asked to remember, and the turns of each conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field

from server.operations.fields import AS_WHOLE, Key, SessionId, Tag, Text
from server.operations.operation import KIB, Access, Operation, RequestModel, ResponseModel
from streaming.ports import StoreItem

if TYPE_CHECKING:
    from server.gateway import Gateway
    from server.operations.operation import Caller
    from streaming.ports import MemoryItem

MAX_TTL_SECONDS = 10 * 365 * 24 * 3600
MAX_RESULTS = 100
STORE_BODY_BYTES = 256 * KIB  # a long note with its metadata; anything larger belongs in a file

_UNKNOWN_KEY = "NOT_FOUND"


class StoreRequest(RequestModel):
    """Something to remember; an existing key is replaced."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"key": "favourite-colour", "value": "blue", "tags": ["preference"]}]}
    )

    value: Any = Field(description="Any JSON value")
    key: Key | None = Field(default=None, description="Left out: one is made")
    session_id: SessionId | None = None
    tags: list[Tag] = Field(default_factory=list, max_length=32)
    metadata: dict[str, Any] = Field(default_factory=dict)
    ttl_seconds: Annotated[int, Field(ge=1, le=MAX_TTL_SECONDS), AS_WHOLE] | None = Field(
        default=None, description="Left out: for good"
    )


class StoreAnswer(ResponseModel):
    """The key under which it was stored."""

    key: str
    created_at: str = Field(description="RFC 3339")


async def store(gateway: Gateway, caller: Caller, request: StoreRequest) -> StoreAnswer:
    """Store an item."""
    item = StoreItem(request.value, request.key or "", tuple(request.tags), request.metadata, request.ttl_seconds or 0)
    key, created_at = await gateway.services.memory.store(item, caller.context)
    return StoreAnswer(key=key, created_at=created_at)


class KeyRequest(RequestModel):
    """One remembered item."""

    key: Key


class MemoryAnswer(ResponseModel):
    """A remembered item. Times are RFC 3339."""

    key: str
    value: Any
    session_id: str | None
    tags: list[str]
    metadata: dict[str, Any]
    created_at: str
    expires_at: str | None


class MemoryHitAnswer(MemoryAnswer):
    """A search result; `score` 0 to 1, best first."""

    score: float


def _fields(item: MemoryItem) -> dict[str, Any]:
    return {
        "key": item.key,
        "value": item.value,
        "session_id": item.session_id or None,
        "tags": list(item.tags),
        "metadata": item.metadata,
        "created_at": item.created_at,
        "expires_at": item.expires_at or None,
    }


async def retrieve(gateway: Gateway, caller: Caller, request: KeyRequest) -> MemoryAnswer:
    """Retrieve one item."""
    return MemoryAnswer(**_fields(await gateway.services.memory.retrieve(request.key, caller.context)))


async def delete(gateway: Gateway, caller: Caller, request: KeyRequest) -> None:
    """Delete one item."""
    await gateway.services.memory.delete(request.key, caller.context)


class MemorySearchRequest(RequestModel):
    """Words to search for in the caller's memory."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "colour", "limit": 5}]})

    query: Text
    limit: Annotated[int, Field(ge=1, le=MAX_RESULTS), AS_WHOLE] = 10
    tags: list[Tag] = Field(default_factory=list, max_length=32, description="All of them must be there")


class MemorySearchAnswer(ResponseModel):
    """Results, best first."""

    results: list[MemoryHitAnswer]


async def search(gateway: Gateway, caller: Caller, request: MemorySearchRequest) -> MemorySearchAnswer:
    """Full-text search in the caller's memory."""
    hits = await gateway.services.memory.search(request.query, request.limit, request.tags, caller.context)
    return MemorySearchAnswer(results=[MemoryHitAnswer(**_fields(hit.item), score=hit.score) for hit in hits])


class ContextRequest(RequestModel):
    """A conversation, and how many of its turns to return."""

    session_id: SessionId
    limit: Annotated[int, Field(ge=1, le=MAX_RESULTS, description="The newest so many turns"), AS_WHOLE] = 20


class TurnAnswer(ResponseModel):
    """The words of one speaker."""

    role: str
    text: str
    at: str | None


class ContextAnswer(ResponseModel):
    """The newest turns, oldest first; empty for an unknown conversation."""

    session_id: str
    turns: list[TurnAnswer]


async def conversation(gateway: Gateway, caller: Caller, request: ContextRequest) -> ContextAnswer:
    """The newest turns of a conversation."""
    turns = await gateway.services.memory.conversation(request.session_id, request.limit, caller.context)
    return ContextAnswer(
        session_id=request.session_id,
        turns=[TurnAnswer(role=turn.role, text=turn.text, at=turn.at or None) for turn in turns],
    )


OPERATIONS = (
    Operation(
        name="memory.store",
        method="POST",
        path="/api/v1/memory/store",
        summary="Remember a value",
        access=Access.USER,
        request=StoreRequest,
        response=StoreAnswer,
        run=store,
        status=201,
        service="memory",
        body_limit_bytes=STORE_BODY_BYTES,
        idempotency_key=True,
    ),
    Operation(
        name="memory.retrieve",
        method="GET",
        path="/api/v1/memory/retrieve/{key}",
        summary="Recall one value",
        access=Access.USER,
        request=KeyRequest,
        response=MemoryAnswer,
        run=retrieve,
        service="memory",
        refusals=(_UNKNOWN_KEY,),
    ),
    Operation(
        name="memory.delete",
        method="DELETE",
        path="/api/v1/memory/delete/{key}",
        summary="Forget one value",
        access=Access.USER,
        request=KeyRequest,
        run=delete,
        status=204,
        service="memory",
        refusals=(_UNKNOWN_KEY,),
        idempotency_key=True,
    ),
    Operation(
        name="memory.search",
        method="POST",
        path="/api/v1/memory/search",
        summary="Search what was remembered",
        access=Access.USER,
        request=MemorySearchRequest,
        response=MemorySearchAnswer,
        run=search,
        service="memory",
    ),
    Operation(
        name="memory.context",
        method="GET",
        path="/api/v1/memory/context/{session_id}",
        summary="Read a conversation so far",
        access=Access.USER,
        request=ContextRequest,
        response=ContextAnswer,
        run=conversation,
        service="memory",
    ),
)
