"""M10, memory: SQLite with full-text search. Everything belongs to one user; another user's key is as if it did not exist."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import grpc
import grpc.aio

from protos import memory_pb2, memory_pb2_grpc
from server.embedded.memory_store import MemoryStore
from server.embedded.service import EmbeddedConfig, EmbeddedService, MissingPartError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_VALUE_BYTES = 64 * 1024
MAX_KEY_CHARS = 256
MAX_TAGS, MAX_TAG_CHARS = 32, 64
MAX_TURN_CHARS = 20_000
MAX_QUERY_CHARS = 1_000
DEFAULT_LIMIT, MAX_LIMIT = 10, 100

_KEY = re.compile(r"[\w .:/@+-]+\Z")
Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")


class WrongRequestError(Exception):
    """INVALID_ARGUMENT, with these words."""


def _check(request: memory_pb2.StoreRequest) -> None:
    if not request.user_id:
        raise WrongRequestError("user_id is missing")
    if request.key and (len(request.key) > MAX_KEY_CHARS or not _KEY.match(request.key)):
        raise WrongRequestError(f"a key has at most {MAX_KEY_CHARS} letters, digits, spaces or . : / @ + -")
    if len(request.value_json.encode()) > MAX_VALUE_BYTES or len(request.metadata_json.encode()) > MAX_VALUE_BYTES:
        raise WrongRequestError(f"value and metadata may have {MAX_VALUE_BYTES} bytes each")
    if len(request.tags) > MAX_TAGS or any(not 0 < len(tag) <= MAX_TAG_CHARS for tag in request.tags):
        raise WrongRequestError(f"there may be {MAX_TAGS} tags of 1 to {MAX_TAG_CHARS} characters")
    try:
        json.loads(request.value_json)
        metadata = json.loads(request.metadata_json or "{}")
    except ValueError:
        raise WrongRequestError("value and metadata have to be JSON") from None
    if not isinstance(metadata, dict):
        raise WrongRequestError("metadata has to be a JSON object")


def rfc3339(unix_s: float) -> str:
    """UTC, to the millisecond."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def item_of(row: sqlite3.Row) -> memory_pb2.Item:
    """A row as the proto has it."""
    return memory_pb2.Item(
        key=row["key"],
        value_json=row["value"],
        session_id=row["session_id"],
        tags=json.loads(row["tags"]),
        metadata_json=row["metadata"],
        created_at=rfc3339(row["created_at"]),
        expires_at=rfc3339(row["expires_at"]) if row["expires_at"] is not None else "",
    )


class MemoryService(EmbeddedService, memory_pb2_grpc.MemoryServicer):
    """SQLite is spoken to from one thread."""

    name: ClassVar[str] = "memory"
    full_name: ClassVar[str] = "jarvis.memory.v1.Memory"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="memory")
        self._store: MemoryStore | None = None

    async def start(self) -> None:
        """Open the database. Raises MissingPartError when the file cannot be used: nothing in it is touched then."""
        path = self.config.directory / "memory.sqlite3"
        try:
            self._store = await self._in_thread(lambda: MemoryStore(path))
        except sqlite3.Error as error:
            raise MissingPartError(
                f"{path} cannot be used ({error}): move it away to start with an empty one"
            ) from None

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        memory_pb2_grpc.add_MemoryServicer_to_server(self, server)

    async def stop(self) -> None:
        """Close the database."""
        store = self._store
        if store is not None:
            await self._in_thread(store.close)
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _ask(self, context: Context, work: Callable[[MemoryStore], T]) -> T:
        """Run it in the thread; a full disk is the service's trouble, not the caller's."""
        store = self._store
        assert store is not None, "calls are refused until start() is done"
        try:
            return await self._in_thread(lambda: work(store))
        except sqlite3.Error as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the database failed: {type(error).__name__}")
        raise AssertionError("abort raises")

    async def Store(self, request: memory_pb2.StoreRequest, context: Context) -> memory_pb2.StoreResponse:  # noqa: N802
        """Remember."""
        try:
            _check(request)
        except WrongRequestError as wrong:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
        key = request.key or secrets.token_urlsafe(12)
        created_at = await self._ask(context, lambda store: store.put(request, key))
        return memory_pb2.StoreResponse(key=key, created_at=rfc3339(created_at))

    async def Retrieve(self, request: memory_pb2.RetrieveRequest, context: Context) -> memory_pb2.Item:  # noqa: N802
        """One item."""
        row = await self._ask(context, lambda store: store.get(request.user_id, request.key))
        if row is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such key")
            raise AssertionError("abort raises")
        return item_of(row)

    async def Delete(self, request: memory_pb2.DeleteRequest, context: Context) -> memory_pb2.DeleteResponse:  # noqa: N802
        """Forget one item."""
        if not await self._ask(context, lambda store: store.delete(request.user_id, request.key)):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such key")
        return memory_pb2.DeleteResponse()

    async def Search(self, request: memory_pb2.SearchRequest, context: Context) -> memory_pb2.SearchResponse:  # noqa: N802
        """Best matches first."""
        if len(request.query) > MAX_QUERY_CHARS:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"a query has at most {MAX_QUERY_CHARS} characters")
        limit = min(request.limit or DEFAULT_LIMIT, MAX_LIMIT)
        hits = await self._ask(
            context, lambda store: store.search(request.user_id, request.query, list(request.tags), limit)
        )
        return memory_pb2.SearchResponse(
            results=[memory_pb2.Hit(item=item_of(row), score=score) for row, score in hits]
        )

    async def PutTurn(self, request: memory_pb2.PutTurnRequest, context: Context) -> memory_pb2.PutTurnResponse:  # noqa: N802
        """Add a turn, or replace it."""
        if not request.user_id or not request.session_id or not request.turn_id or len(request.text) > MAX_TURN_CHARS:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"user_id, session_id and turn_id are needed, and at most {MAX_TURN_CHARS} characters",
            )
        at = await self._ask(context, lambda store: store.put_turn(request))
        return memory_pb2.PutTurnResponse(at=rfc3339(at))

    async def Context(self, request: memory_pb2.ContextRequest, context: Context) -> memory_pb2.ContextResponse:  # noqa: N802
        """The newest turns, oldest first."""
        limit = min(request.limit or DEFAULT_LIMIT, MAX_LIMIT)
        rows = await self._ask(context, lambda store: store.turns(request.user_id, request.session_id, limit))
        turns = [
            memory_pb2.StoredTurn(role=row["role"], text=row["text"], at=rfc3339(row["at"]), turn_id=row["turn_id"])
            for row in rows
        ]
        return memory_pb2.ContextResponse(turns=turns)
