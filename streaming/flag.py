"""An event that costs little while nobody waits for it."""

from __future__ import annotations

import asyncio


class Flag:
    """Like `asyncio.Event`, whose queue of waiters takes 760 bytes even while it is empty: too much for each idle session."""

    __slots__ = ("_event", "_raised")

    def __init__(self) -> None:
        self._raised = False
        self._event: asyncio.Event | None = None  # while somebody waits

    def is_set(self) -> bool:
        """True after `set`, until `clear`."""
        return self._raised

    def set(self) -> None:
        """Wake all who wait, and let no one wait from now on."""
        self._raised = True
        event, self._event = self._event, None
        if event is not None:
            event.set()

    def clear(self) -> None:
        """Whoever waits from now on, waits for the next `set`."""
        self._raised = False

    async def wait(self) -> None:
        """Wait until it is set."""
        if not self._raised:
            self._event = self._event or asyncio.Event()
            await self._event.wait()
