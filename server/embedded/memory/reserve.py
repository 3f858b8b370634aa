"""Room on the disk for forgetting: SQLite writes what it deletes into its log first, which a full disk refuses."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_BYTES = 4 * 1024 * 1024


class Reserve:
    """A file that is removed when something is to be deleted from a full disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Make the file if it is not whole and there is room."""
        try:
            if self._path.exists() and self._path.stat().st_size == RESERVE_BYTES:
                return
            if shutil.disk_usage(self._path.parent).free < RESERVE_BYTES:
                return
            self._path.touch(mode=0o600)
            self._path.write_bytes(os.urandom(RESERVE_BYTES))  # some file systems give no room to zeros
        except OSError:  # no room after all
            self.give_up()

    def give_up(self) -> None:
        """Make room."""
        with suppress(OSError):
            self._path.unlink()
