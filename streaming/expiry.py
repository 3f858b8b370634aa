"""Expiry of a socket's token: a warning, then the close, unless a new token arrives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

WARNING_S = 60.0  # time between `auth.expiring` and the expiry, enough to refresh over a bad network


class TokenTimer:
    """Two timers for a token: warning (if `on_expiring` is given) and expiry."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_expiring: Callable[[], None] | None,
        on_expired: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._on_expiring = on_expiring
        self._on_expired = on_expired
        self._timers: list[asyncio.TimerHandle] = []

    def start(self, expires_at: float | None) -> None:
        """Start the timers for a token that expires at this time (Unix seconds; None: never). Replaces those of an earlier token."""
        self.stop()
        if expires_at is None:
            return
        left_s = expires_at - time.time()
        if self._on_expiring is not None:
            # A token of a minute is renewed after half of it: a warning at once would lead to the next renewal, and so on.
            early_s = min(WARNING_S, left_s / 2)
            self._timers.append(self._loop.call_later(max(0.0, left_s - early_s), self._on_expiring))
        self._timers.append(self._loop.call_later(max(0.0, left_s), self._on_expired))

    def stop(self) -> None:
        """Stop the timers."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
