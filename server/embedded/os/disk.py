"""How much of the disk commands may take: the services keep their own data there, too."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.embedded.executor import FullError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.embedded.os.copies import Copy

GIB = 1024**3
SHARE_BYTES = GIB  # that one user copies within an hour, with one command or many
# What commands leave free of a volume: a tenth of it, and of a large one so much. In memory it is room for eight users who store all they may.
KEPT_FREE_PART = 10
KEPT_FREE_BYTES = GIB
NAME_BYTES = 4_096  # that an empty file or folder takes: a block


@dataclass(frozen=True, slots=True)
class Writes:
    """What a command is about to write. `made`: names that it makes; `places`: where it writes."""

    made: int = 0
    copy: Copy | None = None
    places: tuple[Path, ...] = ()

    @property
    def copied_bytes(self) -> int:
        """Bytes of the copy, which is never longer."""
        return 0 if self.copy is None else self.copy.size_bytes

    @property
    def taken_bytes(self) -> int:
        """At most so much of the disk."""
        return self.copied_bytes + self.made * NAME_BYTES


class DiskRoom:
    """The volumes' free space, less what commands that run have still to write."""

    def __init__(self) -> None:
        self._promised: Counter[int] = Counter()  # bytes, by device

    @contextmanager
    def promised(self, writes: Writes) -> Iterator[None]:
        """Keep room for what the block writes. Raises FullError if too little would be left free."""
        taken = writes.taken_bytes
        devices = set()
        for folder in set(map(_existing, writes.places if taken else ())):
            device, found = folder.stat().st_dev, os.statvfs(folder)
            kept = min(found.f_blocks * found.f_frsize // KEPT_FREE_PART, KEPT_FREE_BYTES)
            if found.f_bavail * found.f_frsize - self._promised[device] - taken < kept:
                raise FullError(f"the disk is nearly full: commands leave {_megabytes(kept)} of it free")
            devices.add(device)
        self._promised.update(dict.fromkeys(devices, taken))
        try:
            yield
        finally:
            self._promised.subtract(dict.fromkeys(devices, taken))


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _megabytes(count: int) -> str:
    return f"{max(1, round(count / 1024**2)):,} MiB"


def share_words() -> str:
    """What is told when the share is used up."""
    return f"a user may copy {_megabytes(SHARE_BYTES)} within an hour"
