"""Files that are damaged, concatenated, multichannel, empty, or in unsupported codecs."""

from __future__ import annotations

import array
import io
import struct
import wave
from contextlib import suppress
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio import demux, mp3
from server.audio.decode import FileDecoder
from server.audio.encode import audio_encoder
from server.audio.errors import UnreadableAudioError
from server.audio.sections import sections
from tests.support.bombs import flac_at

FILES = Path(__file__).parents[2] / "audio" / "files"


def decoded(data: bytes) -> array.array[int]:
    decoder = FileDecoder(io.BytesIO(data))
    pcm = b""
    while (piece := decoder.next_piece()) is not None:
        pcm += piece
    return array.array("h", pcm)


def seconds(samples: array.array[int]) -> float:
    return len(samples) / 16_000


def loudness(samples: array.array[int]) -> float:
    return float((sum(sample * sample for sample in samples) / max(1, len(samples))) ** 0.5)


def buzz(length_s: float, rate_hz: int) -> bytes:
    return struct.pack("<16h", *range(-8000, 8000, 1000)) * int(length_s * rate_hz / 16)


def encoded(name: str, length_s: float, rate_hz: int = 16_000) -> bytes:
    encoder = audio_encoder(name, rate_hz, rate_hz)
    return encoder.encode(buzz(length_s, rate_hz)) + encoder.finish()


SPOILT = encoded("mp3", 2.0)


def channels(*each: bytes, rate_hz: int = 16_000) -> bytes:
    """A wav of these channels."""
    columns = [array.array("h", pcm) for pcm in each]
    mixed = array.array("h", (sample for row in zip(*columns, strict=True) for sample in row))
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setnchannels(len(each))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(mixed.tobytes())
    return sink.getvalue()


def negative(pcm: bytes) -> bytes:
    return array.array("h", (-sample for sample in array.array("h", pcm))).tobytes()


@pytest.mark.parametrize(
    ("name", "length_s"),
    [
        ("01-mp3-damaged-middle.mp3", 5.2),
        ("01b-mp3-joined-id3.mp3", 5.4),
        ("02-mp3-rate-changes.mp3", 5.4),
        ("02b-mp3-rate-changes-clean.mp3", 5.4),
        ("05-stereo-opposite-phase.wav", 2.0),
        ("06-nine-channels.wav", 2.0),
    ],
)
def test_all_that_can_be_decoded_is(name: str, length_s: float) -> None:
    samples = decoded((FILES / name).read_bytes())
    assert seconds(samples) == pytest.approx(length_s, abs=0.1)
    assert loudness(samples) > 1_000
    if "mp3" in name:  # the second sentence
        assert loudness(samples[int(len(samples) * 0.6) :]) > 1_000


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "flac"])
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_joined_files_are_read_to_the_end(name: str, rate_hz: int) -> None:
    samples = decoded(encoded(name, 1.0) + encoded(name, 2.0, rate_hz))
    assert seconds(samples) == pytest.approx(3.0, abs=0.2)
    assert loudness(samples[-16_000:]) > 1_000


@pytest.mark.parametrize("at", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("n_bytes", [1, 50, 200, 1_000, 3_000])
@pytest.mark.parametrize("damage", [b"\x00", b"\xff", b"\x55", b"\xff\xfb\x90\x00", b""])
def test_an_mp3_is_read_behind_damage(at: float, n_bytes: int, damage: bytes) -> None:
    """Overwritten, or gone altogether (an empty `damage`)."""
    data = bytearray(encoded("mp3", 6.0))
    start = int(len(data) * at)
    data[start : start + n_bytes] = (damage * n_bytes)[:n_bytes]
    samples = decoded(bytes(data))
    lost_s = n_bytes / len(data) * 6 + 0.2  # the frames at both edges, and what they lend to their neighbours
    assert 6.0 - lost_s <= seconds(samples) <= 6.3
    assert loudness(samples[-16_000:]) > 1_000


def test_a_search_for_frames_is_bounded() -> None:
    """Headers that lead nowhere, every four bytes."""
    fake = b"\xff\xfb\x90\x00" * (mp3.MAX_LOST_BYTES // 4)
    sound = encoded("mp3", 1.0)
    assert seconds(decoded(sound + fake[: len(fake) // 2] + sound)) == pytest.approx(2.1, abs=0.2)
    assert seconds(decoded(sound + fake + fake + sound)) == pytest.approx(1.1, abs=0.2)


@pytest.mark.parametrize(
    "seam", [b"TAG" + bytes(125), b"ID3\x04\x00\x00\x00\x00\x10\x00" + b"\xff\xfb\x90\x00" * 512, b"ID3 no tag"]
)
def test_tags_between_mp3s_are_passed_over(seam: bytes) -> None:
    assert seconds(decoded(encoded("mp3", 1.0) + seam + encoded("mp3", 2.0))) == pytest.approx(3.1, abs=0.2)


@given(st.binary(max_size=3_000), st.integers(0, 16_000))
@settings(max_examples=100, deadline=None)
def test_nothing_in_an_mp3_is_too_odd(noise: bytes, at: int) -> None:
    data = bytearray(SPOILT)
    data[at : at + len(noise)] = noise
    with suppress(UnreadableAudioError):
        assert seconds(decoded(bytes(data))) < 2.1 + 3.0  # MPEG's lowest rate: 1,000 bytes a second


@pytest.mark.parametrize("name", ["opus", "flac"])
def test_bytes_damaged_in_the_middle_cost_no_more_than_themselves(name: str) -> None:
    data = bytearray(encoded(name, 6.0))
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    assert 4.0 < seconds(decoded(bytes(data))) < 6.5


@pytest.mark.parametrize("others", [1, 2, 5, 7])
def test_opposite_channels_are_not_mixed_into_silence(others: int) -> None:
    pcm = buzz(1.0, 16_000)
    each = [pcm, negative(pcm)] * ((others + 1) // 2) if others % 2 else [pcm, negative(pcm), bytes(len(pcm))]
    assert loudness(decoded(channels(*each))) == pytest.approx(loudness(array.array("h", pcm)), rel=0.05)


def test_a_channel_that_speaks_alone_is_heard_and_so_are_both() -> None:
    pcm, silence = buzz(1.0, 16_000), bytes(32_000)
    whole = loudness(array.array("h", pcm))
    assert loudness(decoded(channels(silence, pcm))) > whole / 3
    in_turns = decoded(channels(pcm + silence, silence + pcm))
    assert min(loudness(in_turns[:16_000]), loudness(in_turns[16_000:])) > whole / 3


@pytest.mark.parametrize("number", [9, 11, 17, 64])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_many_channels(number: int, rate_hz: int) -> None:
    pcm = buzz(0.5, rate_hz)
    samples = decoded(channels(*[bytes(len(pcm))] * (number - 1), pcm, rate_hz=rate_hz))
    assert seconds(samples) == pytest.approx(0.5, abs=0.01)
    assert loudness(samples) > 3_000


@pytest.mark.parametrize("number", [65, 255])
def test_too_many_channels_are_refused(number: int) -> None:
    with pytest.raises(UnreadableAudioError, match=f"{number} channels, and at most 64"):
        decoded(channels(*[bytes(100)] * number))


@pytest.mark.parametrize("data", [b"", channels(b""), channels(bytes(64))[:36]])
def test_an_empty_file_is_called_empty(data: bytes) -> None:
    with pytest.raises(UnreadableAudioError, match="the file is empty"):
        decoded(data)


@pytest.mark.parametrize(
    ("name", "codec"), [("28-speex-not-in-whitelist.ogg", "speex"), ("28b-gsm-in-wav.wav", "gsm_ms")]
)
def test_a_codec_that_is_not_listed_is_not_decoded(name: str, codec: str) -> None:
    with pytest.raises(UnreadableAudioError, match=f"the file's audio is in {codec}"):
        decoded((FILES / name).read_bytes())


def test_a_codec_that_nobody_knows_is_refused() -> None:
    wav = bytearray(channels(buzz(0.1, 16_000)))
    at = wav.index(b"fmt ") + 8
    wav[at : at + 2] = struct.pack("<H", 0x0101)
    with pytest.raises(UnreadableAudioError, match="unknown codec"):
        decoded(bytes(wav))


def test_marks_are_found_once_wherever_pieces_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    one = encoded("wav", 0.01)
    data = one * 5
    for n_bytes in (1, 7, 16, 100, len(one), len(data)):
        monkeypatch.setattr("server.audio.sections.READ_BYTES", n_bytes)
        assert [part.start for part in sections(io.BytesIO(data))] == [len(one) * number for number in range(5)]


@pytest.mark.parametrize("rate_hz", [1, 10, 3_999, 900_000])
def test_a_rate_at_which_nobody_records_speech_is_refused(rate_hz: int) -> None:
    """55 bytes at 10 Hz were resampled to 200 MB at once; 1 Hz was an hour's worth of bytes at no length."""
    with pytest.raises(
        UnreadableAudioError, match=f"the audio has a rate of {rate_hz} Hz, and 4000 to 768000 Hz are read"
    ):
        decoded(flac_at(rate_hz))


@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 192_000])
def test_rates_from_that_of_a_telephones_half_on_are_read(rate_hz: int) -> None:
    assert seconds(decoded(flac_at(rate_hz))) == pytest.approx(65_535 / rate_hz, abs=0.1)


def test_a_frame_longer_than_any_formats_is_refused_before_it_is_resampled() -> None:
    frame = av.AudioFrame(format="s16", layout="mono", samples=demux.MAX_FRAME_SAMPLES + 1)
    frame.sample_rate = 16_000
    with pytest.raises(UnreadableAudioError, match="too long"):
        demux.check_size(frame)
