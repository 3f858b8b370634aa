"""What replicas share: small values that expire, values taken once, revocations, and news.

The state is in Redis if there is one. Without Redis, or while it is lost, it is in this process's own memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from server.shared.in_process_state import ANSWERS, MAX_ENTRIES, LocalState
from server.shared.recent import Recent
from server.shared.redis_errors import RedisDownError, RedisFullError, RedisRefusedError
from server.shared.state_interface import State
from streaming.flag import Flag

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from server.shared.in_process_state import Listener
    from server.shared.redis_link import RedisLink
    from server.shared.redis_subscription import Subscription

__all__ = ["LocalState", "RedisState", "State"]

log = structlog.get_logger(__name__)

PREFIX = "jarvis:"
NEWS = f"{PREFIX}news"
PROBE = f"{PREFIX}probe"
KEPT = "kept here"  # the news that a replica has values which Redis did not take
REVOKED = f"{PREFIX}revoked"  # sorted set: token or family id, scored by the Unix time at which it can be forgotten
LISTEN_RETRY_S = 0.2
PATIENCE_S = 1.0  # for a ticket, whose owner would otherwise have to start again
SILENCE_S = 5.0  # after this long without news, ping the connection; two silences in a row end it
RETELL_S = 1.0
COPIES, COPIES_CHARS = 20_000, 8 * 1024 * 1024
TOLD_AT_ONCE = 500  # values, which are on their way to Redis together
COPY_S = 600.0  # longer than the longest task; who asks again does so within minutes
SCAN_COUNT = 1000  # revocations loaded per step, so that Redis can serve others in between

AWAY = (RedisDownError, RedisFullError)  # a full Redis is as good as lost

# Compare and set. Returns 1 if the value was the old one.
REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

# Compare and delete.
REMOVE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('UNLINK', KEYS[1]) end
"""

# The first addition sets when the sum is forgotten.
ADD = """
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
if sum == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return sum
"""


class _Revocation:
    """A pending answer of Redis. If none comes, what is known here counts."""

    __slots__ = ("_reply", "_state", "_token_ids")

    def __init__(self, state: RedisState, token_ids: tuple[str, ...]) -> None:
        self._state = state
        self._token_ids = token_ids
        self._reply = state.ask_revoked(token_ids)

    def __await__(self) -> Generator[Any, None, bool]:
        with contextlib.suppress(RedisDownError, RedisRefusedError):
            untils = yield from self._reply.__await__()
            for token_id, until in zip(self._token_ids, untils, strict=True):
                if until is not None:
                    self._state.learn_revoked(token_id, float(until))
        return self._state.revoked(*self._token_ids)


class RedisState:
    """State in Redis, or in this process while Redis is lost. `listen()` must run to receive news and revocations."""

    shared = True

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._local = LocalState()
        # What must not happen twice and Redis has too, for whoever asks here again.
        self._copies = LocalState(max_entries=COPIES, max_chars=COPIES_CHARS)
        # Revoked, and until when: not announced yet, and not in Redis' set yet. A full Redis announces, and refuses to store.
        self._unheard: dict[str, float] = {}
        self._untold: dict[str, float] = {}
        # What Redis has still to be told of values: until when those count that are newer here, with the condition of their
        # command; which were taken; and which were removed, with their value.
        self._unwritten: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._untaken: set[str] = set()
        self._unremoved: dict[str, str] = {}
        self._recent = Recent(time.monotonic)
        self._anew = Flag()
        self._name = secrets.token_hex(8)  # of this replica, to recognise its own news when they come back
        link.on_back += [self._recall, self._tell_revoked, self.load_revoked, self._tell_values]

    async def complete(self) -> bool:
        with contextlib.suppress(RedisDownError, RedisRefusedError):
            # a full one still answers what only reads
            await self._link.call("SET", PROBE, "1", "PX", 1000, patient=True)
            return self._link.settled
        return False

    # --- values ---

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False, owner: str = "") -> bool:
        if only_new:
            await self._tell(key)
            if await self._kept(key) is not None:
                return False  # stored here, and Redis may be lost, or may have lost it
        condition = ("NX",) if only_new else ()
        command = ("SET", PREFIX + key, value, "PX", _ms(ttl_s), *condition)
        try:
            stored = await self._link.call(*command, patient=True) is not None
        except RedisDownError:
            pass
        except RedisFullError:
            if only_new and await self._has(key):
                return False
        else:
            if not only_new:  # what was stored here meanwhile is older
                self._unwritten.pop(key, None)
                self._untaken.discard(key)
                await self._local.take(key)
            if stored and await self._copy(key, value, ttl_s, condition, owner):
                self._recent.note(key, partial(self._write_later, key, time.time() + ttl_s, condition))
            return stored
        if not await self._local.put(key, value, ttl_s, only_new=only_new, owner=owner):
            return False
        await self._copy(key, value, ttl_s, condition, owner)
        # Redis may have an older one, which does not count if it was taken
        self._write_later(key, time.time() + ttl_s, () if key in self._untaken else condition)
        self._untaken.discard(key)
        with contextlib.suppress(RedisDownError, RedisRefusedError):
            await self._announce(KEPT, {})  # whoever is asked for it next may not have found Redis full
        return True

    def _write_later(self, key: str, ends: float, condition: tuple[str, ...]) -> None:
        self._unwritten[key] = ends, condition
        if len(self._unwritten) > MAX_ENTRIES:
            del self._unwritten[next(iter(self._unwritten))]

    async def _has(self, key: str) -> bool:
        """Whether Redis has the key. A full one still answers what only reads."""
        with contextlib.suppress(*AWAY):
            return bool(await self._link.call("EXISTS", PREFIX + key, patient=True))
        return False

    async def _kept(self, key: str) -> str | None:
        here = await self._local.get(key)
        return here if here is not None else await self._copies.get(key)

    async def _copy(self, key: str, value: str, ttl_s: float, condition: tuple[str, ...], owner: str) -> bool:
        """Keep a copy of a claim, or of what a request was answered: it does not run twice here, whatever becomes of Redis."""
        if not condition and not key.startswith(ANSWERS):
            await self._copies.take(key)
            return False
        return await self._copies.put(key, value, min(ttl_s, COPY_S), owner=owner)

    async def get(self, key: str) -> str | None:
        """The value, from this process too: values stored while Redis was lost, or was full, are only there."""
        await self._tell(key)
        if key not in self._unwritten and key not in self._untaken and key not in self._unremoved:
            with contextlib.suppress(*AWAY):
                found = await self._link.call("GET", PREFIX + key, patient=True)
                if found is not None:
                    return str(found, "utf-8")
        return await self._kept(key)

    async def take(self, key: str, *, closes: bool = False) -> str | None:
        """Take from this process first, which has what was stored while Redis was lost. For Redis, wait out a short outage."""
        here = await self._local.take(key)
        copied = await self._copies.take(key)
        self._unwritten.pop(key, None)

        async def ask() -> Any:
            return await self._link.call("GETDEL", PREFIX + key, patient=True)

        with contextlib.suppress(*AWAY):
            found = await (self._link.patiently(ask, PATIENCE_S) if here is None else ask())
            taken_before = key in self._untaken
            self._untaken.discard(key)
            if closes or here is not None or found is not None:
                self._recent.note(key, partial(self._untaken.add, key))
            return here if here is not None or found is None or taken_before else str(found, "utf-8")
        # What only Redis may have was not taken: whoever asks again when it is back gets it.
        if (closes or here is not None or copied is not None) and len(self._untaken) < MAX_ENTRIES:
            self._untaken.add(key)
        return here

    async def remove(self, key: str, value: str) -> None:
        if await self._kept(key) == value:
            await self._local.take(key)
            await self._copies.take(key)
            self._unwritten.pop(key, None)
            self._recent.drop(key)
        if len(self._unremoved) < MAX_ENTRIES or key in self._unremoved:
            self._unremoved[key] = value
        await self._tell(key)

    async def tell_late(self) -> None:
        """Tell Redis what it could not take, as soon as it can: nobody says when a full one has room. Runs until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETELL_S):
                    await self._anew.wait()
            if self._anew.is_set():
                self._anew.clear()
                await self._recall()
                with contextlib.suppress(RedisRefusedError):
                    await self.load_revoked()
            await self._tell_revoked()
            await self._tell_values()
            if self._unwritten:
                self._announce(KEPT, {})

    def write_anew(self) -> None:
        self._anew.set()

    async def _recall(self) -> None:
        self._recent.tell_again()

    async def _tell_values(self) -> None:
        """Tell Redis what it takes now."""
        keys = [*dict.fromkeys([*self._unremoved, *self._unwritten, *self._untaken])]
        for start in range(0, len(keys), TOLD_AT_ONCE):
            if not all(await asyncio.gather(*map(self._took, keys[start : start + TOLD_AT_ONCE]))):
                return

    async def _took(self, key: str) -> bool:
        """False if Redis takes nothing now."""
        try:
            await self._tell_now(key)
        except AWAY:
            return False
        except RedisRefusedError:
            pass
        return True

    async def _tell(self, key: str) -> None:
        """Tell Redis what became of a value while it was lost or full, if anything did. What it does not take stays here."""
        with contextlib.suppress(RedisDownError, RedisRefusedError):
            await self._tell_now(key)

    async def _tell_now(self, key: str) -> None:
        if (removed := self._unremoved.get(key)) is not None:
            await self._link.call("EVAL", REMOVE, 1, PREFIX + key, removed, patient=True)
            if self._unremoved.get(key) == removed:
                del self._unremoved[key]
        noted = self._unwritten.get(key)
        value = await self._kept(key) if noted is not None else None
        if noted is not None and value is not None:
            ends, condition = noted
            left_s = max(0.001, ends - time.time())
            told = self._link.submit("SET", PREFIX + key, value, "PX", _ms(left_s), *condition, patient=True)
            if await told is not None and self._unwritten.get(key) == noted:
                await self._local.take(key)
        elif key in self._untaken:
            await self._link.call("DEL", PREFIX + key, patient=True)
            self._untaken.discard(key)
        if self._unwritten.get(key) == noted:
            self._unwritten.pop(key, None)

    async def replace(self, key: str, old: str, new: str, ttl_s: float) -> bool:
        with contextlib.suppress(*AWAY):
            replaced: int = await self._link.call("EVAL", REPLACE, 1, PREFIX + key, old, new, _ms(ttl_s), patient=True)
            return replaced == 1
        return await self._local.replace(key, old, new, ttl_s)

    async def add(self, key: str, number: int, ttl_s: float) -> int:
        with contextlib.suppress(*AWAY):
            return int(await self._link.call("EVAL", ADD, 1, PREFIX + key, number, _ms(ttl_s), patient=True))
        return await self._local.add(key, number, ttl_s)

    # --- revocations ---

    async def revoke(self, token_id: str, until: float) -> None:
        """Revoke here at once; the other replicas are told now, or as soon as Redis takes it."""
        self._local.note_revoked(token_id, until)
        for missing in (self._unheard, self._untold):
            missing[token_id] = until
            if len(missing) > MAX_ENTRIES:
                del missing[next(iter(missing))]
        self._recent.note(f"revoked:{token_id}", partial(self._unheard.__setitem__, token_id, until))
        self._local.tell("revoked", {"token_id": token_id, "until": until})
        await self._tell_revoked()

    async def _tell_revoked(self) -> None:
        """Whoever listens now is told by an announcement, and all others by the set. Both go in one round trip."""
        await asyncio.gather(self._announce_revoked(), self._store_revoked())

    async def _announce_revoked(self) -> None:
        with contextlib.suppress(RedisDownError, RedisRefusedError):
            while self._unheard:
                token_id, until = next(iter(self._unheard.items()))
                await self._announce("revoked", {"token_id": token_id, "until": until})
                self._unheard.pop(token_id, None)

    async def _store_revoked(self) -> None:
        with contextlib.suppress(RedisDownError, RedisRefusedError):
            while self._untold:
                token_id, until = next(iter(self._untold.items()))
                self._link.submit("ZREMRANGEBYSCORE", REVOKED, "-inf", time.time(), patient=True)
                await self._link.call("ZADD", REVOKED, until, token_id, patient=True)
                self._untold.pop(token_id, None)

    def revoked(self, *token_ids: str) -> bool:
        return self._local.revoked(*token_ids)

    def revocation(self, *token_ids: str) -> Awaitable[bool]:
        if self._local.revoked(*token_ids) or not self._link.up:
            return self._local.revocation(*token_ids)
        return _Revocation(self, token_ids)

    def ask_revoked(self, token_ids: tuple[str, ...]) -> asyncio.Future[Any]:
        """Ask Redis until when each is revoked; None: it is not."""
        return self._link.submit("ZMSCORE", REVOKED, *token_ids)

    def learn_revoked(self, token_id: str, until: float) -> None:
        """Another replica revoked it. News get lost and late, so whatever shows it first tells the listeners, who close its sockets."""
        if not self._local.revoked(token_id):
            self._local.note_revoked(token_id, until)
            self._local.tell("revoked", {"token_id": token_id, "until": until})

    async def load_revoked(self) -> None:
        """Load revocations made while we did not listen, and store those that Redis has lost: who starts later asks only Redis."""
        now, cursor = time.time(), b"0"
        lost = dict(self._local.revocations())
        with contextlib.suppress(*AWAY):
            while True:
                cursor, found = await self._link.call("ZSCAN", REVOKED, cursor, "COUNT", SCAN_COUNT, patient=True)
                for token_id, until in zip(found[::2], found[1::2], strict=True):
                    lost.pop(str(token_id, "utf-8"), None)
                    if float(until) > now:
                        self.learn_revoked(str(token_id, "utf-8"), float(until))
                if int(cursor) == 0:
                    break
            pairs = [part for token_id, until in lost.items() for part in (until, token_id)]
            for start in range(0, len(pairs), 2 * SCAN_COUNT):
                await self._link.call("ZADD", REVOKED, *pairs[start : start + 2 * SCAN_COUNT], patient=True)

    async def forget(self, key: str) -> None:
        with contextlib.suppress(*AWAY):
            await self._link.call("UNLINK", PREFIX + key, patient=True)
        await self._local.forget(key)
        await self._copies.forget(key)

    # --- news ---

    async def publish(self, kind: str, **news: Any) -> None:
        """Tell this process at once, and the others if Redis is reachable. Nobody waits for the round trip."""
        self._local.tell(kind, news)
        self._announce(kind, news)

    def _announce(self, kind: str, news: dict[str, Any]) -> asyncio.Future[Any]:
        text = json.dumps({"from": self._name, "kind": kind, "news": news})
        return self._link.submit("PUBLISH", NEWS, text, patient=True)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self._local.subscribe(listener)

    async def listen(self) -> None:
        """Receive news. Runs until cancelled, and subscribes again after every loss."""
        while True:
            channel = self._link.subscription()
            try:
                await channel.open(NEWS, SILENCE_S)
                await self.load_revoked()
                await self._take_news(channel)
            except (RedisDownError, RedisRefusedError):
                pass  # refused: perhaps by a proxy that cannot reach it just now
            finally:
                await channel.close(SILENCE_S)
            await asyncio.sleep(LISTEN_RETRY_S)

    async def _take_news(self, channel: Subscription) -> None:
        """Receive until the connection ends or stops answering."""
        asked = False
        while True:
            data = await channel.next(SILENCE_S)
            if data is None and asked:
                return
            asked = data is None
            if data is None:
                await channel.ping()
            elif data:
                self._on_news(data)

    def _on_news(self, data: bytes) -> None:
        told = json.loads(data)
        if told["from"] == self._name:
            return
        kind, news = told["kind"], told["news"]
        if kind == "revoked":
            self.learn_revoked(news["token_id"], news["until"])
        elif kind == KEPT:
            self._link.note_amiss()
        else:
            self._local.tell(kind, news)

    async def ping(self) -> float | None:
        began = time.perf_counter()
        try:
            await self._link.call("SET", PROBE, "1", "PX", 1000)
        except RedisDownError:
            return None
        return (time.perf_counter() - began) * 1000


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
