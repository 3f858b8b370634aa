"""A copy is whole, or it is not there: what a command has half written when it ends is removed.

So that it is known which file the command has made, and no other is removed in its place, the file is made before the command
begins, and held open.
"""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Copy:
    """What a command copies. `goal`: the name that is told it; `mode`: permissions of the file that it copies."""

    goal: Path
    mode: int
    size_bytes: int


@dataclass(slots=True)
class NewFile:
    """The file that was made for the copy. `made`: False if there was one. `whole`: to be set when the command has succeeded."""

    made: bool
    whole: bool = False

    def told(self, arguments: Sequence[str]) -> Sequence[str]:
        """The command's arguments: it writes into the new file, even if it is not to overwrite others."""
        return [one for one in map(_overwriting, arguments) if one != "-"] if self.made else arguments


def _overwriting(argument: str) -> str:
    """A flag without `n`; "-" if nothing else is in it. What begins with "-" is a flag: paths do not (module commands)."""
    if argument == "--no-clobber":
        return "-"
    return argument.replace("n", "") if argument.startswith("-") else argument


@asynccontextmanager
async def new_file(copy: Copy | None) -> AsyncIterator[NewFile]:
    """The file for the copy, unless there is one, or none can be made: why, the command says. Removed if it does not become whole."""
    held = None if copy is None else _made(copy)
    new = NewFile(made=held is not None)
    try:
        yield new
    finally:
        if copy is not None and held is not None:
            # in a thread, because it takes long for a long file; it is done after a cancel, too
            ending = asyncio.get_running_loop().run_in_executor(None, _end, copy, held, new.whole)
            await asyncio.shield(ending)


def _made(copy: Copy) -> int | None:
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(copy.goal, how, copy.mode | stat.S_IWUSR)  # without, only root's command can open it
    except OSError:
        return None


def _end(copy: Copy, held: int, whole: bool) -> None:
    try:
        if whole:
            if not copy.mode & stat.S_IWUSR:
                os.fchmod(held, stat.S_IMODE(os.fstat(held).st_mode) & ~stat.S_IWUSR)
        else:
            os.ftruncate(held, 0)  # also if somebody has moved it
            if os.path.samestat(os.lstat(copy.goal), os.fstat(held)):
                copy.goal.unlink()
    except OSError:
        pass
    finally:
        with suppress(OSError):
            os.close(held)
