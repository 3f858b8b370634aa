"""Links to a real Redis for tests: each with a task group that ends with its block."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from server.shared.redis_errors import RedisDownError
from server.shared.redis_link import RedisLink
from server.shared.state import RedisState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECTED_WITHIN_S = (
    10.0  # the first command also connects: on a busy machine that alone takes longer than a command may
)


@asynccontextmanager
async def running_link(url: str, *, connected: bool = True) -> AsyncIterator[RedisLink]:
    async with asyncio.TaskGroup() as group:
        link = RedisLink(url, group, lambda: None)
        group.create_task(link.probe(), name="probe")
        if connected:
            await link.patiently(lambda: link.call("PING"), CONNECTED_WITHIN_S)
        try:
            yield link
        finally:
            await link.close()


@asynccontextmanager
async def replica(url: str) -> AsyncIterator[RedisState]:
    """A state that listens, and has begun to."""
    async with running_link(url) as link, asyncio.TaskGroup() as group:
        state = RedisState(link)
        listening = group.create_task(state.listen(), name="listen")
        await until_heard(state)
        try:
            yield state
        finally:
            listening.cancel()


async def until_heard(state: RedisState) -> None:
    """Until news of another process come through."""
    heard = asyncio.Event()
    stop = state.subscribe(lambda kind, _news: heard.set() if kind == "hello" else None)
    while not heard.is_set():
        with suppress(RedisDownError):
            await state._link.call("PUBLISH", "jarvis:news", '{"from": "test", "kind": "hello", "news": {}}')
        await asyncio.sleep(0.002)
    stop()


async def until_up(link: RedisLink, up: bool = True) -> None:
    while link.up is not up:
        await asyncio.sleep(0.005)
