"""Rate limits: a sliding window per caller, exact under races, decided by Redis in one round trip per loop tick."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from server.redis_link import RedisDownError, RedisLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

MAX_LOCAL_CALLERS = 20_000  # remembered while Redis is lost; the ones not seen for longest make room

# One decision. A sorted set holds one member per admitted request, scored by Redis' own clock in microseconds; a refused
# request leaves nothing behind. Returns admitted (1/0), how many are left, and when the oldest one leaves the window.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local window = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
local limit = tonumber(ARGV[1])
local admitted = 0
if used < limit then
  redis.call('ZADD', KEYS[1], now, now .. ':' .. ARGV[3])
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
  admitted = 1
  used = used + 1
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {admitted, limit - used, string.format('%.0f', tonumber(oldest[2] or now) + window), string.format('%.0f', now)}
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """`reset_at` unix seconds: when the oldest counted request leaves the window. `backend` redis or local."""

    allowed: bool
    limit: int
    remaining: int
    reset_at: float
    retry_after_s: float
    backend: str


class LocalWindow:
    """The same rule in this process; `now` in seconds."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def decide(self, key: str, limit: int, window_s: float, now: float) -> Decision:
        """Admit or refuse one request."""
        seen = self._seen.pop(key, None) or deque()
        self._seen[key] = seen
        if len(self._seen) > MAX_LOCAL_CALLERS:
            self._seen.popitem(last=False)
        while seen and seen[0] <= now - window_s:
            seen.popleft()
        allowed = len(seen) < limit
        if allowed:
            seen.append(now)
        reset_at = (seen[0] if seen else now) + window_s
        return Decision(allowed, limit, limit - len(seen), reset_at, 0.0 if allowed else reset_at - now, "local")


@dataclass(slots=True)
class _Question:
    key: str
    limit: int
    window_s: float
    answer: asyncio.Future[Decision | None]


class RateLimiter:
    """`on_decision(result, backend)` counts. Without a link every decision is local."""

    def __init__(
        self, link: RedisLink | None, group: asyncio.TaskGroup, on_decision: Callable[[str, str], None]
    ) -> None:
        self._link = link
        self._group = group
        self._on_decision = on_decision
        self._local = LocalWindow()
        self._asked: list[_Question] = []
        self._serial = 0
        self._script = link.client.register_script(SCRIPT) if link else None

    async def check(self, key: str, limit: int, window_s: float) -> Decision:
        """Count one request of `key`, or refuse it."""
        decision = await self._ask_redis(key, limit, window_s) if self._link is not None and self._link.up else None
        if decision is None:
            decision = self._local.decide(key, limit, window_s, time.time())
        self._on_decision("allowed" if decision.allowed else "refused", decision.backend)
        return decision

    async def _ask_redis(self, key: str, limit: int, window_s: float) -> Decision | None:
        loop = asyncio.get_running_loop()
        question = _Question(key, limit, window_s, loop.create_future())
        if not self._asked:
            loop.call_soon(self._send)  # everything asked in this tick leaves together
        self._asked.append(question)
        return await question.answer

    def _send(self) -> None:
        asked, self._asked = self._asked, []
        self._group.create_task(self._decide(asked), name="rate limit decisions")

    async def _decide(self, asked: list[_Question]) -> None:
        answers: Sequence[Any] = ()
        try:
            answers = await self._run(asked)
        except RedisDownError:
            pass
        finally:
            for index, question in enumerate(asked):
                if not question.answer.done():
                    question.answer.set_result(_decision(question, answers[index]) if answers else None)

    async def _run(self, asked: list[_Question]) -> Sequence[Any]:
        assert self._link is not None
        assert self._script is not None
        pipeline = self._link.client.pipeline(transaction=False)
        for question in asked:
            self._serial += 1
            # the id of this object makes members of different replicas differ within one microsecond
            member = f"{id(self):x}{self._serial}"
            arguments = [question.limit, round(question.window_s * 1_000_000), member]
            await self._script(keys=[f"jarvis:limit:{question.key}"], args=arguments, client=pipeline)
        answers: Sequence[Any] = await self._link.run(pipeline.execute())
        return answers


def _decision(question: _Question, answer: Sequence[Any]) -> Decision:
    allowed, remaining, reset_us, now_us = bool(answer[0]), int(answer[1]), int(answer[2]), int(answer[3])
    retry_after_s = 0.0 if allowed else (reset_us - now_us) / 1_000_000
    return Decision(allowed, question.limit, remaining, reset_us / 1_000_000, retry_after_s, "redis")


def client_address(peer: str, forwarded_for: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """Who is at the other end: `X-Forwarded-For` counts from the right, as far as every hop is a trusted proxy."""
    address = peer
    for hop in reversed([part.strip() for part in forwarded_for.split(",") if part.strip()]):
        if not _is_trusted(address, trusted):
            return address
        try:
            ip_address(hop)
        except ValueError:
            return address
        address = hop
    return address


def _is_trusted(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted)
