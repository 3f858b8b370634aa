"""Paths that commands may not touch: the services' data, recordings, the audit log, files with secrets.

A path is recognised by device and inode as well as by name, so it stays closed after renaming and through symbolic and hard
links.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FileId = tuple[int, int]  # device and inode

# Files searched for the other name of a hard link, and for closed folders below a listed one. Beyond it, every hard link and
# every recursive listing is refused.
MAX_WALKED = 100_000
KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))  # environments of processes, other paths to files, raw disks


class TooManyFilesError(Exception):
    """A folder holds too many files to be searched for closed ones."""


class ClosedPaths:
    """Closed files and folders, including everything in them.

    A closed folder may contain the root itself (as the default root does). Only what is below the root is open then; the rest of the
    folder is out of reach anyway.
    """

    def __init__(self, paths: Iterable[Path], root: Path) -> None:
        self._root = root
        self._paths = tuple(paths)
        self._kernel = [place for place in KERNEL if not root.is_relative_to(place)]
        self._known: set[FileId] = set()  # kept, because a moved folder is still the same one
        self._look()

    def holds(self, resolved: Path) -> bool:
        """True if the path is closed or inside a closed folder. Paths that do not exist yet are compared by name."""
        places = [*self._look(), *self._kernel]
        if any(resolved.is_relative_to(place) for place in places):
            return True
        inside = [place for place in (resolved, *resolved.parents) if place.is_relative_to(self._root)]
        return any(_identity(place) in self._known for place in inside) or self._linked(resolved)

    def is_below(self, resolved: Path) -> bool:
        """True if moving this folder would move something closed."""
        return any(place.is_relative_to(resolved) for place in self._look())

    def below(self, folder: Path, levels: int | None = None) -> list[Path]:
        """What is closed below a folder, wherever it was moved; nothing inside of it. `levels`: how deep to look.

        Raises TooManyFilesError.
        """
        places, found, seen, rest = {*self._look(), *self._kernel}, [], 0, [(folder, 1)]
        while rest:
            here, level = rest.pop()
            for entry in _entries(here):
                seen += 1
                if seen > MAX_WALKED:
                    raise TooManyFilesError
                path = here / entry.name
                if path in places or _identity_of(entry) in self._known:
                    found.append(path)
                elif (levels is None or level < levels) and entry.is_dir(follow_symlinks=False):
                    rest.append((path, level + 1))
        return found

    def _look(self) -> list[Path]:
        """The current paths with links resolved; remembers the identity of those that exist."""
        places = [path.resolve() for path in self._paths]
        self._known |= {identity for place in places if (identity := _identity(place)) is not None}
        return [place for place in places if place == self._root or not self._root.is_relative_to(place)]

    def _linked(self, resolved: Path) -> bool:
        """True for a hard link to a file inside a closed folder."""
        try:
            found = resolved.stat()
        except OSError:
            return False
        if not stat.S_ISREG(found.st_mode) or found.st_nlink == 1:
            return False
        for count, identity in enumerate(_files((path.resolve() for path in self._paths), self._root)):
            if identity == (found.st_dev, found.st_ino) or count >= MAX_WALKED:
                return True
        return False


def _identity(path: Path) -> FileId | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _identity_of(entry: os.DirEntry[str]) -> FileId | None:
    """The entry's own identity, not that of a link's target."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _files(folders: Iterable[Path], root: Path) -> Iterator[FileId]:
    """Identities of all files in the folders, except those below the root."""
    for folder in folders:
        for where, inner, files in os.walk(folder):
            here = Path(where)
            inner[:] = [name for name in inner if here / name != root]
            yield from (identity for name in files if (identity := _identity(here / name)) is not None)
