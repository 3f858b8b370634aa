"""Paths that commands may not touch: the services' data, recordings, the audit log, files with secrets.

A path is recognised by device and inode as well as by name, so it stays closed after renaming and through symbolic and hard
links.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from server.embedded.os.disk import Writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from server.embedded.os.nothing_done import Kept, Nothing

FileId = tuple[int, int]  # device and inode

# Files that are searched for one command: for the other name of a hard link, and for what is closed below the folders that are listed
# or moved. A command for which it would be more is refused.
MAX_WALKED = 100_000
HOLDING = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK)  # Linux opens without reading
NOT_HELD = -1
KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))  # environments of processes, other paths to files, raw disks


class TooManyFilesError(Exception):
    """Too many files would have to be searched for closed ones."""


class Search:
    """What is looked through to check one command: at most so many files, for all of its paths together."""

    def __init__(self, most: int | None = None) -> None:
        self._left = MAX_WALKED if most is None else most
        self._stopped = False
        # once the command is checked: what it is about to write, and how it is seen that it has done nothing
        self.writes = Writes()
        self.nothing: Kept | Nothing | None = None
        self.places: list[str] | None = None  # closed ones, once they are known
        self.linked: frozenset[FileId] | None = None  # the files in closed folders, once they are known

    def step(self) -> None:
        """One more file. Raises TooManyFilesError."""
        if self._left <= 0 or self._stopped:
            raise TooManyFilesError
        self._left -= 1

    def stop(self) -> None:
        """Nobody waits for it any longer: it ends at the next file. May be called from another thread."""
        self._stopped = True


class ClosedPaths:
    """Closed files and folders, including everything in them.

    A closed folder may contain the root itself (as the default root does). Only what is below the root is open then; the rest of the
    folder is out of reach anyway.
    """

    def __init__(self, paths: Iterable[Path], root: Path) -> None:
        self._root = root
        self._paths = tuple(paths)
        self._kernel = [place for place in KERNEL if not root.is_relative_to(place)]
        self._known = _Known()
        self._look()

    def holds(self, resolved: Path, search: Search) -> bool:
        """True if the path is closed or inside a closed folder. Paths that do not exist yet are compared by name.

        Raises TooManyFilesError.
        """
        if search.places is None:
            search.places = [str(place).rstrip("/") for place in (*self._look(), *self._kernel)]
        text = str(resolved)
        if any(is_within(text, place) for place in search.places):
            return True
        return any(identity in self._known for identity in self._on_the_way(resolved)) or self._linked(resolved, search)

    def _on_the_way(self, resolved: Path) -> Iterator[FileId]:
        """The root, and what is on the way from there to the path, as far as it exists."""
        if not resolved.is_relative_to(self._root):
            return
        for place in accumulate(resolved.relative_to(self._root).parts, "{}/{}".format, initial=str(self._root)):
            if (identity := _identity(place)) is None:
                return
            yield identity

    def is_below(self, resolved: Path) -> bool:
        """True if moving this folder would move something closed."""
        return any(place.is_relative_to(resolved) for place in self._look())

    def below(self, folder: Path, search: Search, levels: int | None = None) -> list[Path]:
        """What is closed below a folder, wherever it was moved; nothing inside of it. `levels`: how deep to look.

        Raises TooManyFilesError.
        """
        places = {str(place) for place in (*self._look(), *self._kernel)}
        found, rest = [], [(str(folder), 1)]  # texts: a path of hundreds of parts is expensive
        while rest:
            here, level = rest.pop()
            for entry in _entries(here, search):
                if entry.path in places or _identity_of(entry) in self._known:
                    found.append(Path(entry.path))
                elif (levels is None or level < levels) and entry.is_dir(follow_symlinks=False):
                    rest.append((entry.path, level + 1))
        return found

    def _look(self) -> list[Path]:
        """The current paths with links resolved; remembers the identity of those that exist."""
        places = [path.resolve() for path in self._paths]
        self._known.update(places)
        return [place for place in places if place == self._root or not self._root.is_relative_to(place)]

    def entries(self, search: Search) -> Callable[[str, os.stat_result], bool]:
        """A test for many entries of folders: True if the entry itself is closed, or a hard link to a closed file.

        It raises TooManyFilesError.
        """
        places = {str(place) for place in (*self._look(), *self._kernel)}

        def is_closed(path: str, found: os.stat_result) -> bool:
            search.step()
            identity = found.st_dev, found.st_ino
            if path in places or identity in self._known:
                return True
            return _may_be_linked(found) and identity in self._files(search)

        return is_closed

    def _linked(self, resolved: Path, search: Search) -> bool:
        """True for a hard link to a file inside a closed folder. Raises TooManyFilesError."""
        try:
            found = resolved.stat()
        except OSError:
            return False
        return _may_be_linked(found) and (found.st_dev, found.st_ino) in self._files(search)

    def _files(self, search: Search) -> frozenset[FileId]:
        """All files in closed folders. Raises TooManyFilesError."""
        if search.linked is None:
            search.linked = frozenset(_files((path.resolve() for path in self._paths), self._root, search))
        return search.linked


class _Known:
    """What closed paths have led to: a file or folder that was moved is still the same one, until it is gone.

    Each is held open, so that its inode is not given to another file before it is forgotten.
    """

    def __init__(self) -> None:
        self._held: dict[FileId, int] = {}
        self._lock = Lock()  # checks run in threads
        weakref.finalize(self, _close, self._held)

    def __contains__(self, identity: FileId | None) -> bool:
        return identity in self._held

    def update(self, places: Iterable[Path]) -> None:
        """Forget what has no name any longer, and add what is in these places."""
        with self._lock:
            gone = [known for known, held in self._held.items() if held != NOT_HELD and _is_gone(held)]
            for known in gone:
                os.close(self._held.pop(known))
            for place in places:
                if (identity := _identity(place)) is not None and identity not in self._held:
                    self._hold(place, identity)

    def _hold(self, place: Path, identity: FileId) -> None:
        try:
            held = os.open(place, HOLDING)
        except FileNotFoundError:
            return
        except OSError:  # it cannot be opened: known for good
            self._held[identity] = NOT_HELD
            return
        found = os.fstat(held)
        holds = found.st_dev, found.st_ino  # another file, if that has just taken the place
        if holds in self._held:
            os.close(held)
        else:
            self._held[holds] = held


def _is_gone(held: int) -> bool:
    try:
        return os.fstat(held).st_nlink == 0
    except OSError as error:
        return error.errno == errno.ESTALE  # removed by another machine


def _close(held: dict[FileId, int]) -> None:
    for each in held.values():
        if each != NOT_HELD:
            os.close(each)


def _may_be_linked(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1


def is_within(path: str, folder: str) -> bool:
    """True if the path is the folder, or below it. Both are absolute, without links and `..`; "" is the topmost folder."""
    return f"{path}/".startswith(f"{folder}/")


def _identity(path: str | Path) -> FileId | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - of texts, too
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _entries(folder: str | Path, search: Search) -> Iterator[os.DirEntry[str]]:
    """What is in a folder; nothing if it cannot be read. Raises TooManyFilesError."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            search.step()
            yield entry


def _identity_of(entry: os.DirEntry[str]) -> FileId | None:
    """The entry's own identity, not that of a link's target."""
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _files(folders: Iterable[Path], root: Path, search: Search) -> Iterator[FileId]:
    """Identities of all files in the folders, except those below the root. Raises TooManyFilesError."""
    rest = list(folders)
    while rest:
        here = rest.pop()
        for entry in _entries(here, search):
            path = here / entry.name
            if entry.is_dir(follow_symlinks=False):
                rest += [path] if path != root else []
            elif (identity := _identity(path)) is not None:
                yield identity
