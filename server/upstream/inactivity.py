"""A limit for silence, for streams that would need a timer for each event otherwise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _nothing() -> None:
    """The callback of a closed guard."""


class InactivityGuard:
    """Expires `limit_s` after `expect` unless `relax` was called. Needs no timer per event: one is moved lazily."""

    __slots__ = ("_due", "_limit_s", "_loop", "_on_expired", "_timer")

    def __init__(self, limit_s: float, on_expired: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit_s = limit_s
        self._on_expired = on_expired
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def expect(self) -> None:
        """Something must arrive within the limit from now."""
        self._due = self._loop.time() + self._limit_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._due, self._look)

    def heard(self, at: float) -> None:
        """Something arrived at that time of the loop's clock, and more is expected, as before."""
        self._due = at + self._limit_s

    def relax(self) -> None:
        """It arrived, or nothing is expected."""
        self._due = None

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._look)
        else:
            self._on_expired()

    def close(self) -> None:
        """Never expire. Also drops the callback: its owner refers to this guard, which would be a reference cycle."""
        self._due = None
        self._on_expired = _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
