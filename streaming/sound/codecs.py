"""The encodings of channels, to and from the PCM of the services.

FFmpeg's libraries (PyAV, `streaming.sound.ffmpeg`) do the work in C. Decoding or resampling a 20 ms frame takes 2 to 10 µs, encoding
it as Opus 0.17 ms, which is short enough for the event loop. PCM at the service's own rate passes through untouched.

Loading the libraries takes 0.1 s and 16 MB, so a process that serves sockets does it in a thread before the first one opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from streaming.sound.pcm import BYTES_PER_SAMPLE, AudioFormatError, whole_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.sound.ffmpeg import PacketEncoder, Resampler

SERVICE_RATE_HZ: Final = 16_000  # the rate of speech recognisers; all audio is resampled to it once
OPUS_RATE_HZ = 48_000  # RFC 6716: the codec's internal rate, whatever the input
FRAME_MS = 40  # of PCM sent to a client: half as many messages as with 20 ms, and interruptions are still prompt
OPUS_FRAME_MS = 20  # one packet per frame, the interval of all WebRTC stacks
OPUS_BIT_RATE = 32_000  # transparent for wide-band speech (RFC 7587, section 3.1.1 recommends 28-40 kbit/s)

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 48_000

ENCODINGS = ("pcm_s16le", "mulaw", "alaw", "opus")

_LAWS = {"mulaw": "pcm_mulaw", "alaw": "pcm_alaw"}


class Decoder(Protocol):
    """Decodes a microphone's frames to PCM at SERVICE_RATE_HZ."""

    def decode(self, payload: bytes) -> bytes:
        """The PCM of one frame, empty while a filter fills or the frame is held. Raises AudioFormatError."""

    @property
    def holds(self) -> bool:
        """True if a frame waits to be decoded together with the next one."""

    def rest(self) -> bytes:
        """The PCM of a frame that is held."""


def pcm_duration_ms(n_bytes: int, rate_hz: int) -> float:
    """Duration of 16-bit mono PCM."""
    return n_bytes * 1000 / (BYTES_PER_SAMPLE * rate_hz)


class PassThrough:
    """PCM at the service's own rate: checked, but not changed."""

    holds = False

    def rest(self) -> bytes:
        """Empty: nothing is held."""
        return b""

    def decode(self, payload: bytes) -> bytes:
        """The frame itself."""
        return whole_samples(payload)


def microphone_decoder(encoding: str, rate_hz: int) -> Decoder:
    """The decoder for the format announced in `channel.open`. Raises AudioFormatError."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        msg = f"sample_rate must lie between {MIN_RATE_HZ} and {MAX_RATE_HZ}"
        raise AudioFormatError(msg)
    if encoding not in ENCODINGS:
        msg = f"encoding must be one of {', '.join(ENCODINGS)}"
        raise AudioFormatError(msg)
    if encoding == "pcm_s16le" and rate_hz == SERVICE_RATE_HZ:
        return PassThrough()
    from streaming.sound import ffmpeg  # noqa: PLC0415 - see the module

    if encoding == "pcm_s16le":
        return ffmpeg.PcmDecoder(rate_hz, SERVICE_RATE_HZ)
    if encoding == "opus":
        return ffmpeg.PacketDecoder("libopus", OPUS_RATE_HZ, SERVICE_RATE_HZ)
    return ffmpeg.PacketDecoder(_LAWS[encoding], rate_hz, SERVICE_RATE_HZ)


class SpeechEncoder:
    """Encodes a service's PCM to frames of the client's encoding and rate.

    `pcm_bytes_per_ms` is the service's. `encode` takes PCM of any length and returns whole frames; `flush` returns the rest. Opus is always at 48 kHz.
    """

    def __init__(self, encoding: str, rate_hz: int, service_rate_hz: int) -> None:
        if encoding not in ENCODINGS:
            msg = f"encoding must be one of {', '.join(ENCODINGS)}"
            raise AudioFormatError(msg)
        self.encoding = encoding
        self.rate_hz = OPUS_RATE_HZ if encoding == "opus" else rate_hz
        self._service_rate_hz = service_rate_hz
        self._resampler = self._open_resampler()
        self.frame_ms = OPUS_FRAME_MS if encoding == "opus" else FRAME_MS
        self._frame_bytes = self.rate_hz * self.frame_ms // 1000 * BYTES_PER_SAMPLE
        self._rest = bytearray()
        self._bytes_per_ms = self.rate_hz / 1000 * (BYTES_PER_SAMPLE if encoding == "pcm_s16le" else 1)
        self.pcm_bytes_per_ms = service_rate_hz / 1000 * BYTES_PER_SAMPLE
        self._codec = self._open_codec()
        self._passing_bytes = self._frame_bytes if self._codec is None and self._resampler is None else 0

    def _open_resampler(self) -> Resampler | None:
        if self.rate_hz == self._service_rate_hz:
            return None
        from streaming.sound import ffmpeg  # noqa: PLC0415 - see the module

        return ffmpeg.Resampler(self.rate_hz)

    def _open_codec(self) -> PacketEncoder | None:
        if self.encoding == "pcm_s16le":
            return None
        from streaming.sound import ffmpeg  # noqa: PLC0415 - see the module

        if self.encoding == "opus":
            options = {"application": "voip", "frame_duration": str(OPUS_FRAME_MS)}
            return ffmpeg.PacketEncoder("libopus", self.rate_hz, OPUS_BIT_RATE, options)
        return ffmpeg.PacketEncoder(_LAWS[self.encoding], self.rate_hz)

    def encode(self, pcm: bytes) -> Sequence[bytes]:
        """The frames that this piece completes."""
        resampled = self._resampler.feed_pcm(pcm, self._service_rate_hz) if self._resampler and pcm else pcm
        if not self._rest and len(resampled) == self._frame_bytes:
            # A service that speaks in real time sends just such pieces.
            return self._packets(resampled) if self._codec else (resampled,)
        self._rest += resampled
        frames: list[bytes] = []
        while len(self._rest) >= self._frame_bytes:
            piece = bytes(self._rest[: self._frame_bytes])
            del self._rest[: self._frame_bytes]
            frames += self._packets(piece)
        return frames

    def passes(self, pcm: bytes) -> bool:
        """True if `encode` would return this piece as it is: a frame of FRAME_MS, at the client's own rate."""
        return len(pcm) == self._passing_bytes and not self._rest

    def flush(self) -> Sequence[bytes]:
        """The rest at the end of an utterance. The last Opus packet is padded with silence."""
        if self._resampler:
            self._rest += self._resampler.flush()
        piece = bytes(self._rest)
        self._rest.clear()
        if not piece:
            return ()
        if self.encoding == "opus":
            piece = piece.ljust(-(-len(piece) // self._frame_bytes) * self._frame_bytes, b"\0")
            starts = range(0, len(piece), self._frame_bytes)
            return [packet for start in starts for packet in self._packets(piece[start : start + self._frame_bytes])]
        return self._packets(piece)

    def _packets(self, pcm: bytes) -> Sequence[bytes]:
        return (pcm,) if self._codec is None else self._codec.encode(pcm)

    def most_bytes(self, n_bytes: int) -> int:
        """Upper limit of the bytes that `encode` returns for so many bytes of PCM: none of the encodings is larger than PCM."""
        if self._resampler is None:
            return n_bytes + len(self._rest)
        return n_bytes * self.rate_hz // self._service_rate_hz + len(self._rest) + self._frame_bytes

    def duration_ms(self, frame: bytes) -> float:
        """Duration of one encoded frame."""
        if self.encoding == "opus":
            return self.frame_ms
        return len(frame) / self._bytes_per_ms
