from __future__ import annotations

import math
import random
import struct
from itertools import pairwise

import pytest
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from streaming.sound.codecs import ENCODINGS, SERVICE_RATE_HZ, SpeechEncoder, microphone_decoder, pcm_duration_ms
from streaming.sound.ffmpeg import Resampler
from streaming.sound.pcm import AudioFormatError

TONE_HZ = 440


def tone(rate_hz: int, seconds: float = 1.0) -> bytes:
    step = 2 * math.pi * TONE_HZ / rate_hz
    return b"".join(struct.pack("<h", int(8000 * math.sin(step * i))) for i in range(int(rate_hz * seconds)))


def frequency_hz(pcm: bytes, rate_hz: int) -> float:
    """By counting rising zero crossings in the middle half."""
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    rises = sum(1 for a, b in pairwise(middle) if a < 0 <= b)
    return rises * rate_hz / len(middle)


def encoded(encoding: str, rate_hz: int, pcm: bytes, pcm_rate_hz: int = 22_050) -> tuple[SpeechEncoder, list[bytes]]:
    encoder = SpeechEncoder(encoding, rate_hz, pcm_rate_hz)
    frames = [frame for start in range(0, len(pcm), 2646) for frame in encoder.encode(pcm[start : start + 2646])]
    return encoder, [*frames, *encoder.flush()]


@pytest.mark.parametrize(
    ("encoding", "rate_hz"),
    [
        ("pcm_s16le", 8_000),
        ("pcm_s16le", 16_000),
        ("pcm_s16le", 48_000),
        ("mulaw", 8_000),
        ("alaw", 8_000),
        ("opus", 48_000),
    ],
)
def test_speech_survives_the_way_to_the_client_and_back(encoding: str, rate_hz: int) -> None:
    encoder, frames = encoded(encoding, rate_hz, tone(22_050))
    decoder = microphone_decoder(encoding, encoder.rate_hz)
    pcm = b"".join(decoder.decode(frame) for frame in frames)
    assert sum(encoder.duration_ms(frame) for frame in frames) == pytest.approx(1000, abs=20)
    assert pcm_duration_ms(len(pcm), SERVICE_RATE_HZ) == pytest.approx(1000, abs=20)
    assert frequency_hz(pcm, SERVICE_RATE_HZ) == pytest.approx(TONE_HZ, rel=0.02)


def test_opus_is_one_20_ms_packet_a_frame_at_48_khz_whatever_rate_was_asked_for() -> None:
    encoder, frames = encoded("opus", 16_000, tone(22_050))
    assert encoder.rate_hz == 48_000
    assert len(frames) in {50, 51}


def test_pcm_at_the_service_rate_is_not_touched() -> None:
    frame = tone(16_000, 0.02)
    assert microphone_decoder("pcm_s16le", 16_000).decode(frame) is frame


@pytest.mark.parametrize(
    ("encoding", "rate_hz"), [("pcm_s16le", 16_000), ("pcm_s16le", 24_000), ("mulaw", 16_000), ("opus", 48_000)]
)
def test_only_whole_frames_that_are_not_changed_pass(encoding: str, rate_hz: int) -> None:
    pcm = bytes(range(256)) * 5  # 40 ms at 16 kHz
    encoder = SpeechEncoder(encoding, rate_hz, 16_000)
    passes = encoder.passes(pcm)
    assert passes is ((encoding, rate_hz) == ("pcm_s16le", 16_000))
    assert not passes or list(encoder.encode(pcm)) == [pcm]
    assert not encoder.passes(pcm[:-2])
    encoder.encode(pcm[:-2])
    assert not encoder.passes(pcm)  # a rest waits


def test_short_frames_are_resampled_two_at_a_time() -> None:
    together, apart = microphone_decoder("pcm_s16le", 24_000), microphone_decoder("pcm_s16le", 24_000)
    frames = [tone(24_000, 0.1)[start : start + 960] for start in range(0, 4800, 960)]  # five of 20 ms
    heard = []
    for number, frame in enumerate(frames):
        heard.append(apart.decode(frame))
        assert apart.holds is (number % 2 == 0)
        assert (heard[-1] == b"") is apart.holds
    heard.append(apart.rest())
    assert not apart.holds
    assert b"".join(heard) == together.decode(b"".join(frames))
    assert apart.rest() == b""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_empty_frame_is_no_audio(encoding: str) -> None:
    assert microphone_decoder(encoding, 48_000).decode(b"") == b""


def test_an_utterance_without_audio_has_no_frames() -> None:
    assert encoded("opus", 48_000, b"")[1] == []


@pytest.mark.parametrize("rate_hz", [0, 7_999, 48_001])
def test_a_rate_out_of_range_is_refused(rate_hz: int) -> None:
    with pytest.raises(AudioFormatError, match="sample_rate"):
        microphone_decoder("pcm_s16le", rate_hz)


def test_an_unknown_encoding_is_refused_both_ways() -> None:
    with pytest.raises(AudioFormatError, match="encoding must be one of"):
        microphone_decoder("mp3", 16_000)
    with pytest.raises(AudioFormatError, match="encoding must be one of"):
        SpeechEncoder("mp3", 16_000, 22_050)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_half_a_sample_is_refused(rate_hz: int) -> None:
    with pytest.raises(AudioFormatError, match="whole 16-bit samples"):
        microphone_decoder("pcm_s16le", rate_hz).decode(b"abc")


def test_a_packet_that_is_not_opus_is_refused() -> None:
    with pytest.raises(AudioFormatError, match="not a valid packet"):
        microphone_decoder("opus", 48_000).decode(b"\xff\xff\xff")


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (22_050, 16_000), (16_000, 24_000), (8_000, 16_000)])
@pytest.mark.parametrize("n_bytes", [10, 960, 1_920, 50_000])
def test_the_resampler_gives_what_pyav_s_gives(from_hz: int, to_hz: int, n_bytes: int) -> None:
    """Ours asks for one frame out for each frame in. PyAV's asks until there is no more, which takes twice as long."""
    pcm = random.Random(1).randbytes(60_000)
    ours, pyav = Resampler(to_hz), AudioResampler(format="s16", layout="mono", rate=to_hz)
    heard, expected = b"", b""
    for start in range(0, len(pcm), n_bytes):
        piece = pcm[start : start + n_bytes]
        frame = AudioFrame(format="s16", layout="mono", samples=len(piece) // 2)
        frame.sample_rate = from_hz
        frame.planes[0].update(piece)
        heard += ours.feed_pcm(piece, from_hz)
        expected += b"".join(bytes(out.planes[0])[: out.samples * 2] for out in pyav.resample(frame))
    heard += ours.flush()
    expected += b"".join(bytes(out.planes[0])[: out.samples * 2] for out in pyav.resample(None))
    assert heard == expected
    assert len(heard) > len(pcm) * to_hz // from_hz - 100
