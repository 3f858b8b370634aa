"""Keys of a telephone as text: pressed one after the other, they are one entry."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_S = 2.0  # after the last key, the entry is complete
ENTER = "#"  # completes it at once, as telephone menus have it
MAX_KEYS = 64  # of one entry: more than a card number with its extras


class Keypad:
    """`entered` gets each complete entry: its keys without ENTER."""

    def __init__(self, entered: Callable[[str], None]) -> None:
        self._entered = entered
        self._keys = ""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pressed(self) -> bool:
        """True while more keys may follow."""
        return self._timer is not None

    def press(self, key: str) -> None:
        """A key was pressed."""
        self.stop()
        if key != ENTER:
            self._keys += key
        if key == ENTER or len(self._keys) >= MAX_KEYS:
            self._complete()
        else:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_S, self._complete)

    def stop(self) -> None:
        """Stop the timer: more keys follow, or the call is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def forget(self) -> None:
        """The call is over: drop the callback, whose owner refers to this object."""
        self.stop()
        del self._entered

    def _complete(self) -> None:
        self._timer = None
        keys, self._keys = self._keys, ""
        if keys:
            self._entered(keys)
