"""A token bucket on the caller's clock."""

from __future__ import annotations


class TokenBucket:
    """Allows a burst of `burst` and a sustained `rate` per second. Times are monotonic seconds."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, amount: float, now: float) -> bool:
        """Spend `amount`. If there is too little, spend nothing and return False."""
        tokens = self._tokens + (now - self._at) * self._rate
        self._at = now
        tokens = min(tokens, self._burst)
        if amount > tokens:
            self._tokens = tokens
            return False
        self._tokens = tokens - amount
        return True

    def wait_s(self, amount: float) -> float:
        """Seconds from the last `take` until `amount` is available."""
        return max(0.0, (amount - self._tokens) / self._rate)
