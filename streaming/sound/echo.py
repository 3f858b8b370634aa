"""Removes the reply's own sound from the microphone, for clients without echo cancellation. WebRTC's AEC3, off the event loop.

The far end is what the client played, by the playout cursor. AEC3 itself finds the delay through the room, if it is steady.
"""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING

from streaming.ports import ServiceError
from streaming.sound.codecs import SERVICE_RATE_HZ
from streaming.sound.filters import AudioFilter
from streaming.sound.pcm import BYTES_PER_SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.sound.canceller import Canceller
    from streaming.sound.ffmpeg import Resampler

PARTS = ("numpy", "pywebrtc_audio")
BLOCK_BYTES = SERVICE_RATE_HZ // 100 * BYTES_PER_SAMPLE  # AEC3 works on blocks of 10 ms
# Between what was read and what the client plays; less is jitter of its reports, and a jump costs AEC3 a second.
MAX_DRIFT_MS = 120
BYTES_PER_MS = SERVICE_RATE_HZ // 1000 * BYTES_PER_SAMPLE


class FarEnd:
    """What the client's loudspeaker plays, at the microphone's rate."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._read = 0
        self._played_ms: Callable[[], float] | None = None
        self._resampler: Resampler | None = None
        self._rate_hz = 0

    def begin(self, rate_hz: int, played_ms: Callable[[], float]) -> None:
        """Start an utterance; `played_ms` returns how much of it the client has played."""
        self._pcm.clear()
        self._read, self._rate_hz, self._played_ms = 0, rate_hz, played_ms
        from streaming.sound import ffmpeg  # noqa: PLC0415 - see `codecs`

        self._resampler = ffmpeg.Resampler(SERVICE_RATE_HZ)

    def add(self, pcm: bytes) -> None:
        """Add audio before it is sent."""
        if self._resampler is not None and pcm:
            self._pcm += self._resampler.feed_pcm(pcm, self._rate_hz)

    def end(self) -> None:
        """The utterance ended or was stopped."""
        self._pcm.clear()
        self._played_ms = self._resampler = None

    def take(self, n_bytes: int) -> bytes:
        """What was played while `n_bytes` were recorded; silence if nothing was."""
        if self._played_ms is None:
            return bytes(n_bytes)
        end = round(self._played_ms()) * BYTES_PER_MS
        if abs(end - (self._read + n_bytes)) > MAX_DRIFT_MS * BYTES_PER_MS:
            self._read = max(0, end - n_bytes)
        taken = bytes(self._pcm[self._read : self._read + n_bytes])
        self._read += n_bytes if end > 0 else 0
        return taken.ljust(n_bytes, b"\0") if end > 0 else bytes(n_bytes)


class EchoFilter(AudioFilter):
    """Removes the far end from microphone audio, some 22 ms per second of audio. Raises ServiceError if AEC3 is not installed."""

    def __init__(self, far_end: FarEnd, send: Callable[[bytes], None]) -> None:
        if None in map(importlib.util.find_spec, PARTS):
            words = "echo cancellation is not installed here: the extra `echo` brings it"
            raise ServiceError("UNIMPLEMENTED", words)
        super().__init__(send)
        self._canceller: Canceller | None = None  # made by the first audio
        self._far_end = far_end
        self._near = bytearray()  # less than a block
        self._far = bytearray()  # for it, and for all that waits

    def feed(self, pcm: bytes) -> None:
        """Add a frame that was just recorded."""
        self._far += self._far_end.take(len(pcm))
        super().feed(pcm)

    async def _pass_on(self, pcm: bytes) -> None:
        """Filter whole blocks in a thread."""
        self._near += pcm
        blocks = len(self._near) // BLOCK_BYTES * BLOCK_BYTES
        near, far = bytes(self._near[:blocks]), bytes(self._far[:blocks])
        del self._near[:blocks], self._far[:blocks]
        if near:
            self._pass(await asyncio.to_thread(self._filtered, near, far))

    def _send_rest(self) -> None:
        """Besides what the canceller holds, it is less than a block, and is sent unfiltered."""
        if self._canceller is not None:
            self._pass(self._canceller.rest())
        rest = bytes(self._near)
        self._near.clear()
        del self._far[: len(rest)]  # what follows belongs to audio that waits
        self._pass(rest)

    def _pass(self, pcm: bytes) -> None:
        if pcm:
            self._send(pcm)

    def _filtered(self, near: bytes, far: bytes) -> bytes:
        if self._canceller is None:
            self._canceller = _new_canceller()
        return self._canceller.process(near, far)


def _new_canceller() -> Canceller:
    """Loading the libraries takes 0.1 s the first time."""
    from streaming.sound.canceller import Canceller  # noqa: PLC0415 - needs the extra `echo`

    return Canceller()
