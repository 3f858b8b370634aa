"""The audio files that are written, and the rates of each. Needs no codec library."""

from __future__ import annotations

from dataclasses import dataclass

BYTES_PER_SAMPLE = 2
MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 48_000
MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # MPEG-1, 2 and 2.5
OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)  # RFC 6716, section 2.1.3

FORMATS = ("wav", "mp3", "opus", "aac", "flac", "pcm")


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A container and codec, and FFmpeg's options to stream them."""

    content_type: str
    also_called: tuple[str, ...] = ()  # other content types that clients may ask for
    muxer: str = ""  # empty: FFmpeg is not needed
    codec: str = ""
    rates_hz: tuple[int, ...] = ()  # empty: any within MIN_RATE_HZ and MAX_RATE_HZ
    bit_rate: int | None = None
    muxer_options: tuple[tuple[str, str], ...] = ()
    codec_options: tuple[tuple[str, str], ...] = ()

    def takes(self, rate_hz: int) -> bool:
        """True if it can be written at this rate."""
        return rate_hz in self.rates_hz if self.rates_hz else MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ

    def rate_hz(self, asked_hz: int | None, voice_hz: int) -> int:
        """The rate to write: the requested one, else the voice's own, else the next higher one that is supported."""
        wanted = asked_hz or voice_hz
        if self.takes(wanted):
            return wanted
        return min((rate for rate in self.rates_hz if rate >= wanted), default=max(self.rates_hz, default=MAX_RATE_HZ))


AUDIO_FORMATS = {
    "wav": AudioFormat("audio/wav", ("audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav")),
    "pcm": AudioFormat("audio/pcm", ("audio/x-raw",)),
    "mp3": AudioFormat(
        "audio/mpeg",
        ("audio/mp3", "audio/x-mp3", "audio/mpeg3", "audio/x-mpeg"),
        "mp3",
        "libmp3lame",
        MP3_RATES_HZ,
        64_000,  # transparent for mono speech; LAME's own preset for voice is lower
        (("write_xing", "0"), ("id3v2_version", "0"), ("flush_packets", "1")),
    ),
    "opus": AudioFormat(
        "audio/ogg",
        ("audio/opus", "application/ogg"),
        "ogg",
        "libopus",
        OPUS_RATES_HZ,
        32_000,  # RFC 7587, section 3.1.1: 28-40 kbit/s for full-band speech
        (("page_duration", "100000"), ("flush_packets", "1")),  # a page of 100 ms instead of a second
        (("application", "voip"),),
    ),
    "aac": AudioFormat(
        "audio/aac",
        ("audio/aacp",),
        "adts",
        "aac",
        (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),  # ISO/IEC 14496-3, table 1.18
        64_000,  # transparent for one voice
        (("flush_packets", "1"),),
    ),
    "flac": AudioFormat(
        "audio/flac",
        ("audio/x-flac",),
        "flac",
        "flac",
        muxer_options=(("flush_packets", "1"),),
        codec_options=(("compression_level", "2"),),  # blocks of 27 ms; levels above 2 use 105 ms
    ),
}
