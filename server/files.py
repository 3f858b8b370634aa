"""Reading files that the settings name, which may be anything: a device such as /dev/zero has no end."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_text(path: Path, most_bytes: int, encoding: str = "utf-8") -> str:
    """The whole file. Raises OSError, with EFBIG if it is larger than `most_bytes`, and UnicodeDecodeError."""
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data.decode(encoding)
