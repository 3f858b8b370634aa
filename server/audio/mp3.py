"""Finds MP3 frames by their headers (ISO/IEC 11172-3, section 2.4.1.3; 13818-3 for half the rate, MPEG 2.5 for a quarter).

In a damaged file, FFmpeg's reader loses its place and all that follows, so frames are located here. A header is accepted if
another one follows where its frame ends, or if it continues a run of frames.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.audio.sections import Section

READ_BYTES = 256 * 1024
MAX_LOST_BYTES = 1024 * 1024  # bytes outside frames; limits the search, which costs some µs per candidate
HEADER_BYTES, ID3_BYTES, TAG_BYTES = 4, 10, 128

_HEADER = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef].", re.DOTALL)  # layer III, no free format
_INFO = re.compile(rb"Xing|Info|VBRI")
_INFO_WITHIN_BYTES = 64  # of a frame's beginning: such a frame describes the file and contains no sound
_RATES_HZ = {0b11: (44_100, 48_000, 32_000), 0b10: (22_050, 24_000, 16_000), 0b00: (11_025, 12_000, 8_000)}
_KBIT_FULL = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # MPEG 1
_KBIT_LOWER = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # MPEG 2 and 2.5


@dataclass(frozen=True, slots=True)
class _Header:
    version: int
    rate_hz: int
    n_bytes: int


def frames(file: Section) -> Iterator[bytes]:
    """Complete frames in order. Never raises because of the file's contents."""
    file.seek(0)
    scan = _Scan(file)
    first = True
    while (frame := scan.next()) is not None:
        if not (first and _INFO.search(frame, 0, _INFO_WITHIN_BYTES)):
            yield frame
        first = False


class _Scan:
    def __init__(self, file: Section) -> None:
        self._file = file
        self._data = b""
        self._at = 0
        self._lost_bytes = 0
        self._before: _Header | None = None  # of the frame that ends at the current position

    def next(self) -> bytes | None:
        while self._has(HEADER_BYTES) and self._lost_bytes <= MAX_LOST_BYTES:
            header = self._header(self._at)
            if header is not None and self._counts(header):
                frame = self._data[self._at : self._at + header.n_bytes]
                self._at += len(frame)
                self._before = header
                return frame
            if not self._skip_tag():
                self._seek_header()
        return None

    def _counts(self, header: _Header) -> bool:
        """True if it is a frame's header, rather than bytes that look like one."""
        end = header.n_bytes
        continues = self._before is not None and _alike(self._before, header)
        if not self._has(end + HEADER_BYTES):
            return continues or self._has(end)  # the last frame; it may be truncated if it continues a run
        following = self._header(self._at + end)
        return continues or following is not None or self._is_tag(self._at + end)

    def _is_tag(self, at: int) -> bool:
        return self._data.startswith((b"ID3", b"TAG", b"APETAGEX"), at)

    def _skip_tag(self) -> bool:
        """Skip a tag. ID3v2 states its length, and may contain pictures, whose bytes can look like anything."""
        if self._data.startswith(b"TAG", self._at):
            self._forward(TAG_BYTES)
            return True
        if not self._data.startswith(b"ID3", self._at) or not self._has(ID3_BYTES):
            return False
        head = self._data[self._at : self._at + ID3_BYTES]
        size = head[6:]
        if head[3] not in {2, 3, 4} or max(size) > 0x7F:  # an unknown version, or a size that is not synchsafe
            return False
        self._forward(ID3_BYTES + _synchsafe(size))
        return True

    def _forward(self, n_bytes: int) -> None:
        """Advance without resetting the run: a frame may follow a tag as it follows a frame."""
        while n_bytes and self._has(1):
            step = min(n_bytes, len(self._data) - self._at)
            self._at += step
            n_bytes -= step

    def _seek_header(self) -> None:
        """Advance to the next bytes that look like a header or a tag."""
        self._before = None
        self._has(READ_BYTES)
        start = self._at
        found = _NEXT.search(self._data, start + 1)
        self._at = found.start() if found else max(start + 1, len(self._data) - HEADER_BYTES + 1)
        self._lost_bytes += self._at - start

    def _header(self, at: int) -> _Header | None:
        return _read_header(self._data[at : at + HEADER_BYTES])

    def _has(self, n_bytes: int) -> bool:
        """True if that many bytes are left. Reads more of the file if needed."""
        while len(self._data) - self._at < n_bytes:
            more = self._file.read(READ_BYTES)
            if not more:
                return False
            self._data = self._data[self._at :] + more
            self._at = 0
        return True


_NEXT = re.compile(_HEADER.pattern + rb"|ID3|TAG", re.DOTALL)


def _read_header(data: bytes) -> _Header | None:
    if not _HEADER.fullmatch(data):
        return None
    version, rate_index = data[1] >> 3 & 0b11, data[2] >> 2 & 0b11
    if rate_index == 0b11:
        return None
    rate_hz = _RATES_HZ[version][rate_index]
    kbit = (_KBIT_FULL if version == 0b11 else _KBIT_LOWER)[data[2] >> 4]
    slots = 144 if version == 0b11 else 72
    return _Header(version, rate_hz, slots * kbit * 1000 // rate_hz + (data[2] >> 1 & 1))


def _alike(one: _Header, other: _Header) -> bool:
    return (one.version, one.rate_hz) == (other.version, other.rate_hz)


def _synchsafe(size: bytes) -> int:
    """An integer with seven bits per byte."""
    return size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]
