"""Paths that commands may not touch: the services' data, recordings, the audit log, files with secrets.

A path is recognised by device and inode as well as by name, so it stays closed after renaming and through symbolic and hard
links.
"""

from __future__ import annotations

import os
import stat
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FileId = tuple[int, int]  # device and inode

# Files searched for the other name of a hard link, and for what is closed below a folder that is listed or moved. Beyond it, every
# hard link, recursive listing and move is refused.
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

    def entries(self) -> Callable[[Path, os.stat_result], bool]:
        """A test for many entries of folders: True if the entry itself is closed, or a hard link to a closed file.

        It raises TooManyFilesError if asked of too many.
        """
        places = {*self._look(), *self._kernel}
        files = cache(self._files)
        asked = count(1)

        def is_closed(path: Path, found: os.stat_result) -> bool:
            if next(asked) > MAX_WALKED:
                raise TooManyFilesError
            identity = found.st_dev, found.st_ino
            return path in places or identity in self._known or (_may_be_linked(found) and _holds(files(), identity))

        return is_closed

    def _linked(self, resolved: Path) -> bool:
        """True for a hard link to a file inside a closed folder."""
        try:
            found = resolved.stat()
        except OSError:
            return False
        return _may_be_linked(found) and _holds(self._files(), (found.st_dev, found.st_ino))

    def _files(self) -> frozenset[FileId] | None:
        """All files in closed folders; None if these are too many."""
        files = frozenset(islice(_files((path.resolve() for path in self._paths), self._root), MAX_WALKED + 1))
        return files if len(files) <= MAX_WALKED else None


def _may_be_linked(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1


def _holds(files: frozenset[FileId] | None, identity: FileId) -> bool:
    return files is None or identity in files


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
