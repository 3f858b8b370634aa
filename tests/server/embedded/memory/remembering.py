"""A memory service over real gRPC, with the real clock or one that tests set."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio

from protos import memory_pb2 as pb
from protos import memory_pb2_grpc
from server.embedded.memory.service import MemoryService
from server.embedded.service import EmbeddedConfig
from tests.server.embedded.serving import channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from protos.memory_pb2_grpc import MemoryAsyncStub
    from server.embedded.memory.store import FoundItem, MemoryStore


@asynccontextmanager
async def memory(directory: Path) -> AsyncIterator[MemoryAsyncStub]:
    async with channel("memory", directory) as opened:
        stub: MemoryAsyncStub = memory_pb2_grpc.MemoryStub(opened)
        yield stub


@asynccontextmanager
async def memory_with_clock(directory: Path, clock: Callable[[], float]) -> AsyncIterator[MemoryAsyncStub]:
    service = MemoryService(EmbeddedConfig(directory), clock)
    await service.start()
    server = grpc.aio.server()
    service.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        stub: MemoryAsyncStub = memory_pb2_grpc.MemoryStub(opened)
        yield stub
    await server.stop(None)
    await service.stop()


def item(value: str = '"blue"', **fields: Any) -> pb.StoreRequest:
    given: dict[str, Any] = {"user_id": "ada", "key": "colour", "value_json": value, **fields}
    return pb.StoreRequest(**given)


def searched(store: MemoryStore, user: str, query: str, tags: list[str], limit: int) -> list[FoundItem]:
    """A search, all its steps at once."""
    steps = store.search(user, query, tags, limit)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("list[FoundItem]", end.value)


async def found(stub: MemoryAsyncStub, query: str, user: str = "ada", **fields: Any) -> list[str]:
    results = (await stub.Search(pb.SearchRequest(user_id=user, query=query, **fields))).results
    return [hit.item.key for hit in results]
