"""Rate limits: an exact sliding window per caller, decided by Redis in one round trip per tick of the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from array import array
from bisect import bisect_right, insort
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from server.net.client_address import address_key
from server.shared.redis_errors import NoScriptError, RedisDownError, RedisRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.shared.redis_link import RedisLink

MAX_LOCAL_CALLERS = 20_000  # counted in this process; the least recently seen are evicted
FORGET_EVERY_S = 10.0
FORGET_AT_ONCE = 1_000  # less than a millisecond
PREFIX = "jarvis:limit:"

# One decision. A sorted set has one member per admitted request, scored by Redis' clock in microseconds; refused requests are
# not stored, and one that is there already is not counted again. ARGV: limit, window in µs, the request's member. Returns admitted (1 or 0), the number of requests in the window, when
# that number next changes (for a refused request: when there is room again), and the current time, both in µs.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - window))
local used = redis.call('ZCARD', KEYS[1])
local admitted, leaving = 0, 0
if used < limit then
  used = used + redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', now), ARGV[3])
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
  admitted = 1
elseif redis.call('ZSCORE', KEYS[1], ARGV[3]) then
  admitted = 1
else
  leaving = used - limit
end
local found = redis.call('ZRANGE', KEYS[1], leaving, leaving, 'WITHSCORES')
return {admitted, used, string.format('%.0f', tonumber(found[2]) + window), string.format('%.0f', now)}
"""
SCRIPT_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. `reset_at`: Unix seconds at which the oldest counted request leaves the window. `backend`: redis or local."""

    allowed: bool
    limit: int
    remaining: int
    reset_at: float
    retry_after_s: float
    backend: str


@dataclass(slots=True)
class _Admissions:
    """Admission times of one caller's requests, oldest first (8 bytes each), and the longest window that counts them.

    `full_until`: by limit, until when Redis refuses what it has refused.
    """

    admitted_at: array[float]
    window_s: float
    full_until: dict[int, float] = field(default_factory=dict)


class LocalWindow:
    """The same rule in this process. `now`: monotonic seconds."""

    def __init__(self, max_callers: int = MAX_LOCAL_CALLERS) -> None:
        self._callers: OrderedDict[str, _Admissions] = OrderedDict()
        self._max_callers = max_callers

    def __len__(self) -> int:
        return len(self._callers)

    def decide(self, key: str, limit: int, window_s: float, now: float) -> Decision:
        """Count one request, or refuse it."""
        admitted_at = self._inside(key, window_s, now)
        used = len(admitted_at)
        if used < limit:
            admitted_at.append(now)
            return Decision(True, limit, limit - used - 1, admitted_at[0] + window_s, 0.0, "local")
        room_at = admitted_at[used - limit] + window_s
        return Decision(False, limit, 0, room_at, room_at - now, "local")

    def is_full(self, key: str, limit: int, window_s: float, now: float) -> bool:
        """True if one more request would be refused."""
        return len(self._inside(key, window_s, now)) >= limit

    def standing(self, key: str, limit: int, window_s: float, now: float) -> Decision:
        """The current state; counts nothing."""
        admitted_at = self._inside(key, window_s, now)
        room_at = admitted_at[0] + window_s if admitted_at else now
        remaining = max(0, limit - len(admitted_at))
        return Decision(remaining > 0, limit, remaining, room_at, 0.0 if remaining else room_at - now, "local")

    def note(self, key: str, window_s: float, at: float, used: int) -> None:
        """Redis counted `used` requests when asked at `at`. Count as many here, in case Redis is lost.

        Requests of other replicas count from `at` on, because their admission times are not known.
        """
        admitted_at = self._inside(key, window_s, at)
        for _ in range(used - len(admitted_at)):
            insort(admitted_at, at)  # answers can arrive out of order

    def note_full(self, key: str, limit: int, until: float) -> None:
        """Redis has refused a request, after `note`: nothing leaves its window before `until`, and nothing more is admitted."""
        if (caller := self._callers.get(key)) is not None:
            caller.full_until[limit] = until

    def full_until(self, key: str, limit: int, now: float) -> float | None:
        """Until when Redis would refuse a request; None: ask it. A caller with a higher limit, by other roles, has to be asked for."""
        if (caller := self._callers.get(key)) is None:
            return None
        return max((until for full, until in caller.full_until.items() if limit <= full and now < until), default=None)

    def _inside(self, key: str, window_s: float, now: float) -> array[float]:
        """The admission times inside the window; the caller may append to them."""
        caller = self._callers.pop(key, None) or _Admissions(array("d"), window_s)
        self._callers[key] = caller
        caller.window_s = max(caller.window_s, window_s)
        self._forget_old(now)
        admitted_at = caller.admitted_at
        del admitted_at[: bisect_right(admitted_at, now - window_s)]
        return admitted_at

    def _forget_old(self, now: float) -> None:
        """Drop the least recently seen caller if its window is empty or there are too many callers; never the current one."""
        if len(self._callers) > 1 and (self._is_oldest_idle(now) or len(self._callers) > self._max_callers):
            self._callers.popitem(last=False)

    def forget_idle(self, now: float, most: int) -> None:
        """Drop callers with empty windows, the least recently seen first, `most` at once."""
        for _ in range(min(most, len(self._callers))):
            if not self._is_oldest_idle(now):
                return
            self._callers.popitem(last=False)

    def _is_oldest_idle(self, now: float) -> bool:
        oldest = next(iter(self._callers.values()))
        return not oldest.admitted_at or oldest.admitted_at[-1] <= now - oldest.window_s


class RateLimiter:
    """Limits the requests of callers. `on_decision(result, backend)` is called with allowed or refused, and redis or local.

    Every answer of Redis is noted here too, so that windows are not empty when Redis is lost. Requests admitted while Redis was
    lost are not in Redis; keep counting them locally for one more window, so that a full window is not refilled. A refusal holds
    until something leaves the window: until then Redis is not asked again, else who calls on would cost as much as before.
    """

    def __init__(
        self,
        link: RedisLink | None,
        on_decision: Callable[[str, str], None] = lambda _result, _backend: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._on_decision = on_decision
        self._clock = clock
        self._local = LocalWindow()
        self._name = secrets.token_hex(6)  # makes members unique across replicas
        self._serial = count()
        self._alone_until = float("-inf")  # until then the local window may hold requests that Redis does not know

    async def check(self, key: str, limit: int, window_s: float, once: str = "") -> Decision:
        """Count one request of `key`, or refuse it. Never raises; answers within some 50 ms whatever Redis does.

        `once`: its name, for work that may go on at another replica: there it is not counted again. Empty: it is a new one.
        """
        decision = self.known_refusal(key, limit, window_s)
        if decision is not None:
            return decision
        if self._link is not None and self._link.up:
            decision = await self._ask_redis(self._link, key, limit, window_s, once)
        if decision is None:
            decision = self._decide_here(key, limit, window_s, self._clock())
        self._on_decision("allowed" if decision.allowed else "refused", decision.backend)
        return decision

    def known_refusal(self, key: str, limit: int, window_s: float) -> Decision | None:
        """Refuse a request at once, if nobody has to be asked: Redis has said until when the window is full, or it is full here.

        None: nothing was counted, so call `check`.
        """
        now, up = self._clock(), self._link is not None and self._link.up
        until = self._local.full_until(key, limit, now) if up else None
        if until is not None:
            decision = Decision(False, limit, 0, time.time() + until - now, until - now, "redis")
        elif (up and now >= self._alone_until) or not self._local.is_full(key, limit, window_s, now):
            return None
        else:
            decision = self._decide_here(key, limit, window_s, now)
        self._on_decision("refused", decision.backend)
        return decision

    def standing(self, key: str, limit: int, window_s: float) -> tuple[int, float]:
        """The number of requests left, and the seconds until the oldest leaves the window, as far as this process knows.

        Counts nothing and does not ask Redis: its latest answer for this caller is noted here.
        """
        now = self._clock()
        here = self._local.standing(key, limit, window_s, now)
        return here.remaining, max(0.0, here.reset_at - now)

    async def keep_forgetting(self) -> None:
        """Forget those who have not called for a window, also if nobody calls any more. Runs until cancelled."""
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            self._local.forget_idle(self._clock(), FORGET_AT_ONCE)

    def _decide_here(self, key: str, limit: int, window_s: float, now: float) -> Decision:
        here = self._local.decide(key, limit, window_s, now)
        if here.allowed:
            self._alone_until = max(self._alone_until, now + window_s)
        reset_at = time.time() + (here.reset_at - now)
        return Decision(here.allowed, limit, here.remaining, reset_at, here.retry_after_s, "local")

    async def _ask_redis(self, link: RedisLink, key: str, limit: int, window_s: float, once: str) -> Decision | None:
        # Taken before Redis decides, so that noted requests never expire later there than here.
        asked_at = self._clock()
        member = once or f"{self._name}{next(self._serial):x}"
        question = (1, PREFIX + key, limit, round(window_s * 1_000_000), member)
        try:
            answer = await self._evaluate(link, question)
        except (RedisDownError, RedisRefusedError):
            return None
        decision = _decision(limit, answer)
        self._local.note(key, window_s, asked_at, int(answer[1]))
        if not decision.allowed:
            self._local.note_full(key, limit, asked_at + decision.retry_after_s)
        return decision

    @staticmethod
    async def _evaluate(link: RedisLink, question: tuple[str | int, ...]) -> Sequence[Any]:
        answer: Sequence[Any]
        try:
            answer = await link.call("EVALSHA", SCRIPT_SHA, *question)
        except NoScriptError:  # Redis has restarted
            answer = await link.call("EVAL", SCRIPT, *question)
        return answer


def _decision(limit: int, answer: Sequence[Any]) -> Decision:
    allowed, used, change_us, now_us = bool(answer[0]), int(answer[1]), int(answer[2]), int(answer[3])
    retry_after_s = 0.0 if allowed else (change_us - now_us) / 1_000_000
    return Decision(allowed, limit, max(0, limit - used), change_us / 1_000_000, retry_after_s, "redis")


def rate_key(user_id: str, address: str, scope: str = "") -> str:
    """The limiter's key: by user for a valid token, else by address. `scope`: an operation with a limit of its own.

    A user's id may hold anything, so it comes last: behind it, `a` with a scope would be the user `a:scope`.
    """
    who = f"user:{user_id}" if user_id else f"ip:{address_key(address)}"
    return f"of:{scope}:{who}" if scope else who
