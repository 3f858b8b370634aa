"""When a failed call may be retried: rarely, soon, and never so often that it adds to a service's troubles."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ATTEMPTS = 3
FIRST_BACKOFF_S = 0.05
MAX_BACKOFF_S = 0.5


class RetryBudget:
    """A token bucket (gRFC A6): each call earns a tenth of a retry, with a burst of ten.

    Retries therefore add at most 10 % to the load of a service that refuses everything.
    """

    def __init__(self, capacity: float = 10.0, per_call: float = 0.1) -> None:
        self._capacity = capacity
        self._per_call = per_call
        self.tokens = capacity

    def earn(self) -> None:
        """A first attempt was made."""
        self.tokens = min(self._capacity, self.tokens + self._per_call)

    def spend(self) -> bool:
        """Take one retry; False if none is left."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


def backoff_s(attempt: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds to wait after attempt number `attempt` (from 1) failed: full jitter, so that callers do not return in step."""
    return min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (attempt - 1)) * chance()
