"""A token bucket on the caller's clock."""

from __future__ import annotations


class TokenBucket:
    """`burst` at once, `rate` per second in the long run. Times are monotonic seconds."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, amount: float, now: float) -> bool:
        """Spend `amount`; False, and nothing spent, when there is too little."""
        tokens = self._tokens + (now - self._at) * self._rate
        self._at = now
        tokens = min(tokens, self._burst)
        if amount > tokens:
            self._tokens = tokens
            return False
        self._tokens = tokens - amount
        return True

    def wait_s(self, amount: float) -> float:
        """How long after the last `take` there will be `amount`."""
        return max(0.0, (amount - self._tokens) / self._rate)
