"""How many files and folders a user may make: the folder is everybody's, and each of them costs every recursive listing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_MADE = 64  # by one command, which may be told four paths of as many levels
SHARE = 1_000  # of one user within an hour; a listing ends at a hundred thousand (closed.MAX_WALKED)


def missing(path: Path, root: Path) -> int:
    """How many names must be made for the path to exist: its own, and those of the folders above it."""
    parts = [part for part in (path, *path.parents) if part.is_relative_to(root)]
    return next((count for count, part in enumerate(parts) if part.exists()), len(parts))
