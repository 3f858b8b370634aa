"""M10, memory: SQLite with full-text search. All data belongs to one user; another user's key is treated as missing."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import sqlite3
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import grpc
import grpc.aio

from protos import memory_pb2, memory_pb2_grpc
from server.embedded.memory.database import LOCKED_AGAIN_S, Database, PagesDamagedError
from server.embedded.memory.index import WordsDamagedError
from server.embedded.memory.sqlite_failures import BUSY_S, damaged, is_locked, is_malformed, not_opened, refusal
from server.embedded.memory.store import MAX_USER_BYTES, NoRoomError
from server.embedded.memory.words import MAX_KEY_CHARS, key_form
from server.embedded.service import EmbeddedConfig, EmbeddedService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable

    from server.embedded.memory.store import FoundItem, MemoryStore

MAX_VALUE_BYTES = 64 * 1024
MAX_DEPTH = 64  # nested arrays and objects; deeper ones break readers
MAX_ID_CHARS = 256  # of users, sessions and turns
MAX_TAGS, MAX_TAG_CHARS = 32, 64
MAX_TURN_CHARS = 20_000
MAX_QUERY_CHARS = 1_000
MAX_TTL_S = 100 * 365 * 86_400  # a hundred years; longer means for ever
DEFAULT_LIMIT, MAX_LIMIT = 10, 100
# Of values or turns in one answer, but one is always told. More keeps the gateway's loop for many milliseconds; so does an eighth of it
# if it is not ASCII, because that is encoded anew each time.
MAX_ANSWER_CHARS = 2 * 1024 * 1024
OTHERS_COUNT = 8
ROLES = ("user", "assistant")
NO_ROOM = f"you have stored as much as one user may, {MAX_USER_BYTES // 10**6} megabytes: delete something first"
NOTHING_NEW, NOTHING_LESS, NOTHING = (
    "nothing new can be remembered",
    "nothing can be forgotten",
    "nothing can be looked up",
)
NOTHING_CHANGED = "nothing can be remembered or forgotten"
WORDS_DAMAGED = "the index of words is damaged, and could not be made anew yet"
TOLD_AT_ONCE = 10  # results of a search that are read before others' calls: the longest take some milliseconds
DAMAGED = "what was stored cannot be read: the disk has changed it. Store it anew, or delete it"
NO_SUCH_KEY = "no such key"  # also the answer for another user's key

_KEY = re.compile(rf"[^\x00-\x1f\x7f/]{{1,{MAX_KEY_CHARS}}}")
_TOO_DEEP = f"{{}} may be nested {MAX_DEPTH} deep"
_YEAR_9999_S = 253_370_764_800.0  # the last year that RFC 3339 can express
log = logging.getLogger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")
R = TypeVar("R")


class DamagedError(Exception):
    """What was stored is not what is read."""


class WrongRequestError(Exception):
    """The request is refused as INVALID_ARGUMENT with this message."""


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _depth(value: Any) -> int:
    """Levels of nested arrays and objects, computed without recursion."""
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth


def _json(text: str, name: str) -> Any:
    """Parse a value to check it. The text is what is stored, so numbers may have any number of digits."""
    if len(text.encode()) > MAX_VALUE_BYTES:
        raise WrongRequestError(f"{name} may have {MAX_VALUE_BYTES} bytes")
    try:
        value = json.loads(text, parse_constant=_no_number, parse_int=str, parse_float=str)
    except ValueError:
        raise WrongRequestError(f"{name} has to be JSON") from None
    except RecursionError:
        raise WrongRequestError(_TOO_DEEP.format(name)) from None
    if _depth(value) > MAX_DEPTH:
        raise WrongRequestError(_TOO_DEEP.format(name))
    return value


def _need(**ids: str) -> None:
    for name, value in ids.items():
        if not value or len(value) > MAX_ID_CHARS:
            raise WrongRequestError(f"{name} has to have 1 to {MAX_ID_CHARS} characters")


def _check_item(request: memory_pb2.StoreRequest) -> None:
    _need(user_id=request.user_id)
    if len(request.session_id) > MAX_ID_CHARS:
        raise WrongRequestError(f"session_id has at most {MAX_ID_CHARS} characters")
    if request.key and not _KEY.fullmatch(key_form(request.key)):
        raise WrongRequestError(f"a key has 1 to {MAX_KEY_CHARS} characters, no slash and no control character")
    if len(request.tags) > MAX_TAGS or any(not 0 < len(tag) <= MAX_TAG_CHARS for tag in request.tags):
        raise WrongRequestError(f"there may be {MAX_TAGS} tags of 1 to {MAX_TAG_CHARS} characters")
    if request.ttl_seconds > MAX_TTL_S:
        raise WrongRequestError(f"ttl_seconds is at most {MAX_TTL_S}; 0 keeps it for good")
    _json(request.value_json, "value")
    if request.metadata_json and not isinstance(_json(request.metadata_json, "metadata"), dict):
        raise WrongRequestError("metadata has to be a JSON object")


def _check_turn(request: memory_pb2.PutTurnRequest) -> None:
    _need(user_id=request.user_id, session_id=request.session_id, turn_id=request.turn_id)
    if request.role not in ROLES:
        raise WrongRequestError(f"role is {' or '.join(ROLES)}")
    if len(request.text) > MAX_TURN_CHARS:
        raise WrongRequestError(f"a turn has at most {MAX_TURN_CHARS} characters")


def _check_query(request: memory_pb2.SearchRequest) -> None:
    _need(user_id=request.user_id)
    if len(request.query) > MAX_QUERY_CHARS:
        raise WrongRequestError(f"a query has at most {MAX_QUERY_CHARS} characters")
    if len(request.tags) > MAX_TAGS:
        raise WrongRequestError(f"there may be {MAX_TAGS} tags")


def rfc3339(unix_s: float) -> str:
    """The time as RFC 3339 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(min(unix_s, _YEAR_9999_S), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def item_of(row: sqlite3.Row) -> memory_pb2.Item:
    """A row as protobuf item. Raises DamagedError; a value that is no JSON would break the whole answer for its reader."""
    try:
        for text in (row["value"], row["metadata"]):
            json.loads(text, parse_int=str, parse_float=str)
        return memory_pb2.Item(
            key=row["key"],
            value_json=row["value"],
            session_id=row["session_id"],
            tags=json.loads(row["tags"]),
            metadata_json=row["metadata"],
            created_at=rfc3339(row["created_at"]),
            expires_at=rfc3339(row["expires_at"]) if row["expires_at"] is not None else "",
        )
    except (ValueError, TypeError, OverflowError, OSError, RecursionError):
        raise DamagedError from None


def turn_of(row: sqlite3.Row) -> memory_pb2.StoredTurn:
    """A row as protobuf turn. Raises DamagedError."""
    try:
        return memory_pb2.StoredTurn(role=row["role"], text=row["text"], at=rfc3339(row["at"]), turn_id=row["turn_id"])
    except (ValueError, TypeError, OverflowError, OSError):
        raise DamagedError from None


def _whole(rows: Iterable[R], made: Callable[[R], T]) -> list[T]:
    """What is made of those rows that are not damaged."""
    whole, damaged = [], 0
    for row in rows:
        try:
            whole.append(made(row))
        except DamagedError:
            damaged += 1
    if damaged:
        log.error("what was stored cannot be read, and is left out: %s rows", damaged)
    return whole


class MemoryService(EmbeddedService, memory_pb2_grpc.MemoryServicer):
    """The memory service. SQLite is used from a single thread."""

    name: ClassVar[str] = "memory"

    def __init__(self, config: EmbeddedConfig, clock: Callable[[], float] = time.time) -> None:
        super().__init__(config)
        self._path = config.directory / "memory.sqlite3"
        self._database = Database(self._path, clock, self.name)

    async def start(self) -> None:
        """Open the database. Raises MissingPartError if the file cannot be used; it is left unchanged then. NotYetError: it is healthy."""
        try:
            await self._database.open()
        except (sqlite3.Error, OSError) as error:
            raise not_opened(self._path, error) from None

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the servicer."""
        memory_pb2_grpc.add_MemoryServicer_to_server(self, server)

    @property
    def impaired(self) -> str:
        """What it cannot do."""
        return damaged(NOTHING_CHANGED)[1] if self._database.damaged else ""

    async def stop(self) -> None:
        """Close the database."""
        await self._database.close()

    async def _ask(self, context: Context, work: Callable[[MemoryStore], T]) -> T:
        """Run what reads in the thread, or tell why it failed."""
        return await self._try(context, lambda: self._database.run(work))

    async def _change(self, context: Context, work: Callable[[MemoryStore], T], undone: str) -> T:
        """Run what writes in the thread, or tell why it failed. `undone`: what cannot be done then."""
        return await self._try(context, lambda: self._database.change(work), undone)

    async def _try(self, context: Context, attempt: Callable[[], Awaitable[T]], undone: str = NOTHING) -> T:
        """Do it, or tell why it failed. What another program has locked is tried again for a while, between others' calls."""
        until, mended = time.monotonic() + BUSY_S, False
        while True:
            try:
                return await attempt()
            except NoRoomError:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, NO_ROOM)
            except DamagedError:
                await context.abort(grpc.StatusCode.DATA_LOSS, DAMAGED)
            except PagesDamagedError:
                await context.abort(*damaged(undone))
            except WordsDamagedError as flaw:
                if self._database.damaged:
                    await context.abort(*damaged(undone))
                if mended:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, WORDS_DAMAGED)
                mended = True
                await self._database.index_anew(str(flaw))
            except sqlite3.Error as error:
                if is_malformed(error) and not mended:
                    mended = True
                    await self._database.look_again()
                    continue
                if not is_locked(error) or time.monotonic() > until:
                    await context.abort(*refusal(error, undone))
                await asyncio.sleep(LOCKED_AGAIN_S)

    async def _purge(self, user_id: str) -> None:
        """Delete all of the user's items that have expired, in steps: a search compares a limited number, and should find live ones."""
        with suppress(sqlite3.Error, PagesDamagedError):  # without writes, it searches what is there
            while await self._database.change(lambda store: store.purge(user_id)):
                pass

    async def Store(self, request: memory_pb2.StoreRequest, context: Context) -> memory_pb2.StoreResponse:  # noqa: N802 - gRPC's name
        """Store an item."""
        await _refuse_wrong(context, lambda: _check_item(request))
        key = key_form(request.key) or secrets.token_urlsafe(12)
        created_at = None
        while created_at is None:
            created_at = await self._change(context, lambda store: _put(store, request, key), NOTHING_NEW)
        return memory_pb2.StoreResponse(key=key, created_at=rfc3339(created_at))

    async def Retrieve(self, request: memory_pb2.RetrieveRequest, context: Context) -> memory_pb2.Item:  # noqa: N802 - gRPC's name
        """Retrieve one item."""
        await _refuse_wrong(context, lambda: _need(user_id=request.user_id))
        item = await self._ask(context, lambda store: _got(store, request))
        if item is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, NO_SUCH_KEY)
            raise AssertionError("abort raises")
        return item

    async def Delete(self, request: memory_pb2.DeleteRequest, context: Context) -> memory_pb2.DeleteResponse:  # noqa: N802 - gRPC's name
        """Delete one item."""
        await _refuse_wrong(context, lambda: _need(user_id=request.user_id))
        key = key_form(request.key)
        if not await self._change(context, lambda store: store.delete(request.user_id, key), NOTHING_LESS):
            await context.abort(grpc.StatusCode.NOT_FOUND, NO_SUCH_KEY)
        return memory_pb2.DeleteResponse()

    async def Search(self, request: memory_pb2.SearchRequest, context: Context) -> memory_pb2.SearchResponse:  # noqa: N802 - gRPC's name
        """Search the items; best matches first."""
        await _refuse_wrong(context, lambda: _check_query(request))
        await self._database.indexed()
        hits = await self._try(context, lambda: self._search(request))
        told: list[memory_pb2.Hit] = []
        for start in range(0, len(hits), TOLD_AT_ONCE):
            some = hits[start : start + TOLD_AT_ONCE]
            told += await self._ask(context, partial(_hits, some))
        fitting = _fitting(hit.item.value_json + hit.item.metadata_json for hit in told)
        return memory_pb2.SearchResponse(results=told[:fitting])

    async def _search(self, request: memory_pb2.SearchRequest) -> list[FoundItem]:
        """Each step is a turn of the thread, so that nobody waits for all of another user's search."""
        await self._purge(request.user_id)
        tags, limit = list(dict.fromkeys(request.tags)), _limit(request.limit)
        steps = await self._database.run(lambda store: store.search(request.user_id, request.query, tags, limit))
        while (hits := await self._database.run(lambda _store: _found(steps))) is None:
            pass
        return hits

    async def PutTurn(self, request: memory_pb2.PutTurnRequest, context: Context) -> memory_pb2.PutTurnResponse:  # noqa: N802 - gRPC's name
        """Add a turn, or replace it."""
        await _refuse_wrong(context, lambda: _check_turn(request))
        at = await self._change(context, lambda store: store.put_turn(request), NOTHING_NEW)
        return memory_pb2.PutTurnResponse(at=rfc3339(at))

    async def Context(self, request: memory_pb2.ContextRequest, context: Context) -> memory_pb2.ContextResponse:  # noqa: N802 - gRPC's name
        """The newest turns, oldest first."""
        await _refuse_wrong(context, lambda: _need(user_id=request.user_id))
        rows = await self._ask(
            context, lambda store: store.turns(request.user_id, request.session_id, _limit(request.limit))
        )
        turns = _whole(rows, turn_of)
        return memory_pb2.ContextResponse(turns=turns[-_fitting(turn.text for turn in reversed(turns)) :])


def _put(store: MemoryStore, request: memory_pb2.StoreRequest, key: str) -> float | None:
    """Store an item; None if that is to be tried again, because something expired has made room. Raises NoRoomError."""
    try:
        return store.put(request, key)
    except NoRoomError:
        if not store.purge(request.user_id):
            raise
    return None


def _got(store: MemoryStore, request: memory_pb2.RetrieveRequest) -> memory_pb2.Item | None:
    row = store.get(request.user_id, key_form(request.key))
    return None if row is None else item_of(row)


def _hits(found: list[FoundItem], _store: MemoryStore) -> list[memory_pb2.Hit]:
    """The results, made in the store's thread: reading long values takes a while."""
    return _whole(found, _hit_of)


def _hit_of(hit: FoundItem) -> memory_pb2.Hit:
    return memory_pb2.Hit(item=item_of(hit.row), score=hit.score)


def _found(steps: Generator[None, None, list[FoundItem]]) -> list[FoundItem] | None:
    """Take one step of a search; what it has found, or None if there are more steps."""
    try:
        next(steps)
    except StopIteration as end:
        found: list[FoundItem] = end.value
        return found
    return None


def _fitting(texts: Iterable[str]) -> int:
    """How many of these fit into an answer; at least one."""
    costs = accumulate(len(text) * (1 if text.isascii() else OTHERS_COUNT) for text in texts)
    return max(1, sum(1 for so_far in costs if so_far <= MAX_ANSWER_CHARS))


def _limit(wanted: int) -> int:
    return min(wanted or DEFAULT_LIMIT, MAX_LIMIT)


async def _refuse_wrong(context: Context, check: Callable[[], None]) -> None:
    """Abort with INVALID_ARGUMENT if the check fails."""
    try:
        check()
    except WrongRequestError as wrong:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(wrong))
