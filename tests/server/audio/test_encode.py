"""PCM to files, as a stream."""

from __future__ import annotations

import io
import struct

import av
import pytest

from server.audio.encode import audio_encoder, wav_header
from server.audio.formats import AUDIO_FORMATS, FORMATS, MP3_RATES_HZ

VOICE_HZ = 22_050
PCM = struct.pack("<10h", *range(-5000, 5000, 1000)) * (VOICE_HZ // 10)  # a second


def encoded(name: str, rate_hz: int, piece_bytes: int = 2_646) -> bytes:
    encoder = audio_encoder(name, VOICE_HZ, rate_hz)
    pieces = [encoder.encode(PCM[at : at + piece_bytes]) for at in range(0, len(PCM), piece_bytes)]
    return b"".join(pieces) + encoder.finish()


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "flac"])
def test_a_second_stays_a_second(name: str) -> None:
    data = encoded(name, AUDIO_FORMATS[name].rate_hz(None, VOICE_HZ))
    with av.open(io.BytesIO(data), "r") as file:
        stream = file.streams.audio[0]
        seconds = sum(frame.samples / frame.sample_rate for frame in file.decode(stream))
    assert seconds == pytest.approx(1.0, abs=0.08)  # MP3 pads


def test_samples_of_the_voices_own_rate_pass_unchanged() -> None:
    assert encoded("pcm", VOICE_HZ) == PCM
    assert encoded("wav", VOICE_HZ) == wav_header(VOICE_HZ) + PCM


def test_flac_loses_nothing() -> None:
    with av.open(io.BytesIO(encoded("flac", VOICE_HZ)), "r") as file:
        samples = b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in file.decode(audio=0))
    assert samples == PCM


def test_a_header_comes_even_without_samples() -> None:
    assert audio_encoder("wav", VOICE_HZ, VOICE_HZ).finish() == wav_header(VOICE_HZ)
    assert audio_encoder("pcm", VOICE_HZ, VOICE_HZ).finish() == b""
    assert audio_encoder("pcm", VOICE_HZ, 8_000).encode(b"") == b""


def test_a_wav_header_says_that_the_length_is_unknown() -> None:
    header = wav_header(8_000)
    assert len(header) == 44
    assert header[4:8] == header[40:44] == b"\xff" * 4
    assert struct.unpack("<IIHH", header[24:36]) == (8_000, 16_000, 2, 16)


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac"])
def test_bytes_come_after_the_first_tenth_of_a_second(name: str) -> None:
    encoder = audio_encoder(name, VOICE_HZ, AUDIO_FORMATS[name].rate_hz(None, VOICE_HZ))
    assert encoder.encode(PCM[: VOICE_HZ // 10 * 2])


@pytest.mark.parametrize(
    ("name", "asked", "voice", "written"),
    [
        ("wav", None, 22_050, 22_050),
        ("wav", 8_000, 22_050, 8_000),
        ("opus", None, 22_050, 24_000),
        ("opus", None, 48_000, 48_000),
        ("opus", None, 44_100, 48_000),
        ("mp3", None, 22_050, 22_050),
        ("mp3", None, 17_000, 22_050),
    ],
)
def test_rates(name: str, asked: int | None, voice: int, written: int) -> None:
    assert AUDIO_FORMATS[name].rate_hz(asked, voice) == written


def test_which_rates_a_format_takes() -> None:
    assert set(FORMATS) == AUDIO_FORMATS.keys()
    assert AUDIO_FORMATS["wav"].takes(44_100)
    assert not AUDIO_FORMATS["wav"].takes(7_999)
    assert not AUDIO_FORMATS["opus"].takes(44_100)
    assert all(AUDIO_FORMATS["mp3"].takes(rate) for rate in MP3_RATES_HZ)
