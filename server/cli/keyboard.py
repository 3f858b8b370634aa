"""Answers typed during a turn: lines of standard input, read without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

YES = frozenset({"y", "yes"})
NO = frozenset({"n", "no"})
READ_BYTES = 4096


class Keyboard:
    """Calls `on_line` for each typed line while the context is open. A closed or unreadable input has no lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._typed = b""
        self._fd: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody may still type."""
        return self._fd is not None

    def __enter__(self) -> Self:
        try:
            fd = sys.stdin.fileno()
            asyncio.get_running_loop().add_reader(fd, self._read)
            self._fd = fd
        except (AttributeError, OSError, ValueError):
            self._fd = None  # closed, or a regular file
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._fd = None

    def _read(self) -> None:
        assert self._fd is not None, "the reader is removed with it"
        try:
            data = os.read(self._fd, READ_BYTES)
        except OSError:  # the terminal is gone
            data = b""
        if not data:
            self._stop()
            return
        *lines, self._typed = (self._typed + data).split(b"\n")
        for line in lines:
            self._on_line(line.decode("utf-8", "replace").strip())


def answer_of(line: str) -> bool | None:
    """True for yes, False for no, None for anything else."""
    word = line.lower().rstrip(".!")
    return True if word in YES else False if word in NO else None
