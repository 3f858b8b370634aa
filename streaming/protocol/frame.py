"""The binary frame: a 16-byte header, big-endian, then audio. Allocates nothing but the result."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from streaming.protocol.close_codes import CloseCode
from streaming.protocol.errors import LocalProtocolError, RemoteProtocolError

VERSION: Final = 1
LAST = 0x01  # last frame of this input or utterance
LOST = 0x02  # audio was lost before this frame
HEADER: Final = struct.Struct(">BBHIII")  # version, flags, channel, generation, seq, pts_ms
HEADER_BYTES: Final = 16


class Frame(NamedTuple):
    """A decoded frame. `seq`: number in the channel if from a client, in the session if from a server."""

    flags: int
    channel: int
    generation: int
    seq: int
    pts_ms: int
    payload: bytes


def encode(
    channel: int, payload: bytes, *, generation: int = 0, seq: int = 0, pts_ms: int = 0, flags: int = 0
) -> bytes:
    """Encode a binary message. Raises LocalProtocolError if a number does not fit its field."""
    try:
        return HEADER.pack(VERSION, flags, channel, generation, seq, pts_ms) + payload
    except struct.error as error:
        raise LocalProtocolError(f"frame header: {error}") from error


def decode(data: bytes) -> Frame:
    """Decode a binary message; unknown flags are kept. Raises RemoteProtocolError (1002)."""
    if len(data) < HEADER_BYTES:
        raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, f"a frame has {HEADER_BYTES} bytes of header")
    version, flags, channel, generation, seq, pts_ms = HEADER.unpack_from(data)
    if version != VERSION:
        raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, f"frame version {version} is not {VERSION}")
    return Frame(flags, channel, generation, seq, pts_ms, data[HEADER_BYTES:])
