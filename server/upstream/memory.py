"""M10, memory. Values and metadata are sent as JSON text, so that they come back unchanged to the last digit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from protos import memory_pb2
from server.upstream.convert import asking, reading
from streaming.ports import ConversationTurn, MemoryHit, MemoryItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protos.memory_pb2_grpc import MemoryAsyncStub
    from server.upstream.call import ServiceLine
    from streaming.ports import CallContext, StoreItem


class MemoryClient:
    """Implements `streaming.ports.Memory`."""

    def __init__(self, line: ServiceLine[MemoryAsyncStub]) -> None:
        self._line = line

    async def store(self, item: StoreItem, context: CallContext) -> tuple[str, str]:
        """Store an item; returns its key and RFC 3339 creation time."""
        with asking("memory"):
            request = memory_pb2.StoreRequest(
                user_id=context.user_id,
                key=item.key,
                value_json=_json(item.value),
                session_id=context.session_id,
                tags=item.tags,
                metadata_json=_json(item.metadata) if item.metadata else "",
                ttl_seconds=item.ttl_seconds,
            )
        # Without a key each Store creates a new item, so only one with a key may be retried.
        answer = await self._line.unary("Store", lambda stub: stub.Store, request, context, idempotent=bool(item.key))
        return answer.key, answer.created_at

    async def retrieve(self, key: str, context: CallContext) -> MemoryItem:
        """One item; NOT_FOUND also if it is another user's."""
        with asking("memory"):
            request = memory_pb2.RetrieveRequest(user_id=context.user_id, key=key)
        answer = await self._line.unary("Retrieve", lambda stub: stub.Retrieve, request, context, idempotent=True)
        with reading("memory"):
            return _item(answer)

    async def delete(self, key: str, context: CallContext) -> None:
        """Delete one item. Never retried: a second attempt would be NOT_FOUND because the first succeeded."""
        with asking("memory"):
            request = memory_pb2.DeleteRequest(user_id=context.user_id, key=key)
        await self._line.unary("Delete", lambda stub: stub.Delete, request, context, idempotent=False)

    async def search(self, query: str, limit: int, tags: Sequence[str], context: CallContext) -> Sequence[MemoryHit]:
        """Search the items; best matches first."""
        with asking("memory"):
            request = memory_pb2.SearchRequest(user_id=context.user_id, query=query, limit=limit, tags=tags)
        answer = await self._line.unary("Search", lambda stub: stub.Search, request, context, idempotent=True)
        with reading("memory"):
            return [MemoryHit(_item(hit.item), hit.score) for hit in answer.results]

    async def put_turn(self, turn_id: str, role: str, text: str, context: CallContext) -> None:
        """Add a turn to the context's session, or replace the one with that id."""
        with asking("memory"):
            request = memory_pb2.PutTurnRequest(
                user_id=context.user_id, session_id=context.session_id, turn_id=turn_id, role=role, text=text
            )
        await self._line.unary("PutTurn", lambda stub: stub.PutTurn, request, context, idempotent=True)

    async def conversation(self, session_id: str, limit: int, context: CallContext) -> Sequence[ConversationTurn]:
        """The newest turns, oldest first."""
        with asking("memory"):
            request = memory_pb2.ContextRequest(user_id=context.user_id, session_id=session_id, limit=limit)
        answer = await self._line.unary("Context", lambda stub: stub.Context, request, context, idempotent=True)
        return [ConversationTurn(turn.role, turn.text, turn.at, turn.turn_id) for turn in answer.turns]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _value(text: str) -> Any:
    return json.loads(text, parse_constant=_no_number)


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _object(text: str) -> dict[str, Any]:
    value = _value(text) if text else {}
    if not isinstance(value, dict):
        raise TypeError("an object is expected")
    return value


def _item(item: memory_pb2.Item) -> MemoryItem:
    return MemoryItem(
        item.key,
        _value(item.value_json),
        item.session_id,
        tuple(item.tags),
        _object(item.metadata_json),
        item.created_at,
        item.expires_at,
    )
