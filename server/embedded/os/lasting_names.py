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

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.embedded.os.closed import ClosedPaths, Search

MAX_LINKS = 40  # on the way to one file, as in Linux


class NowhereError(Exception):
    """The name leads nowhere (links that form a loop), or out of the root."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name that a command was given. `path`: where it leads, without links; `told`: what the command is told in its place."""

    given: str
    path: Path
    told: str

    def direct(self, root: Path) -> Name:
        """The same, told without links and `..`."""
        return Name(self.given, self.path, f"./{self.path.relative_to(root)}")  # "./": a name may begin with "-"


def followed(given: str, root: Path) -> Name:
    """Follow a name to its end. What does not exist is followed as if it were a folder. Raises NowhereError."""
    here, fixed, steady, links = Path("/"), root, True, 0
    rest = list(reversed((root / given).parts[1:]))
    while rest:
        part = rest.pop()
        if part == "..":
            # the folders above the root do not move, nor do those above a link that was passed
            steady &= root.is_relative_to(here) or fixed.is_relative_to(here)
            here = here.parent
            continue
        target = _target(here / part)
        if target is None:
            here /= part
            continue
        links += 1
        if links > MAX_LINKS:
            raise NowhereError("leads nowhere")
        fixed = here
        here = Path("/") if target.is_absolute() else here
        rest += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    if given == "" or not here.is_relative_to(root):
        raise NowhereError("lies outside of the folder that may be seen")
    name = Name(given, here, given)
    return name if steady else name.direct(root)


def _target(path: Path) -> Path | None:
    try:
        return path.readlink()
    except OSError:  # no link, or nothing
        return None


def is_plain(path: Path) -> bool:
    """True for a file, a folder and a name that is free; False for links, pipes and devices."""
    try:
        found = path.lstat()
    except OSError:
        return True
    return stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)


def stays(top: Path, closed: ClosedPaths, search: Search) -> bool:
    """True if the file or folder, or anything below it, must not be moved. Raises TooManyFilesError."""
    is_closed = closed.entries(search)
    rest = [top]
    while rest:
        path = rest.pop()
        try:
            found = path.lstat()
            folder = stat.S_ISDIR(found.st_mode)
            if not (folder or stat.S_ISREG(found.st_mode)) or is_closed(path, found):
                return True
            rest += path.iterdir() if folder else []
        except (FileNotFoundError, NotADirectoryError):
            continue  # another command has moved it, so it was none of those
        except OSError:
            return True  # what cannot be looked through may hold anything
    return False
