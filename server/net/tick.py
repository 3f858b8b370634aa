"""What sockets do at the end of a tick of the loop, in one callback for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TickEnd:
    """Runs what was added during this tick. A callback of the loop for each socket would cost more than many of them do."""

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []

    def add(self, act: Callable[[], None]) -> None:
        """Call `act`, which must not raise, at the end of this tick."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._run)
        self._due.append(act)

    def _run(self) -> None:
        due, self._due = self._due, []
        for act in due:
            act()
