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
# Giving back takes a tenth of a millisecond for each MiB, in which no other thread gets memory. So much is given back before it is
# more, and little only if nobody has needed it for a minute: not where memory is used again and again.
MUCH_BYTES = 16 * 1024 * 1024
LITTLE_BYTES = 4 * 1024 * 1024
UNUSED_LOOKS = 12
# All that is free is visited, for a twentieth of a millisecond for each MiB that was given back before. It must be worth that.
LEAST_SHARE = 1 / 16


class Mallinfo(ctypes.Structure):
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
    """`free_bytes` tells what the C library keeps free, resident or not, `resident_bytes` the memory of the process; `give_back` gives back.

    The C library does not tell how much of what is free is resident. That was nothing right after the last time; since then it is what
    more is free at least, and at most as much as the process has grown if what was in use then still is.
    """

    def __init__(
        self, free_bytes: Callable[[], int], resident_bytes: Callable[[], int], give_back: Callable[[], object]
    ) -> None:
        self._free_bytes = free_bytes
        self._resident_bytes = resident_bytes
        self._give_back = give_back
        self._least_bytes = resident_bytes()  # since the last time
        self._gone_bytes = free_bytes()  # what was free then
        self._unused_looks = 0  # in a row

    def look(self) -> None:
        """Give back what is worth it. Takes milliseconds then."""
        free_bytes, resident_bytes = self._free_bytes(), self._resident_bytes()
        self._least_bytes = min(self._least_bytes, resident_bytes)
        grown_bytes = min(free_bytes, resident_bytes - self._least_bytes)
        # Who leaves after it was given back in the midst of a crowd makes the process no larger than it was then, but much free.
        kept_bytes = max(grown_bytes, free_bytes - self._gone_bytes)
        little = kept_bytes >= max(LITTLE_BYTES, free_bytes * LEAST_SHARE)
        self._unused_looks = self._unused_looks + 1 if little else 0
        if kept_bytes >= MUCH_BYTES or self._unused_looks >= UNUSED_LOOKS:
            self._give_back()
            self._least_bytes, self._gone_bytes, self._unused_looks = self._resident_bytes(), self._free_bytes(), 0

    async def keep_looking(self) -> None:
        """Look every LOOK_S, in a thread, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.look)


def c_library() -> ctypes.CDLL | None:
    """The one of this process; None without glibc 2.33, whose calls are needed."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallinfo2") and hasattr(library, "malloc_trim")):
        return None
    library.mallinfo2.restype = Mallinfo
    return library


def freed_memory(resident_bytes: Callable[[], int]) -> FreedMemory | None:
    """That of this process; None where the C library cannot give back."""
    library = c_library()
    if library is None:
        return None
    return FreedMemory(lambda: int(library.mallinfo2().fordblks), resident_bytes, lambda: library.malloc_trim(0))
