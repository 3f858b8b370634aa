"""Encodes a voice's PCM to an audio file, sent while it is made.

The length is unknown when the first byte is sent. The WAV header says so (0xFFFFFFFF, as all streaming servers do), the FLAC
header leaves the total open, and MP3 is written without the Xing frame, which would have to be rewritten.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from server.audio.formats import AUDIO_FORMATS, BYTES_PER_SAMPLE

if TYPE_CHECKING:
    from server.audio.formats import AudioFormat

_UNKNOWN_LENGTH = 0xFFFFFFFF


class AudioEncoder(Protocol):
    """PCM (16-bit little-endian mono) in, a file's bytes out. `quick`: a piece takes some 10 µs; else encode in a codec thread."""

    quick: bool

    def encode(self, pcm: bytes) -> bytes:
        """The bytes that this piece completes, perhaps none."""

    def finish(self) -> bytes:
        """The remaining bytes."""


def wav_header(rate_hz: int) -> bytes:
    """A RIFF/WAVE header for 16-bit mono PCM of unknown length."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        _UNKNOWN_LENGTH,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        rate_hz,
        rate_hz * BYTES_PER_SAMPLE,
        BYTES_PER_SAMPLE,
        16,
        b"data",
        _UNKNOWN_LENGTH,
    )


def _audio_frame(pcm: bytes, rate_hz: int) -> AudioFrame:
    frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // BYTES_PER_SAMPLE)
    frame.sample_rate = rate_hz
    frame.pts = None
    frame.planes[0].update(pcm)
    return frame


class PcmEncoder:
    """Bare PCM or WAV. At the voice's own rate the samples pass through unchanged."""

    quick = True

    def __init__(self, voice_hz: int, rate_hz: int, header: bytes = b"") -> None:
        self._header = header
        self._voice_hz = voice_hz
        same = voice_hz == rate_hz
        self._resampler = None if same else AudioResampler(format="s16", layout="mono", rate=rate_hz)

    def encode(self, pcm: bytes) -> bytes:
        """The samples; the first piece begins with the header."""
        header, self._header = self._header, b""
        if self._resampler is None or not pcm:
            return header + pcm
        return header + self._resampled(_audio_frame(pcm, self._voice_hz))

    def finish(self) -> bytes:
        """The samples still in the resampler's filter."""
        header, self._header = self._header, b""
        return header + (self._resampled(None) if self._resampler else b"")

    def _resampled(self, frame: AudioFrame | None) -> bytes:
        assert self._resampler is not None
        return b"".join(
            bytes(out.planes[0])[: out.samples * BYTES_PER_SAMPLE] for out in self._resampler.resample(frame)
        )


class _Sink:
    """The muxer's output. It cannot seek, so FFmpeg writes as to a pipe."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class MuxedEncoder:
    """MP3, Ogg/Opus, AAC and FLAC, by FFmpeg's encoders and muxers."""

    quick = False

    def __init__(self, audio_format: AudioFormat, voice_hz: int, rate_hz: int) -> None:
        self._voice_hz = voice_hz
        self._sink = _Sink()
        options = dict(audio_format.muxer_options)
        self._container = av.open(self._sink, "w", format=audio_format.muxer, options=options, buffer_size=4096)
        stream = self._container.add_stream(audio_format.codec, rate=rate_hz, options=dict(audio_format.codec_options))
        assert isinstance(stream, AudioStream), "the codecs of AUDIO_FORMATS are audio codecs"
        stream.layout = "mono"
        if audio_format.bit_rate:
            stream.bit_rate = audio_format.bit_rate
        self._stream = stream
        self._resampler = AudioResampler(format=stream.format, layout="mono", rate=rate_hz)

    def encode(self, pcm: bytes) -> bytes:
        """Complete packets; the encoder keeps the rest."""
        if pcm:
            self._write(_audio_frame(pcm, self._voice_hz))
        return self._sink.take()

    def finish(self) -> bytes:
        """Drain the encoder and finish the file."""
        self._write(None)
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()

    def _write(self, frame: AudioFrame | None) -> None:
        for resampled in self._resampler.resample(frame):
            resampled.pts = None
            self._container.mux(self._stream.encode(resampled))


def audio_encoder(name: str, voice_hz: int, rate_hz: int) -> AudioEncoder:
    """An encoder for one utterance, in a format of AUDIO_FORMATS."""
    if name == "wav":
        return PcmEncoder(voice_hz, rate_hz, wav_header(rate_hz))
    if name == "pcm":
        return PcmEncoder(voice_hz, rate_hz)
    return MuxedEncoder(AUDIO_FORMATS[name], voice_hz, rate_hz)
