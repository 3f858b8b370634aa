"""Load shedding: what the gateway gives up first when overloaded, so that live audio suffers last.

There are two steps. *Busy*: new sockets are refused (503 with Retry-After), except those that resume a session of this process.
*Very busy*: progress events without output are dropped too. Each step ends by itself.
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

SMOOTHING = 0.3  # weight of the newest lag measurement: one slow moment is no overload
LAG_OVER = 0.5  # busy ends below this share of the lag limit, to avoid flapping
MEMORY_OVER = 0.95  # likewise; memory is released slowly
VERY = 2.0  # the second step begins at this multiple of the lag limit
RETRY_AFTER_S = 2


class Load(IntEnum):
    """How loaded the gateway is."""

    NORMAL = 0
    BUSY = 1
    VERY_BUSY = 2

    @property
    def word(self) -> Literal["normal", "busy", "very_busy"]:
        """The level's name in documents and logs."""
        return _WORDS[self]


_WORDS: dict[Load, Literal["normal", "busy", "very_busy"]] = {
    Load.NORMAL: "normal",
    Load.BUSY: "busy",
    Load.VERY_BUSY: "very_busy",
}


@dataclass(frozen=True, slots=True)
class OverloadLimits:
    """`lag_s`: smoothed lag of the event loop. `memory_bytes`: resident. `sessions`: live, with or without a socket. 0: no limit."""

    lag_s: float
    memory_bytes: int
    sessions: int


class Overload:
    """Takes every measurement of the loop's lag, and says what to shed."""

    def __init__(
        self, limits: OverloadLimits, sessions: Callable[[], int], memory_bytes: Callable[[], int] | None = None
    ) -> None:
        self._limits = limits
        self._sessions = sessions
        self._memory_bytes = memory_bytes or resident_bytes
        self._lag_s = 0.0
        self.load = Load.NORMAL

    def measured(self, lag_s: float) -> None:
        """Add a measurement of the loop's lag."""
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
        """True if new sockets are refused."""
        return self.load is not Load.NORMAL or 0 < self._limits.sessions <= self._sessions()

    @property
    def sheds_progress(self) -> bool:
        """True if progress without output is dropped."""
        return self.load is Load.VERY_BUSY


def resident_bytes() -> int:
    """Resident memory of this process (Linux: /proc/self/statm; elsewhere its peak)."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
