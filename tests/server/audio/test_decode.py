"""Uploaded files to PCM."""

from __future__ import annotations

import io
import struct
import wave

import pytest

from server.audio.decode import FileDecoder
from server.audio.errors import AudioTooLongError, UnreadableAudioError


def wav(seconds: float, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    """A ramp that ends where it began."""
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        samples = [value for sample in range(int(seconds * rate_hz)) for value in [sample % 1000] * channels]
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return sink.getvalue()


def decoded(data: bytes) -> bytes:
    decoder = FileDecoder(io.BytesIO(data))
    pieces = []
    while (piece := decoder.next_piece()) is not None:
        assert len(piece) % 2 == 0
        pieces.append(piece)
    return b"".join(pieces)


def test_samples_of_the_right_rate_pass_unchanged() -> None:
    data = wav(1.3)
    assert decoded(data) == data[44:]


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_to_the_same_length(rate_hz: int) -> None:
    assert len(decoded(wav(1.0, rate_hz))) / 2 == pytest.approx(16_000, abs=20)


def test_two_channels_become_one() -> None:
    assert len(decoded(wav(1.0, channels=2))) == 32_000


def test_pieces_are_about_half_a_second() -> None:
    decoder = FileDecoder(io.BytesIO(wav(2.25)))
    sizes = []
    while (piece := decoder.next_piece()) is not None:
        sizes.append(len(piece))
    assert sizes == [16_000] * 4 + [8_000]
    assert decoder.duration_ms == 2_250


def test_an_end_stays_an_end() -> None:
    decoder = FileDecoder(io.BytesIO(wav(0.1)))
    assert decoder.next_piece() is not None
    assert decoder.next_piece() is None
    assert decoder.next_piece() is None
    decoder.close()


def test_what_is_too_long_is_told_when_it_is_reached() -> None:
    decoder = FileDecoder(io.BytesIO(wav(3.0)), max_audio_s=1.0)
    assert decoder.next_piece() is not None
    assert decoder.next_piece() is not None
    with pytest.raises(AudioTooLongError, match="longer than 1 second"):
        decoder.next_piece()


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, b"ID3" + bytes(4096), b"OggS" + bytes(4096), wav(0.1)[:40]])
def test_what_is_no_audio(data: bytes) -> None:
    with pytest.raises(UnreadableAudioError):
        decoded(data)


def test_bytes_that_break_in_the_middle_give_what_came_before() -> None:
    data = wav(1.0)
    assert decoded(data[: len(data) // 2])
