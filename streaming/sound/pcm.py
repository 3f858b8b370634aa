"""16-bit little-endian mono PCM, the only format of the services."""

from __future__ import annotations

from typing import Final

BYTES_PER_SAMPLE: Final = 2


class AudioFormatError(ValueError):
    """The client's audio is not in the announced format; the text says how."""


def whole_samples(payload: bytes) -> bytes:
    """The frame itself. Raises AudioFormatError when it ends within a sample."""
    if len(payload) % BYTES_PER_SAMPLE:
        msg = "a pcm_s16le frame must hold whole 16-bit samples"
        raise AudioFormatError(msg)
    return payload
