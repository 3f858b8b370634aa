"""Small audio files that claim far more than they hold."""

from __future__ import annotations

import struct


def _box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def _full(name: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", flags), *parts)


def _integers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def mp4_bomb(samples: int) -> bytes:
    """An MP4 of 700 bytes whose sample tables claim that many samples; FFmpeg makes an entry of 24 bytes or more for each."""
    matrix = _integers(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    movie = _full(
        b"mvhd", _integers(0, 0, 48_000, 48_000, 0x10000), b"\x01\x00" + bytes(10), matrix, bytes(24), _integers(2)
    )
    track = _full(b"tkhd", _integers(0, 0, 1, 0, 48_000), bytes(16), matrix, bytes(8), flags=7)
    media = _full(b"mdhd", _integers(0, 0, 48_000, 48_000), b"\x55\xc4\0\0")
    handler = _full(b"hdlr", bytes(4), b"soun", bytes(12), b"S\0")
    decoder = b"\x04\x11\x40\x15\0\0\0" + _integers(128_000, 128_000) + b"\x05\x02\x11\x88"
    stream = b"\x03" + bytes([6 + len(decoder)]) + b"\0\x01\0" + decoder + b"\x06\x01\x02"
    entry = _box(
        b"mp4a",
        bytes(6) + b"\0\x01",
        bytes(8),
        struct.pack(">HHHHI", 1, 16, 0, 0, 48_000 << 16),
        _full(b"esds", stream),
    )
    tables = _box(
        b"stbl",
        _full(b"stsd", _integers(1), entry),
        _full(b"stts", _integers(1, samples, 1024)),
        _full(b"stsc", _integers(1, 1, samples, 1)),
        _full(b"stsz", _integers(1, samples)),
        _full(b"stco", _integers(1, 600)),
    )
    source = _box(b"dinf", _full(b"dref", _integers(1), _full(b"url ", flags=1)))
    sound = _box(b"minf", _full(b"smhd", bytes(4)), source, tables)
    moov = _box(b"moov", movie, _box(b"trak", track, _box(b"mdia", media, handler, sound)))
    return _box(b"ftyp", b"isom\0\0\0\0isommp41") + moov + _box(b"mdat", b"\x21\x10\x04\x60\x8c\x1c" * 20)


def flac_at(rate_hz: int, samples: int = 65_535) -> bytes:
    """A FLAC of one silent frame, in 55 bytes: at 10 Hz it is nearly two hours."""
    info = _bits((samples, 16), (samples, 16), (0, 48), (rate_hz, 20), (0, 3), (15, 5), (samples, 36)) + bytes(16)
    head = _bits((0x3FFE, 14), (0, 2), (7, 4), (0, 8), (4, 3), (0, 1), (0, 8), (samples - 1, 16))
    head += bytes([_checksum(head, 8, 0x07)])
    frame = head + bytes(4)
    magic = b"fLaC\x80" + len(info).to_bytes(3, "big")
    return magic + info + frame + _checksum(frame, 16, 0x8005).to_bytes(2, "big")


def _bits(*fields: tuple[int, int]) -> bytes:
    written = "".join(format(value, f"0{width}b") for value, width in fields)
    return int(written, 2).to_bytes(len(written) // 8, "big")


def _checksum(data: bytes, width: int, polynomial: int) -> int:
    value, top = 0, 1 << width - 1
    for byte in data:
        value ^= byte << width - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & (2 * top - 1)
    return value
