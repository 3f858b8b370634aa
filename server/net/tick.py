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
        """Call `act` at the end of this tick. What it raises goes to the loop's exception handler."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._run)
        self._due.append(act)

    def _run(self) -> None:
        due, self._due = self._due, []
        for act in due:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - the other sockets must write all the same
                context = {"message": "a socket failed at the end of a tick", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
