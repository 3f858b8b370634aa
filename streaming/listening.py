"""The time during which a client listens: speech counts as played by this clock only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ListeningClock:
    """Seconds by `clock` that stand still while the client is away. It begins absent unless `present`."""

    def __init__(self, clock: Callable[[], float], *, present: bool = False) -> None:
        self._clock = clock
        self._away_s = 0.0  # in all, before now
        self._away_since: float | None = None if present else clock()

    def now(self) -> float:
        """In seconds; monotonic."""
        now = self._clock()
        return now - self._away_s - (now - self._away_since if self._away_since is not None else 0.0)

    def leave(self) -> None:
        """The client has no socket from now on."""
        if self._away_since is None:
            self._away_since = self._clock()

    def come(self) -> None:
        """The client listens from now on."""
        if self._away_since is not None:
            self._away_s += self._clock() - self._away_since
            self._away_since = None
