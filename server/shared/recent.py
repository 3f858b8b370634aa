"""What Redis confirmed within the last seconds. It may lose that yet: one that takes over has not heard of it, or a disk has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RECENT_S = 5.0  # replication is less than a second behind, and `appendfsync everysec` loses two; then the loss has to be noticed
MAX_RECENT = 10_000


class Recent:
    """How to tell each of it again, by a name. `clock`: seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._noted: dict[str, tuple[float, Callable[[], None]]] = {}  # the oldest first

    def note(self, name: str, again: Callable[[], None]) -> None:
        """`again` puts it among what Redis has still to be told. What was noted under that name before does not count any more."""
        self._noted.pop(name, None)
        self._noted[name] = self._clock(), again
        self._forget_old()

    def drop(self, name: str) -> None:
        """It is over."""
        self._noted.pop(name, None)

    def tell_again(self) -> None:
        """Redis may have lost it."""
        self._forget_old()
        for _, again in self._noted.values():
            again()

    def _forget_old(self) -> None:
        while self._noted:
            oldest = next(iter(self._noted))
            if self._noted[oldest][0] > self._clock() - RECENT_S and len(self._noted) <= MAX_RECENT:
                return
            del self._noted[oldest]
