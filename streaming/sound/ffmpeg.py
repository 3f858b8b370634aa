"""FFmpeg's codecs and resampler, by PyAV. Only this module of `streaming` imports it: see `codecs`."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.filter import Graph

from streaming.sound.pcm import BYTES_PER_SAMPLE, AudioFormatError, whole_samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from av.filter.context import FilterContext

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
    """Resamples to 16-bit mono at `rate_hz`, keeping the filter's state between frames.

    The same filters as PyAV's AudioResampler, which asks for output until there is no more: it learns that by an exception, which takes
    longer than the resampling. A frame in gives at most one out, so one question does: 10.6 µs for 40 ms of PCM, not 22.6.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._graph: Graph | None = None  # built for the first frame's format; PyAV's contexts do not keep it alive
        self._source: FilterContext
        self._sink: FilterContext

    def feed(self, frame: AudioFrame) -> bytes:
        """The samples that are ready."""
        frame.pts = None
        if self._graph is None:
            self._build(frame)
        self._source.push(frame)
        try:
            return _pcm(cast("AudioFrame", self._sink.pull()))
        except BlockingIOError:  # the first samples are still in the filter
            return b""

    def _build(self, frame: AudioFrame) -> None:
        self._graph = graph = Graph()
        graph.threads = 1  # else each graph starts two more on this machine, for filters that we do not have
        self._source = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=Fraction(1, frame.sample_rate),
        )
        resampler = graph.add("aformat", f"sample_rates={self._rate_hz}:sample_fmts=s16:channel_layouts=mono")
        self._sink = graph.add("abuffersink")
        self._source.link_to(resampler)
        resampler.link_to(self._sink)
        graph.configure()

    def feed_pcm(self, pcm: bytes, rate_hz: int) -> bytes:
        """The same, of 16-bit mono PCM."""
        return self.feed(_frame(pcm, rate_hz))

    def flush(self) -> bytes:
        """The samples that are still in the filter."""
        if self._graph is None:
            return b""
        self._source.push(None)
        rest = []
        with contextlib.suppress(EOFError):
            while True:
                rest.append(_pcm(cast("AudioFrame", self._sink.pull())))
        return b"".join(rest)


class PcmDecoder:
    """PCM at another rate. Short frames are resampled two at a time: a call takes 9.1 µs for 20 ms, and 10.6 µs for 40 ms."""

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
