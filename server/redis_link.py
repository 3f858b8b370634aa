"""The way to Redis: every command bounded to 50 ms, a breaker in front, and a probe that notices when it is back.

A command that takes too long is not cancelled (redis-py would leave its connection in the middle of an answer): it is left
to its own socket timeout, and the caller goes on without it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import redis.asyncio
import structlog
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

log = structlog.get_logger(__name__)

COMMAND_TIMEOUT_S = 0.05  # a decision may not wait longer for Redis (contract, section 5)
SOCKET_TIMEOUT_S = 1.0  # then the connection itself is given up
PROBE_INTERVAL_S = 0.5
MAX_CONNECTIONS = 64


class RedisDownError(Exception):
    """Redis does not answer in time, or not at all."""


def connect(url: str) -> Any:
    """A client for redis://, rediss://, unix://, redis+cluster://host:port or redis+sentinel://host:port,…/service/db."""
    options: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": SOCKET_TIMEOUT_S,
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 0),
    }
    parts = urlsplit(url)
    if parts.scheme == "redis+cluster":
        return RedisCluster.from_url(url.replace("redis+cluster", "redis", 1), **options)
    if parts.scheme == "redis+sentinel":
        hosts = [host.partition(":") for host in parts.netloc.rpartition("@")[2].split(",")]
        service, _, database = parts.path.strip("/").partition("/")
        sentinel: Any = Sentinel(
            [(host, int(port or 26379)) for host, _, port in hosts], socket_timeout=SOCKET_TIMEOUT_S
        )  # type: ignore[no-untyped-call] # redis-py leaves it untyped
        options |= dict(parse_qsl(parts.query))
        return sentinel.master_for(service or "mymaster", db=int(database or 0), **options)
    return redis.asyncio.Redis.from_url(url, max_connections=MAX_CONNECTIONS, **options)


class RedisLink:
    """`on_error` counts; `on_back` is called whenever Redis answers again after it was lost."""

    def __init__(self, url: str, group: asyncio.TaskGroup, on_error: Callable[[], None]) -> None:
        self._group = group
        self._on_error = on_error
        self.client = connect(url)
        self.up = True
        self.on_back: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, command: Coroutine[Any, Any, Any]) -> Any:
        """The command's answer within 50 ms. Raises RedisDownError."""
        if not self.up:
            command.close()
            raise RedisDownError
        task = self._group.create_task(self._guarded(command), name="redis command")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait({task}, timeout=COMMAND_TIMEOUT_S)
        answer = task.result() if done else RedisDownError()
        if isinstance(answer, RedisDownError):
            self._lose()
            raise answer
        return answer

    async def _guarded(self, command: Coroutine[Any, Any, Any]) -> Any:
        """Errors as values: a task that nobody waits for any more must not end its group."""
        try:
            return await command
        except (TimeoutError, RedisError, OSError):
            return RedisDownError()

    def _lose(self) -> None:
        self._on_error()
        if self.up:
            self.up = False
            log.warning("redis is lost: this process decides alone")

    async def probe(self) -> None:
        """Looks, while it is lost, whether it is back; runs until cancelled."""
        while True:
            await asyncio.sleep(PROBE_INTERVAL_S)
            if not self.up and await self._answers():
                self.up = True
                log.info("redis is back")
                for call in self.on_back:
                    await call()

    async def _answers(self) -> bool:
        task = self._group.create_task(self._guarded(self.client.ping()), name="redis probe")
        done, _ = await asyncio.wait({task}, timeout=SOCKET_TIMEOUT_S)
        return bool(done) and task.result() is True

    async def close(self) -> None:
        """Close every connection."""
        if self._running:
            await asyncio.wait(self._running, timeout=SOCKET_TIMEOUT_S)
        with contextlib.suppress(RedisError, OSError):
            await self.client.aclose()
