"""A clock that runs only while the client listens. Speech counts as played by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ListeningClock:
    """Seconds of `clock`, without those while the client is away. The client starts absent unless `present`."""

    def __init__(self, clock: Callable[[], float], *, present: bool = False) -> None:
        self._clock = clock
        self._away_s = 0.0  # total before now
        self._away_since: float | None = None if present else clock()

    def now(self) -> float:
        """Monotonic seconds."""
        now = self._clock()
        return now - self._away_s - (now - self._away_since if self._away_since is not None else 0.0)

    def leave(self) -> None:
        """The client has lost its socket."""
        if self._away_since is None:
            self._away_since = self._clock()

    def come(self) -> None:
        """The client listens again."""
        if self._away_since is not None:
            self._away_s += self._clock() - self._away_since
            self._away_since = None
