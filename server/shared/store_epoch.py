"""Whether Redis still holds what was written to it. Every replica beats twice a second, and Redis records the time of the last beat.

A session's record is valid only as long as its replica could write to it, so the store has an epoch. A new epoch begins after
a gap in the beats (Redis was stopped, read-only, full or cut off), when the server was restarted (perhaps with old data), and
when it is empty. Records of an older epoch cannot be claimed; each living replica writes its own anew at once. A single replica
that is cut off starts no epoch: its sessions get new tokens, which their old records do not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from typing import TYPE_CHECKING, TypeVar

from server.shared.redis_errors import NoScriptError, RedisDownError, RedisRefusedError
from server.shared.state import PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.shared.redis_link import RedisLink

T = TypeVar("T")

KEY = f"{PREFIX}store"
BEAT_S = 0.5
# A replica continues without Redis after streaming.jarvis.journal.GO_AHEAD_S without a confirmed write. Its last write may be one
# beat older than the gap that the others see, and a loaded machine delays beats. The gap is shorter than GO_AHEAD_S by both.
GAP_S = 1.5
LIFE_S = 5.0  # a replica silent for this long is taken for dead

# Returns the epoch's name.
BEATING = """
local function beat(key, gap_ms, fresh)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
local epoch, last, known = unpack(redis.call('HMGET', key, 'epoch', 'beat', 'run'))
local gap = now - tonumber(last or 0)
if not epoch or run ~= known or gap > tonumber(gap_ms) or gap < -tonumber(gap_ms) then epoch = fresh end
redis.call('HSET', key, 'epoch', epoch, 'beat', string.format('%.0f', now), 'run', run)
return epoch
end
"""
# KEYS: the store's key. ARGV: gap in ms, name of a new epoch.
BEAT = BEATING + "return beat(KEYS[1], ARGV[1], ARGV[2])"
_SHA = hashlib.sha1(BEAT.encode()).hexdigest()  # noqa: S324 - Redis' own name of a script


class StoreEpoch:
    """The store's epoch. `replica`: the name under which this one beats. `keep_beating` has to run.

    `on_news` are called when the epoch changes and when Redis can be written to again; records must then be written anew.
    """

    def __init__(self, link: RedisLink, replica: str) -> None:
        self.replica = replica
        self.name = ""  # of the epoch; empty if not known yet
        self.on_news: list[Callable[[], None]] = []
        self._link = link
        self._confirmed_at = self.news_at = float("-inf")  # on the loop's clock
        self._failed = False

    @property
    def silent_s(self) -> float:
        """Seconds since the newest write that Redis confirmed was sent."""
        return asyncio.get_running_loop().time() - self._confirmed_at

    async def keep_beating(self) -> None:
        """Beat until cancelled."""
        while True:
            with contextlib.suppress(RedisDownError, RedisRefusedError):
                await self.beat()
            await asyncio.sleep(BEAT_S)

    async def beat(self) -> str:
        """Ask for the epoch and show that this replica is alive. Raises RedisDownError, RedisRefusedError."""
        await self.beat_with(self._beat)
        return self.name

    async def beat_within(self, seconds: float) -> None:
        """The same as soon as Redis is back. Raises RedisDownError if it is not in time, RedisRefusedError."""
        await self._link.patiently(self.beat, seconds)

    async def _beat(self, gap_ms: int, fresh: str) -> tuple[bytes, None]:
        alive = self._link.submit("SET", _life(self.replica), "1", "PX", round(LIFE_S * 1000), patient=True)
        try:
            answer = await self._link.call("EVALSHA", _SHA, 1, KEY, gap_ms, fresh, patient=True)
        except NoScriptError:
            answer = await self._link.call("EVAL", BEAT, 1, KEY, gap_ms, fresh, patient=True)
        await alive
        return answer, None

    async def beat_with(self, run: Callable[[int, str], Awaitable[tuple[bytes, T]]]) -> T:
        """Beat by a script of the caller's, which begins with BEATING and does more in the same round trip.

        `run` is given the arguments of `beat` and returns the epoch's name and the rest of the answer. Raises as `beat` does.
        """
        sent_at = asyncio.get_running_loop().time()
        try:
            name, rest = await run(round(GAP_S * 1000), secrets.token_hex(8))
        except (RedisDownError, RedisRefusedError):
            self._failed = True
            raise
        self._confirmed_at = max(self._confirmed_at, sent_at)
        self._learn(str(name, "ascii"))
        return rest

    def _learn(self, name: str) -> None:
        news = self._failed or (self.name not in {"", name})
        self.name, self._failed = name, False
        if news:
            self.news_at = asyncio.get_running_loop().time()
            for tell in self.on_news:
                tell()

    async def lives(self, replica: str) -> bool:
        """True if that replica still beats, or if Redis cannot tell."""
        try:
            return bool(await self._link.call("EXISTS", _life(replica), patient=True))
        except (RedisDownError, RedisRefusedError):
            return True


def _life(replica: str) -> str:
    return f"{PREFIX}replica:{replica}"
