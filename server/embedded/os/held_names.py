"""Keeps the names below the root as they are from the check of a command until its end.

A path is checked, and then the command opens it by its name. Another command must not make that name lead elsewhere in between:
renaming a folder is enough, if it holds a symbolic link or is passed by one. So commands that look up names run together, and one
that changes what names lead to runs alone.

The root itself is locked, too (flock), so that this also holds between several services of one machine. Other programs that rename
below the root, or services of other machines, are not kept from it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

# A command that changes names keeps others from beginning for so long, and then lets them begin for as long. Without the first, it
# would never run beside a flood of short commands; without the second, one long command would hold up everybody.
PATIENCE_S = 1.0
LOOK_AGAIN_S = 0.01  # while another service has the root


class Names:
    """The names below one root, as one service uses them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open = asyncio.Event()  # clear while a command waits to run alone, or does
        self._open.set()
        self._unused = asyncio.Event()
        self._unused.set()
        self._users = 0
        self._changing = asyncio.Lock()  # held by the one that is next to run alone

    @asynccontextmanager
    async def looked_up(self) -> AsyncIterator[None]:
        """Names stay as they are in the block. Raises OSError if the root cannot be opened."""
        with _opened(self._root) as root:
            while not self._open.is_set():
                await self._open.wait()
            self._users += 1
            self._unused.clear()
            try:
                await _locked(root, fcntl.LOCK_SH)
                yield
            finally:
                self._users -= 1
                if not self._users:
                    self._unused.set()

    @asynccontextmanager
    async def changed(self) -> AsyncIterator[None]:
        """Nobody else uses names in the block. Raises OSError if the root cannot be opened."""
        with _opened(self._root) as root:
            async with self._changing:
                try:
                    while not await self._emptied(root):
                        self._open.set()
                        await asyncio.sleep(PATIENCE_S)
                    yield
                finally:
                    self._open.set()

    async def _emptied(self, root: int) -> bool:
        """Let no other command begin, and wait until none uses names. False if that takes too long."""
        self._open.clear()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._unused.wait()
                await _locked(root, fcntl.LOCK_EX)
        except TimeoutError:
            return False
        return True


@contextmanager
def _opened(root: Path) -> Iterator[int]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # and with it, its lock


async def _locked(root: int, how: int) -> None:
    """Lock the root, unless its file system has no such locks."""
    while True:
        try:
            fcntl.flock(root, how | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(LOOK_AGAIN_S)
        except OSError:
            return
        else:
            return
