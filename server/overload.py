"""When the gateway has more to do than it can: what it gives up first, so that live audio is the last to suffer.

Two steps. *Busy*: no new sockets (503 with Retry-After), except those that resume a session that lives here. *Very busy*: progress
events without output are left out too. Each step ends by itself.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

SMOOTHING = 0.3  # weight of the newest measurement of the loop's lag: one slow moment is no overload
LAG_OVER = 0.5  # busy ends below this share of the limit of lag, so that it does not flicker
MEMORY_OVER = 0.95  # likewise; memory is given back slowly
VERY = 2.0  # so many times the limit of lag is the second step
RETRY_AFTER_S = 2


class Load(IntEnum):
    """How much there is to do."""

    NORMAL = 0
    BUSY = 1
    VERY_BUSY = 2

    @property
    def word(self) -> Literal["normal", "busy", "very_busy"]:
        """For documents and logs."""
        return _WORDS[self]


_WORDS: dict[Load, Literal["normal", "busy", "very_busy"]] = {
    Load.NORMAL: "normal",
    Load.BUSY: "busy",
    Load.VERY_BUSY: "very_busy",
}


@dataclass(frozen=True, slots=True)
class OverloadLimits:
    """`lag_s`: of the event loop, smoothed. `memory_bytes`: resident. `sessions`: live, with or without a socket. 0: no limit."""

    lag_s: float
    memory_bytes: int
    sessions: int


class Overload:
    """Fed with each measurement of the loop's lag; asked wherever something can be given up."""

    def __init__(
        self, limits: OverloadLimits, sessions: Callable[[], int], memory_bytes: Callable[[], int] | None = None
    ) -> None:
        self._limits = limits
        self._sessions = sessions
        self._memory_bytes = memory_bytes or resident_bytes
        self._lag_s = 0.0
        self.load = Load.NORMAL

    def measured(self, lag_s: float) -> None:
        """The loop was so late just now."""
        self._lag_s += SMOOTHING * (lag_s - self._lag_s)
        load = self._judged()
        if load != self.load:
            log.warning("load changed", load=load.word, lag_ms=round(self._lag_s * 1000))
            self.load = load

    def _judged(self) -> Load:
        limits, was = self._limits, self.load
        lag = self._lag_s / limits.lag_s if limits.lag_s else 0.0
        memory = self._memory_bytes() / limits.memory_bytes if limits.memory_bytes else 0.0
        if lag >= VERY or (was is Load.VERY_BUSY and lag >= VERY / 2):
            return Load.VERY_BUSY
        if max(lag, memory) >= 1.0 or (was is not Load.NORMAL and (lag >= LAG_OVER or memory >= MEMORY_OVER)):
            return Load.BUSY
        return Load.NORMAL

    @property
    def full(self) -> bool:
        """Is no new socket let in?"""
        return self.load is not Load.NORMAL or 0 < self._limits.sessions <= self._sessions()

    @property
    def sheds_progress(self) -> bool:
        """Is progress without output left out?"""
        return self.load is Load.VERY_BUSY


def resident_bytes() -> int:
    """Memory of this process (Linux: /proc/self/statm; elsewhere the most it ever had)."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
