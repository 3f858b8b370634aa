"""How many files and folders a user may make: the folder is everybody's, and each of them costs every recursive listing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_MADE = 64  # by one command, whose arguments have room for two thousand folders in each other
SHARE = 1_000  # of one user within an hour; a listing ends at a hundred thousand (closed.MAX_WALKED)
SHARE_S = 3_600
MANY_USERS = 256  # then those who may make all of their share again are forgotten


def missing(path: Path, root: Path) -> int:
    """How many names must be made for the path to exist: its own, and those of the folders above it."""
    parts = [part for part in (path, *path.parents) if part.is_relative_to(root)]
    return next((count for count, part in enumerate(parts) if part.exists()), len(parts))


class MadeNames:
    """What each user may still make. It grows back evenly."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._full_at: dict[str, float] = {}  # when the user may make all of the share again

    def take(self, user: str, count: int) -> bool:
        """Count what the user is about to make; False if it is more than what is left."""
        now = self._now()
        if len(self._full_at) >= MANY_USERS:
            self._full_at = {other: full_at for other, full_at in self._full_at.items() if full_at > now}
        full_at = max(now, self._full_at.get(user, now)) + count * SHARE_S / SHARE
        if full_at > now + SHARE_S:
            return False
        if count:
            self._full_at[user] = full_at
        return True
