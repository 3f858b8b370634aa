"""Expiry of a socket's token: a warning, then the close, unless a new token arrives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

WARNING_S = 60.0  # time between `auth.expiring` and the expiry, enough to refresh over a bad network


class TokenTimer:
    """A timer for a token: first for the warning (if `on_expiring` is given), then for the expiry."""

    __slots__ = ("_expires_at", "_loop", "_on_expired", "_on_expiring", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_expiring: Callable[[], None] | None,
        on_expired: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._on_expiring = on_expiring
        self._on_expired = on_expired
        self._expires_at = 0.0  # on the loop's clock
        self._timer: asyncio.TimerHandle | None = None

    def start(self, expires_at: float | None) -> None:
        """Start the timers for a token that expires at this time (Unix seconds; None: never). Replaces those of an earlier token."""
        self.stop()
        if expires_at is None:
            return
        left_s = max(0.0, expires_at - time.time())
        self._expires_at = self._loop.time() + left_s
        if self._on_expiring is not None:
            # A token of a minute is renewed after half of it: a warning at once would lead to the next renewal, and so on.
            early_s = min(WARNING_S, left_s / 2)
            self._timer = self._loop.call_at(self._expires_at - early_s, self._warn)
        else:
            self._timer = self._loop.call_at(self._expires_at, self._on_expired)

    def _warn(self) -> None:
        assert self._on_expiring is not None, "else there is no warning"
        self._timer = self._loop.call_at(self._expires_at, self._on_expired)
        self._on_expiring()

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
