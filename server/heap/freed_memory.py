"""Gives memory back to the system that was freed. The C library keeps it wherever something that is still in use lies behind it.

After a crowd of sessions had left, 70 of 85 MiB stayed, for good. A gateway with OVERLOAD_MEMORY_MB would refuse newcomers for good then.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S = 5.0
# Giving back takes a tenth of a millisecond for each MiB, in which no other thread gets memory. So it is done after each such drop,
# before it is much, and not where memory is used again and again.
DROP_BYTES = 16 * 1024 * 1024


class _Mallinfo(ctypes.Structure):
    """What glibc's `mallinfo2` returns."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


class FreedMemory:
    """`used_bytes` tells what is in use, `give_back` gives all else back."""

    def __init__(self, used_bytes: Callable[[], int], give_back: Callable[[], object]) -> None:
        self._used_bytes = used_bytes
        self._give_back = give_back
        self._most_bytes = 0  # in use since the last time

    def look(self) -> None:
        """Give back if much less is in use than before. Takes milliseconds then."""
        used_bytes = self._used_bytes()
        self._most_bytes = max(self._most_bytes, used_bytes)
        if self._most_bytes - used_bytes >= DROP_BYTES:
            self._give_back()
            self._most_bytes = used_bytes

    async def keep_looking(self) -> None:
        """Look every LOOK_S, in a thread, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.look)


def freed_memory() -> FreedMemory | None:
    """The one of this process; None without glibc 2.33, whose calls are needed."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallinfo2") and hasattr(library, "malloc_trim")):
        return None
    library.mallinfo2.restype = _Mallinfo
    return FreedMemory(lambda: int(library.mallinfo2().uordblks), lambda: library.malloc_trim(0))
