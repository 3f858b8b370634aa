"""A subscription to one channel of Redis, on a connection of its own."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from server.shared.redis_errors import RedisDownError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis.asyncio import Redis


@contextmanager
def _down() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise RedisDownError from error


class Subscription:
    """Its methods raise RedisDownError once the connection is lost. It holds the connection until it is closed."""

    def __init__(self, client: Redis) -> None:
        self._pubsub: Any = client.pubsub()

    async def open(self, channel: str, within_s: float) -> None:
        """Subscribe."""
        with _down():
            async with asyncio.timeout(within_s):
                await self._pubsub.subscribe(channel)

    async def next(self, silence_s: float) -> bytes | None:
        """The next message, or None after so long a silence. Empty: something else came, for example the answer to `ping`."""
        with _down():
            message = await self._pubsub.get_message(timeout=silence_s)
        if message is None:
            return None
        data: bytes = message["data"] if message["type"] == "message" else b""
        return data

    async def ping(self) -> None:
        """Ask whether Redis is there. The answer ends the silence of `next`."""
        with _down():
            await self._pubsub.ping()

    async def close(self, within_s: float) -> None:
        """Give the connection back. Raises nothing."""
        with suppress(RedisDownError), _down():
            async with asyncio.timeout(within_s):
                await self._pubsub.aclose()
