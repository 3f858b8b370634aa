"""What replicas share: small values with a life, values taken once, revocations, and news.

Redis when there is one; else, and while it is lost, this process's own memory: a gateway without Redis goes on, alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from server.shared.in_process_state import LocalState
from server.shared.redis_link import RedisDownError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from server.shared.in_process_state import Listener
    from server.shared.redis_link import RedisLink

__all__ = ["LocalState", "RedisState", "State"]

log = structlog.get_logger(__name__)

PREFIX = "jarvis:"
NEWS = f"{PREFIX}news"
REVOKED = f"{PREFIX}revoked"  # sorted set: token or family id, scored by the Unix time until which it matters
LISTEN_RETRY_S = 0.2
PATIENCE_S = 1.0  # for a ticket, whose owner would have to begin anew
SILENCE_S = 5.0  # without news the connection is asked whether it lives; two silences in a row end it
SCAN_COUNT = 1000  # revocations a step when they are loaded: Redis serves others in between

AWAY = (RedisDownError, OutOfMemoryError)  # full is as good as lost

# Compare and set. Returns 1 when the value was the old one.
REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class State(Protocol):
    """Shared between replicas as far as Redis reaches. Keys are made of ids and never of a client's raw text."""

    shared: bool
    """Is there a Redis at all?"""

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False) -> bool:
        """Keep a value; False when `only_new` and there is one already."""

    async def get(self, key: str) -> str | None:
        """A value, if it lives."""

    async def take(self, key: str) -> str | None:
        """A value, and it is gone: whoever asks second gets None."""

    async def replace(self, key: str, old: str, new: str, ttl_s: float) -> bool:
        """Put `new` where `old` still is; False when it is not."""

    async def revoke(self, token_id: str, until: float) -> None:
        """Nothing of that token (or family) counts any more; `until` Unix seconds it need not be remembered longer.

        Every replica's listeners are told `revoked` with token_id and until.
        """

    def revoked(self, *token_ids: str) -> bool:
        """Is any of them known here to be revoked? Costs no round trip; another replica's news may be on their way."""

    def revocation(self, *token_ids: str) -> Awaitable[bool]:
        """The same, asked of Redis: in the round trip that everything of this tick of the loop shares. Never raises."""

    async def forget(self, key: str) -> None:
        """Remove a value."""

    async def publish(self, kind: str, **news: Any) -> None:
        """Tell all replicas, this one too."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Be told what any replica publishes: `listener(kind, news)`. Returns how to stop that."""

    async def ping(self) -> float | None:
        """Round trip to Redis in ms; None when it is lost."""


class _Revocation:
    """An answer of Redis under way; what is known here counts when it does not come."""

    __slots__ = ("_known", "_reply")

    def __init__(self, reply: asyncio.Future[Any], known: bool) -> None:
        self._reply = reply
        self._known = known

    def __await__(self) -> Generator[Any, None, bool]:
        try:
            scores = yield from self._reply.__await__()
        except (RedisDownError, ResponseError):
            return self._known
        return self._known or any(score is not None for score in scores)


class RedisState:
    """In Redis; in this process's memory while Redis is lost. `listen()` has to run for news and revocations to come."""

    shared = True

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._local = LocalState()
        self._untold: dict[str, float] = {}  # revoked while Redis was lost: told when it is back
        self._name = secrets.token_hex(8)  # of this replica: its own news come back to it, and are known already
        link.on_back += [self._tell_revoked, self.load_revoked]

    # --- values ---

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False) -> bool:
        condition = ("NX",) if only_new else ()
        command = ("SET", PREFIX + key, value, "PX", _ms(ttl_s), *condition)
        with contextlib.suppress(*AWAY):
            return await self._link.call(*command, patient=True) is not None
        return await self._local.put(key, value, ttl_s, only_new=only_new)

    async def get(self, key: str) -> str | None:
        """As State. What was kept while Redis was lost is still found."""
        with contextlib.suppress(*AWAY):
            found = await self._link.call("GET", PREFIX + key, patient=True)
            if found is not None:
                return str(found, "utf-8")
        return await self._local.get(key)

    async def take(self, key: str) -> str | None:
        """As State. What was kept while Redis was lost is here; for what is in Redis, one that stumbles is waited for."""
        here = await self._local.take(key)
        if here is not None:
            return here
        with contextlib.suppress(*AWAY):
            found = await self._link.patiently(
                lambda: self._link.call("GETDEL", PREFIX + key, patient=True), PATIENCE_S
            )
            return str(found, "utf-8") if found is not None else None
        return None

    async def replace(self, key: str, old: str, new: str, ttl_s: float) -> bool:
        with contextlib.suppress(*AWAY):
            replaced: int = await self._link.call("EVAL", REPLACE, 1, PREFIX + key, old, new, _ms(ttl_s), patient=True)
            return replaced == 1
        return await self._local.replace(key, old, new, ttl_s)

    # --- revocations ---

    async def revoke(self, token_id: str, until: float) -> None:
        """As State. Nothing is forgotten when Redis is lost: the others are told when it is back."""
        self._local.note_revoked(token_id, until)
        self._untold[token_id] = until
        self._local.tell("revoked", {"token_id": token_id, "until": until})
        await self._tell_revoked()

    async def _tell_revoked(self) -> None:
        with contextlib.suppress(*AWAY):
            while self._untold:
                token_id, until = next(iter(self._untold.items()))
                self._link.submit("ZREMRANGEBYSCORE", REVOKED, "-inf", time.time(), patient=True)
                told = self._link.submit("ZADD", REVOKED, until, token_id, patient=True)
                await self._announce("revoked", {"token_id": token_id, "until": until})
                await told
                self._untold.pop(token_id, None)

    def revoked(self, *token_ids: str) -> bool:
        """As State: loaded when listening began, told by the others since."""
        return self._local.revoked(*token_ids)

    def revocation(self, *token_ids: str) -> Awaitable[bool]:
        known = self._local.revoked(*token_ids)
        if known or not self._link.up:
            return self._local.revocation(*token_ids)
        return _Revocation(self._link.submit("ZMSCORE", REVOKED, *token_ids), known)

    async def load_revoked(self) -> None:
        """What was revoked before we listened."""
        now, cursor = time.time(), b"0"
        with contextlib.suppress(*AWAY):
            while True:
                cursor, found = await self._link.call("ZSCAN", REVOKED, cursor, "COUNT", SCAN_COUNT, patient=True)
                for token_id, until in zip(found[::2], found[1::2], strict=True):
                    if float(until) > now:
                        self._local.note_revoked(str(token_id, "utf-8"), float(until))
                if int(cursor) == 0:
                    return

    async def forget(self, key: str) -> None:
        with contextlib.suppress(*AWAY):
            await self._link.call("UNLINK", PREFIX + key, patient=True)
        await self._local.forget(key)

    # --- news ---

    async def publish(self, kind: str, **news: Any) -> None:
        """As State: told here at once, and to the others as far as Redis reaches."""
        self._local.tell(kind, news)
        with contextlib.suppress(*AWAY):
            await self._announce(kind, news)

    async def _announce(self, kind: str, news: dict[str, Any]) -> None:
        await self._link.call(
            "PUBLISH", NEWS, json.dumps({"from": self._name, "kind": kind, "news": news}), patient=True
        )

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self._local.subscribe(listener)

    async def listen(self) -> None:
        """Take the news; runs until cancelled, and subscribes again after every loss."""
        while True:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with self._link.client.pubsub() as channel:
                    async with asyncio.timeout(SILENCE_S):
                        await channel.subscribe(NEWS)
                    await self.load_revoked()
                    await self._take_news(channel)
            await asyncio.sleep(LISTEN_RETRY_S)

    async def _take_news(self, channel: Any) -> None:
        """Until the connection ends, or no longer answers."""
        asked = False
        while True:
            message = await channel.get_message(timeout=SILENCE_S)
            if message is None and asked:
                return
            asked = message is None
            if asked:
                await channel.ping()
            elif message["type"] == "message":
                self._on_news(message["data"])

    def _on_news(self, data: bytes) -> None:
        told = json.loads(data)
        if told["from"] == self._name:
            return
        kind, news = told["kind"], told["news"]
        if kind == "revoked":
            self._local.note_revoked(news["token_id"], news["until"])
        self._local.tell(kind, news)

    async def ping(self) -> float | None:
        began = time.perf_counter()
        try:
            await self._link.call("PING")
        except RedisDownError:
            return None
        return (time.perf_counter() - began) * 1000


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
