"""Splits files that were joined end to end into sections, each readable as a file.

FFmpeg's wav, flac and Ogg readers take the following files for data of the first, or stop. MP3, AAC and Matroska work as they are.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_BYTES = 1024 * 1024
MAX_SECTIONS = 1_000  # a joined recording never has more; opening a section costs some 100 µs

_WAV = re.compile(rb"RIFF.{4}WAVEfmt ", re.DOTALL)
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # the magic, and a STREAMINFO block of 34 bytes
_OGG_PAGE = re.compile(rb"OggS\x00([\x00-\x07])")  # RFC 3533, section 6: the flags of a page
_BEGINS_STREAM = 0x02
_LONGEST_MARK = 16  # bytes by which two pieces overlap


@dataclass(slots=True)
class Section:
    """A part of a file that reads like a file. It shares the file's position: read one section at a time."""

    file: IO[bytes]
    start: int
    end: int
    at: int = 0

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, or the rest if it is negative."""
        left = self.end - self.start - self.at
        self.file.seek(self.start + self.at)
        data = self.file.read(left if size < 0 else min(size, left))
        self.at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek within the section; returns the new position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.end - self.start}[whence]
        self.at = min(max(0, base + offset), self.end - self.start)
        return self.at

    def tell(self) -> int:
        """The position within the section."""
        return self.at


def sections(file: IO[bytes]) -> list[Section]:
    """The sections in order: one if nothing was joined, none for an empty file."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if not size:
        return []
    starts = [0, *_later_starts(file)][:MAX_SECTIONS]
    return [Section(file, start, end) for start, end in zip(starts, [*starts[1:], size], strict=True)]


def _later_starts(file: IO[bytes]) -> Iterator[int]:
    head = file.read(_LONGEST_MARK)
    if head.startswith(b"OggS"):
        yield from _later_links(file)
    for magic, pattern in ((b"RIFF", _WAV), (b"fLaC", _FLAC)):
        if head.startswith(magic):
            yield from (at for at, _found in _marks(file, pattern) if at)


def _later_links(file: IO[bytes]) -> Iterator[int]:
    """Ogg: the next link of a chain starts at a page that begins a stream, after pages that do not."""
    beginning = True
    for at, found in _marks(file, _OGG_PAGE):
        begins = bool(found[1][0] & _BEGINS_STREAM)
        if begins and not beginning:
            yield at
        beginning = begins


def _marks(file: IO[bytes], pattern: re.Pattern[bytes]) -> Iterator[tuple[int, re.Match[bytes]]]:
    file.seek(0)
    position, kept = 0, b""
    while piece := file.read(READ_BYTES):
        data = kept + piece
        for found in pattern.finditer(data):
            if found.end() > len(kept):  # not seen with the piece before
                yield position - len(kept) + found.start(), found  # not already found in the previous piece
        position += len(piece)
        kept = data[-_LONGEST_MARK:]
