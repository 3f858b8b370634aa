"""Time limits of connections: one timer per limit.

All timeouts in a group are equal, so insertion order is expiry order: one timer, set for the first entry, serves them all.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Waiting(Protocol):
    """Something with a time limit."""

    def overdue(self) -> None:
        """The time limit has passed."""


class Patience:
    """Calls `overdue` on whatever has waited for `limit_s` seconds."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since: dict[Waiting, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, waiting: Waiting) -> None:
        """Start the time limit, unless it is running."""
        self._since.setdefault(waiting, asyncio.get_running_loop().time())
        if self._timer is None:
            self._set_timer(self.limit_s)

    def end(self, waiting: Waiting) -> None:
        """Stop the time limit, if it is running."""
        self._since.pop(waiting, None)

    def _set_timer(self, left_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(left_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._since:
            waiting, since = next(iter(self._since.items()))
            left_s = since + self.limit_s - now
            if left_s > 0:
                self._set_timer(left_s)
                return
            del self._since[waiting]
            waiting.overdue()
