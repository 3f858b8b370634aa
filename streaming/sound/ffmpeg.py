"""FFmpeg's codecs and resampler, by PyAV. Only this module of `streaming` imports it: see `codecs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from streaming.sound.pcm import BYTES_PER_SAMPLE, AudioFormatError, whole_samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOGETHER_MS = 40  # of PCM; a recogniser gets the first of two frames 20 ms later


def _frame(pcm: bytes, rate_hz: int) -> AudioFrame:
    frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // BYTES_PER_SAMPLE)
    frame.sample_rate = rate_hz
    frame.planes[0].update(pcm)
    return frame


def _pcm(frame: AudioFrame) -> bytes:
    # Planes are padded for alignment; only the samples count.
    return bytes(frame.planes[0])[: frame.samples * BYTES_PER_SAMPLE]


class Resampler:
    """Resamples to 16-bit mono at `rate_hz`, keeping the filter's state between frames."""

    def __init__(self, rate_hz: int) -> None:
        self._resampler = AudioResampler(format="s16", layout="mono", rate=rate_hz)

    def feed(self, frame: AudioFrame) -> bytes:
        """The samples that are ready."""
        frame.pts = None
        return self._resampled(frame)

    def feed_pcm(self, pcm: bytes, rate_hz: int) -> bytes:
        """The same, of 16-bit mono PCM."""
        return self._resampled(_frame(pcm, rate_hz))

    def flush(self) -> bytes:
        """The samples that are still in the filter."""
        return self._resampled(None)

    def _resampled(self, frame: AudioFrame | None) -> bytes:
        return b"".join(_pcm(out) for out in self._resampler.resample(frame))


class PcmDecoder:
    """PCM at another rate. Short frames are resampled two at a time: a call takes 21.5 µs for 20 ms, and 24.2 µs for 40 ms."""

    def __init__(self, rate_hz: int, service_rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler = Resampler(service_rate_hz)
        self._least_bytes = rate_hz * TOGETHER_MS // 1000 * BYTES_PER_SAMPLE
        self._held = b""

    @property
    def holds(self) -> bool:
        """True if a short frame waits for the next one."""
        return self._held != b""

    def decode(self, payload: bytes) -> bytes:
        """The PCM of one frame, and of the one before it if that was held; empty if this one is held."""
        self._held += whole_samples(payload)
        return self.rest() if len(self._held) >= self._least_bytes else b""

    def rest(self) -> bytes:
        """The PCM of what is held."""
        pcm, self._held = self._held, b""
        return self._resampler.feed_pcm(pcm, self._rate_hz) if pcm else b""


class PacketDecoder:
    """µ-law, A-law and Opus."""

    def __init__(self, codec: str, rate_hz: int, service_rate_hz: int) -> None:
        context = av.CodecContext.create(codec, "r")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate = rate_hz
        context.layout = "mono"
        self._context = context
        self._resampler = Resampler(service_rate_hz)
        self.holds = False

    def rest(self) -> bytes:
        """Empty: nothing is held."""
        return b""

    def decode(self, payload: bytes) -> bytes:
        """The PCM of one packet. Raises AudioFormatError."""
        if not payload:
            return b""
        try:
            frames = self._context.decode(av.Packet(payload))
        except av.FFmpegError as broken:
            msg = "the frame is not a valid packet of the announced encoding"
            raise AudioFormatError(msg) from broken
        return b"".join(self._resampler.feed(frame) for frame in frames)


class PacketEncoder:
    """The same, the other way. `options` are FFmpeg's."""

    def __init__(
        self, codec: str, rate_hz: int, bit_rate: int | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        context = av.CodecContext.create(codec, "w")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate = rate_hz
        context.layout = "mono"
        context.format = "s16"
        if bit_rate is not None:
            context.bit_rate = bit_rate
        if options is not None:
            context.options = dict(options)
        context.open()
        self._context = context
        self._rate_hz = rate_hz

    def encode(self, pcm: bytes) -> Sequence[bytes]:
        """The packets that this PCM completes."""
        return [bytes(packet) for packet in self._context.encode(_frame(pcm, self._rate_hz))]
