"""Where a name leads, and why it leads there until the command that was told it ends.

A path is checked, and then the command opens it by its name. Another command must not make that name lead elsewhere in between.
Nothing is locked for that. All that the check depends on stays where it is:

- Symbolic links, hard links to closed files, closed paths, pipes and devices are not moved, replaced or removed, nor are the folders
  above them. No command makes any. `mv` takes only plain files, and folders of nothing but plain files and folders.
- What does move may all be opened by commands, so it does not matter which of it a name leads to.
- `..` leads back to wherever the folder before it is by then. Only a folder that is not moved may precede it; otherwise the command
  is told the resolved path instead.

This holds for all commands on the files, whichever service or machine they run on. Other programs may still make links below the
root while a command is about to open something.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from server.embedded.os.closed import is_within

if TYPE_CHECKING:
    from server.embedded.os.closed import ClosedPaths, Search

MAX_LINKS = 40  # on the way to one file, as in Linux
# Folders in each other that a command is told or makes. Whoever opens the deepest, looks each of them up: the command, its check, and
# every program that walks through the folder.
MAX_LEVELS = 64


HOLDS_WHAT_STAYS = "holds links or closed files"


class NowhereError(Exception):
    """The name leads nowhere (links that form a loop), out of the root, or too deep into it."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a command was given. `path`: where it leads, without links; `told`: what the command is told in its place."""

    given: str
    path: Path
    told: str

    @property
    def of_folder(self) -> bool:
        """True if it can be the name of a folder only."""
        return self.given.endswith(("/", "/."))

    def direct(self, root: Path) -> Name:
        """The same, told without links and `..`."""
        told = f"./{self.path.relative_to(root)}"  # "./": a name may begin with "-"
        return Name(self.given, self.path, f"{told}/" if self.of_folder else told)


def followed(given: str, root: Path) -> Name:
    """Follow a name to its end. What does not exist is followed as if it were a folder. Raises NowhereError."""
    if len(Path(given).parts) > MAX_LEVELS + len(root.parts):
        raise NowhereError(f"has more than {MAX_LEVELS} parts")
    top = str(root).rstrip("/")
    here, fixed, steady, links = "", top, True, 0  # texts: a path of many parts is expensive
    rest = list(reversed((root / given).parts[1:]))
    while rest:
        part = rest.pop()
        if part == "..":
            # the folders above the root do not move, nor do those above a link that was passed
            steady &= is_within(top, here) or is_within(fixed, here)
            here = here.rpartition("/")[0]
            continue
        target = _target(f"{here}/{part}")
        if target is None:
            here = f"{here}/{part}"
            continue
        links += 1
        if links > MAX_LINKS:
            raise NowhereError("leads nowhere")
        fixed = here
        here = "" if target.is_absolute() else here
        rest += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    if given == "" or not is_within(here, top):
        raise NowhereError("lies outside of the folder that may be seen")
    if levels(Path(here), root) > MAX_LEVELS:
        raise NowhereError(f"lies in more than {MAX_LEVELS} folders")
    name = Name(given, Path(here or "/"), given)
    return name if steady else name.direct(root)


def levels(path: Path, root: Path) -> int:
    """How deep a path lies below the root."""
    return len(path.parts) - len(root.parts)


def _target(path: str) -> Path | None:
    try:
        return Path(os.readlink(path))  # noqa: PTH115 - of a text
    except OSError:  # no link, or nothing
        return None


def is_plain(path: Path) -> bool:
    """True for a file, a folder and a name that is free; False for links, pipes and devices."""
    try:
        found = path.lstat()
    except OSError:
        return True
    return stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)


def why_it_stays(top: Path, most_levels: int, closed: ClosedPaths, search: Search) -> str:
    """Why the file or folder must not be moved, because of itself or of anything below it; empty if it may be.

    `most_levels`: how deep it may be at its goal. Raises TooManyFilesError.
    """
    is_closed = closed.entries(search)
    rest = [(str(top), 0)]
    while rest:
        path, level = rest.pop()
        if level > most_levels:
            return f"would lie in more than {MAX_LEVELS} folders"
        try:
            found = os.lstat(path)
            folder = stat.S_ISDIR(found.st_mode)
            if not (folder or stat.S_ISREG(found.st_mode)) or is_closed(path, found):
                return HOLDS_WHAT_STAYS
            rest += ((f"{path}/{name}", level + 1) for name in (os.listdir(path) if folder else ()))  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            continue  # another command has moved it, so it was none of those
        except OSError:
            return HOLDS_WHAT_STAYS  # what cannot be looked through may hold anything
    return ""
