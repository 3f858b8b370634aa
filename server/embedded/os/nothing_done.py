"""Commands that end well and have done nothing, because what they would make is there already: they print nothing about it.

It is said in the words in which coreutils say what failed.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Nothing:
    """What a command says if it has done nothing. `failed`: what it was asked for is not so then; else it was so before."""

    words: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A move or a copy that replaces no file. `moved`: what is moved, and which file it is; None for a copy."""

    nothing: Nothing
    moved: tuple[Path, os.stat_result] | None

    def done_nothing(self, *, copied_anew: bool) -> bool:
        """True if there was a file. `copied_anew`: the copy is a new file."""
        if self.moved is None:
            return not copied_anew
        source, before = self.moved
        try:
            return os.path.samestat(source.lstat(), before)
        except OSError:
            return False


def keeping(name: str, source: Path, goal: str, *, moves: bool) -> Kept | None:
    """For a command that replaces no file; None if there is nothing to move, as it will say."""
    words = _words(name, f"nothing is {'moved' if moves else 'copied'} to", goal, errno.EEXIST)
    try:
        return Kept(Nothing(words, failed=True), (source, source.lstat()) if moves else None)
    except OSError:
        return None


def making(name: str, first: str, made: int) -> Nothing | None:
    """For a command that makes what does not exist. `first`: the first name; `made`: how many names it makes."""
    return None if made else Nothing(_words(name, "nothing new is made at", first, errno.EEXIST))


def marking(name: str, first: str, paths: list[Path]) -> Nothing | None:
    """For a command that makes nothing, but marks what exists."""
    if any(path.exists() for path in paths):
        return None
    return Nothing(_words(name, "nothing is marked at", first, errno.ENOENT))


def _words(name: str, what: str, path: str, why: int) -> str:
    return f"{name}: {what} ‘{path}’: {os.strerror(why)}"
