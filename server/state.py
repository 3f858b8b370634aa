"""What replicas share: small values with a life, values taken once, revocations, and news between replicas.

Redis when there is one; else, and while it is lost, this process's own memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from redis.exceptions import RedisError

from server.redis_link import RedisDownError, RedisLink

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

PREFIX = "jarvis:"
NEWS = f"{PREFIX}news"
REVOKED = f"{PREFIX}revoked"
MAX_LOCAL_ENTRIES = 100_000  # in this process's memory; the ones that end first make room
LISTEN_RETRY_S = 0.5


class State(Protocol):
    """Shared between replicas as far as Redis reaches."""

    shared: bool
    """Is there a Redis at all?"""

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False) -> bool:
        """Keep a value; False when `only_new` and there is one already."""

    async def get(self, key: str) -> str | None:
        """A value, if it lives."""

    async def take(self, key: str) -> str | None:
        """A value, and it is gone: whoever asks second gets None."""

    async def revoke(self, token_id: str, until: float) -> None:
        """Nothing of that token (or family) counts any more; `until` unix seconds it need not be remembered longer."""

    def revoked(self, token_id: str) -> bool:
        """Known here; costs no round trip."""

    async def publish(self, kind: str, **news: Any) -> None:
        """Tell all replicas, this one too."""

    def subscribe(self, listener: Callable[[str, dict[str, Any]], None]) -> None:
        """Be told what any replica publishes."""

    async def ping(self) -> float | None:
        """Round trip to Redis in ms; None when it is lost."""


class LocalState:
    """In this process only."""

    shared = False

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, str]] = {}
        self._revoked: dict[str, float] = {}
        self._listeners: list[Callable[[str, dict[str, Any]], None]] = []

    def _live(self, key: str) -> str | None:
        ends, value = self._values.get(key, (0.0, ""))
        return value if ends > time.time() else None

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False) -> bool:
        """Keep a value."""
        if only_new and self._live(key) is not None:
            return False
        self._values[key] = (time.time() + ttl_s, value)
        if len(self._values) > MAX_LOCAL_ENTRIES:
            now = time.time()
            self._values = {
                k: v for k, v in sorted(self._values.items(), key=lambda item: item[1][0])[1000:] if v[0] > now
            }
        return True

    async def get(self, key: str) -> str | None:
        """A value."""
        return self._live(key)

    async def take(self, key: str) -> str | None:
        """A value, once."""
        value = self._live(key)
        self._values.pop(key, None)
        return value

    async def revoke(self, token_id: str, until: float) -> None:
        """Remember, and tell."""
        self.note_revoked(token_id, until)
        await self.publish("revoked", token_id=token_id, until=until)

    def note_revoked(self, token_id: str, until: float) -> None:
        """Remember without telling; what has run out makes room."""
        now = time.time()
        if len(self._revoked) > MAX_LOCAL_ENTRIES:
            self._revoked = {key: ends for key, ends in self._revoked.items() if ends > now}
        self._revoked[token_id] = until

    def revoked(self, token_id: str) -> bool:
        """Known here."""
        return token_id in self._revoked

    async def publish(self, kind: str, **news: Any) -> None:
        """Tell everybody here."""
        self.tell(kind, news)

    def tell(self, kind: str, news: dict[str, Any]) -> None:
        """Call the listeners."""
        for listener in self._listeners:
            listener(kind, news)

    def subscribe(self, listener: Callable[[str, dict[str, Any]], None]) -> None:
        """Be told."""
        self._listeners.append(listener)

    async def ping(self) -> float | None:
        """There is no Redis to answer."""
        return None


class RedisState:
    """In Redis; in this process's memory while Redis is lost."""

    shared = True

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._local = LocalState()
        link.on_back.append(self.load_revoked)

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False) -> bool:
        """Keep a value."""
        with contextlib.suppress(RedisDownError):
            command = self._link.client.set(PREFIX + key, value, px=max(1, round(ttl_s * 1000)), nx=only_new)
            return bool(await self._link.run(command))
        return await self._local.put(key, value, ttl_s, only_new=only_new)

    async def get(self, key: str) -> str | None:
        """A value."""
        found: str | None = None
        with contextlib.suppress(RedisDownError):
            found = await self._link.run(self._link.client.get(PREFIX + key))
        return found if found is not None else await self._local.get(key)

    async def take(self, key: str) -> str | None:
        """A value, once."""
        found: str | None = None
        with contextlib.suppress(RedisDownError):
            found = await self._link.run(self._link.client.getdel(PREFIX + key))
        return found if found is not None else await self._local.take(key)

    async def revoke(self, token_id: str, until: float) -> None:
        """Remember everywhere, and tell."""
        self._local.note_revoked(token_id, until)
        with contextlib.suppress(RedisDownError):
            await self._link.run(self._link.client.zadd(REVOKED, {token_id: until}))
        await self.publish("revoked", token_id=token_id, until=until)

    def revoked(self, token_id: str) -> bool:
        """Known here: loaded at start, told by the others since."""
        return self._local.revoked(token_id)

    async def load_revoked(self) -> None:
        """What was revoked before we listened; what need not be remembered any more is dropped."""
        with contextlib.suppress(RedisDownError):
            await self._link.run(self._link.client.zremrangebyscore(REVOKED, 0, time.time()))
            known = await self._link.run(self._link.client.zrange(REVOKED, 0, -1, withscores=True))
            for token_id, until in known:
                self._local.note_revoked(token_id, float(until))

    async def publish(self, kind: str, **news: Any) -> None:
        """Through Redis to all; directly when it is lost."""
        try:
            await self._link.run(self._link.client.publish(NEWS, json.dumps({"kind": kind, "news": news})))
        except RedisDownError:
            self._local.tell(kind, news)

    def subscribe(self, listener: Callable[[str, dict[str, Any]], None]) -> None:
        """Be told."""
        self._local.subscribe(listener)

    async def listen(self) -> None:
        """Take the news; runs until cancelled, and subscribes again after every loss."""
        while True:
            with contextlib.suppress(RedisError, OSError, asyncio.TimeoutError):
                async with self._link.client.pubsub() as channel:
                    await channel.subscribe(NEWS)
                    await self.load_revoked()
                    await self._take_news(channel)
            await asyncio.sleep(LISTEN_RETRY_S)

    async def _take_news(self, channel: Any) -> None:
        while True:
            message = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
            if message is not None:
                self._on_news(json.loads(message["data"]))

    def _on_news(self, told: dict[str, Any]) -> None:
        kind, news = told["kind"], told["news"]
        if kind == "revoked":
            self._local.note_revoked(news["token_id"], news["until"])
        self._local.tell(kind, news)

    async def ping(self) -> float | None:
        """Round trip in ms."""
        began = time.perf_counter()
        try:
            await self._link.run(self._link.client.ping())
        except RedisDownError:
            return None
        return (time.perf_counter() - began) * 1000
