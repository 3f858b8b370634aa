"""Rate limits: a sliding window per caller, exact under races, decided by Redis in one round trip per tick of the loop."""

from __future__ import annotations

import hashlib
import secrets
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import count
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError, ResponseError

from server.shared.redis_link import RedisDownError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from server.shared.redis_link import RedisLink, Spawner

MAX_LOCAL_CALLERS = 20_000  # remembered in this process; the ones not seen for longest make room
MAX_FORWARDED_HOPS = 16  # of X-Forwarded-For that are looked at: more proxies in a row are no proxies
IPV6_PREFIX_BITS = 64  # one customer's network (RFC 6177): counting single addresses of it would count nothing
PREFIX = "jarvis:limit:"

# One decision. A sorted set holds one member per admitted request, scored by Redis' own clock in microseconds; a refused
# request leaves nothing behind. ARGV: limit, window in µs, a member nobody else makes. Returns admitted (1 or 0), how many are
# in the window now, when it changes (for a refused request: when there is room again) and the time, both in µs.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - window))
local used = redis.call('ZCARD', KEYS[1])
local admitted, leaving = 0, 0
if used < limit then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[3])
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
  admitted = 1
  used = used + 1
else
  leaving = used - limit
end
local found = redis.call('ZRANGE', KEYS[1], leaving, leaving, 'WITHSCORES')
return {admitted, used, string.format('%.0f', tonumber(found[2]) + window), string.format('%.0f', now)}
"""
SCRIPT_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Decision:
    """`reset_at`: Unix seconds when the oldest counted request leaves the window. `backend`: redis or local."""

    allowed: bool
    limit: int
    remaining: int
    reset_at: float
    retry_after_s: float
    backend: str


@dataclass(slots=True)
class _Admitted:
    """Times of one caller's requests that were admitted here, oldest first: 8 bytes each; and how many others Redis knew of."""

    at: array[float]
    window_s: float
    elsewhere: int = 0
    elsewhere_until: float = float("-inf")

    def leaves(self, index: int, window_s: float) -> float:
        """When so many and one more of ours have left the window; no time at all for a number below nought."""
        if index < 0:
            return float("-inf")
        return self.at[index] + window_s if index < len(self.at) else float("inf")


class LocalWindow:
    """The same rule in this process; `now` in seconds of one clock that does not go back."""

    def __init__(self, max_callers: int = MAX_LOCAL_CALLERS) -> None:
        self._callers: OrderedDict[str, _Admitted] = OrderedDict()
        self._max_callers = max_callers

    def __len__(self) -> int:
        return len(self._callers)

    def decide(self, key: str, limit: int, window_s: float, now: float) -> Decision:
        """Admit or refuse one request."""
        caller = self._inside(key, window_s, now)
        at, elsewhere = caller.at, caller.elsewhere if now < caller.elsewhere_until else 0
        used = len(at) + elsewhere
        if used < limit:
            at.append(now)
            return Decision(True, limit, limit - used - 1, at[0] + window_s, 0.0, "local")
        room_at = caller.leaves(used - limit, window_s)
        if elsewhere:  # which leaves all at once, as far as we know
            room_at = min(room_at, max(caller.elsewhere_until, caller.leaves(len(at) - limit, window_s)))
        return Decision(False, limit, 0, room_at, room_at - now, "local")

    def is_full(self, key: str, limit: int, window_s: float, now: float) -> bool:
        """Would one more be refused?"""
        return len(self._inside(key, window_s, now).at) >= limit

    def note(self, key: str, window_s: float, at: float, used: int, *, admitted: bool) -> None:
        """What Redis has said of a request asked at that time, with `used` in its window: it counts here, should we have to decide.

        The others of the window are other replicas'. When each leaves is not known: after a whole window all have.
        """
        caller = self._inside(key, window_s, at)
        times = caller.at
        if not admitted:
            pass
        elif times and at < times[-1]:  # answers may come in another order than questions were asked
            times.insert(bisect_right(times, at), at)
        else:
            times.append(at)
        caller.elsewhere, caller.elsewhere_until = max(0, used - len(times)), at + window_s

    def _inside(self, key: str, window_s: float, now: float) -> _Admitted:
        """What the window holds now, for writing."""
        caller = self._callers.pop(key, None) or _Admitted(array("d"), window_s)
        self._callers[key] = caller
        caller.window_s = max(caller.window_s, window_s)
        self._forget_old(now)
        left = bisect_right(caller.at, now - window_s)
        if left:
            del caller.at[:left]
        return caller

    def _forget_old(self, now: float) -> None:
        """The caller not seen for longest goes when its window is empty, or when there are too many; never the one of now."""
        oldest = next(iter(self._callers.values()))
        last = max(oldest.elsewhere_until - oldest.window_s, oldest.at[-1] if oldest.at else float("-inf"))
        idle = last <= now - oldest.window_s
        if len(self._callers) > 1 and (idle or len(self._callers) > self._max_callers):
            self._callers.popitem(last=False)


class RateLimiter:
    """Counts requests of callers. `on_decision(result, backend)` is told allowed or refused, redis or local.

    What Redis says is noted here as well: when Redis is lost, a caller does not start anew, and what others had admitted by
    then still counts for a window. Nor does one when it is back: what was admitted meanwhile Redis does not know, so that a window which is full here stays full.
    """

    def __init__(
        self,
        link: RedisLink | None,
        group: Spawner | None = None,  # noqa: ARG002 - decisions need no tasks of their own: the link has them
        on_decision: Callable[[str, str], None] = lambda _result, _backend: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._on_decision = on_decision
        self._clock = clock
        self._local = LocalWindow()
        self._name = secrets.token_hex(6)  # members of different replicas differ
        self._serial = count()
        self._alone_until = float("-inf")  # Redis does not know of all that was admitted before

    async def check(self, key: str, limit: int, window_s: float) -> Decision:
        """Count one request of `key`, or refuse it. Never raises; answers within some 50 ms whatever Redis does."""
        decision = None
        if self._link is not None and self._link.up and not self._is_full_here(key, limit, window_s):
            decision = await self._ask_redis(self._link, key, limit, window_s)
        if decision is None:
            decision = self._decide_here(key, limit, window_s)
        self._on_decision("allowed" if decision.allowed else "refused", decision.backend)
        return decision

    def _is_full_here(self, key: str, limit: int, window_s: float) -> bool:
        now = self._clock()
        return now < self._alone_until and self._local.is_full(key, limit, window_s, now)

    def _decide_here(self, key: str, limit: int, window_s: float) -> Decision:
        now = self._clock()
        here = self._local.decide(key, limit, window_s, now)
        if here.allowed:
            self._alone_until = max(self._alone_until, now + window_s)
        reset_at = time.time() + (here.reset_at - now)
        return Decision(here.allowed, limit, here.remaining, reset_at, here.retry_after_s, "local")

    async def _ask_redis(self, link: RedisLink, key: str, limit: int, window_s: float) -> Decision | None:
        asked_at = self._clock()  # before Redis' own time: what is noted here ends no later than there
        question = (1, PREFIX + key, limit, round(window_s * 1_000_000), f"{self._name}{next(self._serial):x}")
        try:
            answer = await self._evaluate(link, question)
        except (RedisDownError, ResponseError):
            return None
        decision = _decision(limit, answer)
        self._local.note(key, window_s, asked_at, int(answer[1]), admitted=decision.allowed)
        return decision

    @staticmethod
    async def _evaluate(link: RedisLink, question: tuple[str | int, ...]) -> Sequence[Any]:
        answer: Sequence[Any]
        try:
            answer = await link.call("EVALSHA", SCRIPT_SHA, *question)
        except NoScriptError:  # a Redis that was started since
            answer = await link.call("EVAL", SCRIPT, *question)
        return answer


def _decision(limit: int, answer: Sequence[Any]) -> Decision:
    allowed, used, change_us, now_us = bool(answer[0]), int(answer[1]), int(answer[2]), int(answer[3])
    retry_after_s = 0.0 if allowed else (change_us - now_us) / 1_000_000
    return Decision(allowed, limit, max(0, limit - used), change_us / 1_000_000, retry_after_s, "redis")


# --- whose request it is ---


def client_address(peer: str, forwarded_for: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """Who is at the other end: the right-most hop that is no trusted proxy.

    `X-Forwarded-For` counts from the right and only as far as each hop that wrote it is trusted; what stands further left
    anybody may have made up.
    """
    address = _parsed(peer)
    if address is None or not _is_trusted(address, trusted):
        return str(address or peer)
    for hop in reversed(forwarded_for.split(",")[-MAX_FORWARDED_HOPS:]):
        nearer = _parsed(hop)
        if nearer is None:
            break
        address = nearer
        if not _is_trusted(address, trusted):
            break
    return str(address)


def address_key(address: str) -> str:
    """What an address is counted under: itself, or an IPv6 address' network."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        host_bits = 128 - IPV6_PREFIX_BITS
        return f"{IPv6Address(int(parsed) >> host_bits << host_bits)}/{IPV6_PREFIX_BITS}"
    return address


def rate_key(user_id: str, address: str, scope: str = "") -> str:
    """The limiter's key: the user's where the token was valid, else the address'. `scope`: an operation with its own limit."""
    who = f"user:{user_id}" if user_id else f"ip:{address_key(address)}"
    return f"{who}:{scope}" if scope else who


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: bare, `a.b.c.d:port`, `[v6]:port`; IPv4 inside IPv6 counts as IPv4."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_trusted(address: IPv4Address | IPv6Address, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in trusted)
