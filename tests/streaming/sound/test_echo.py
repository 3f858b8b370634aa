"""Real speech through a simulated room: with the real canceller, on audio time."""

from __future__ import annotations

import array
import asyncio
import math
import sys

import pytest

from server.embedded.tts.hibari import Hibari
from streaming.ports import ServiceError
from streaming.sound.echo import BYTES_PER_MS, EchoFilter, FarEnd
from tests.server.embedded.speech import recording

FRAME_MS = 20
BEGINNING = 150 * 16  # samples of a word that AEC3 suppresses
REPLY = "The folder holds twelve files. The largest of them is the readme, and the newest was made ten minutes ago. Shall I read it?"


def at_16_khz(pcm: bytes) -> array.array[int]:
    """From 24 kHz, by the filter's own resampler."""
    far = FarEnd()
    far.begin(24_000, lambda: 0.0)
    far.add(pcm)
    return array.array("h", bytes(far._pcm))


def room(reply: array.array[int], user: array.array[int], user_at: int, delay_ms: int, db: int) -> array.array[int]:
    """What a microphone beside the loudspeaker records."""
    delay, gain = delay_ms * 16, 10 ** (-db / 20)
    heard = array.array("h", bytes(2 * (len(reply) + delay)))
    for at, sample in enumerate(reply):
        heard[at + delay] = round(sample * gain)
    for at, sample in enumerate(user):
        heard[user_at + at] = max(-32_768, min(32_767, heard[user_at + at] + sample))
    return heard


async def filtered(microphone: array.array[int], reply_pcm: bytes) -> array.array[int]:
    """Frame by frame, the client's playing told by the audio's own clock."""
    out, now_ms = bytearray(), 0.0
    far = FarEnd()
    far.begin(24_000, lambda: now_ms)
    far.add(reply_pcm)
    echo = EchoFilter(far, out.extend)
    running = asyncio.get_running_loop().create_task(echo.run(), name="echo")
    near = microphone.tobytes()
    for start in range(0, len(near), FRAME_MS * BYTES_PER_MS):
        now_ms += FRAME_MS
        echo.feed(near[start : start + FRAME_MS * BYTES_PER_MS])
    done = asyncio.Event()
    echo.then(done.set)
    await done.wait()
    running.cancel()
    assert len(out) == len(near), "no sample is lost"
    return array.array("h", bytes(out))


def db(samples: array.array[int]) -> float:
    return 20 * math.log10(math.sqrt(sum(sample * sample for sample in samples) / len(samples)) + 1)


@pytest.fixture(scope="module")
def reply_pcm() -> bytes:
    return Hibari().say(REPLY, "heart", 1.0, lambda: True).pcm


@pytest.mark.parametrize("delay_ms", [20, 80, 200])
@pytest.mark.parametrize("weaker_db", [6, 20])
async def test_the_reply_goes_and_the_user_stays(reply_pcm: bytes, delay_ms: int, weaker_db: int) -> None:
    reply, user = at_16_khz(reply_pcm), array.array("h", recording("flite-slt-what-time-is-it"))
    user_at = len(reply) // 2
    alone = room(reply, array.array("h"), 0, delay_ms, weaker_db)
    both = room(reply, user, user_at, delay_ms, weaker_db)
    learned = slice(2 * 16_000, len(alone))  # it learns the room in the first seconds
    assert db(alone[learned]) - db((await filtered(alone, reply_pcm))[learned]) >= 12
    spoken = slice(user_at, user_at + len(user))
    assert abs(db((await filtered(both, reply_pcm))[spoken]) - db(user)) <= 6


@pytest.mark.parametrize("delay_ms", [20, 80, 200])
@pytest.mark.parametrize("weaker_db", [6, 12, 20])
async def test_the_beginning_of_a_word_over_the_reply_is_kept(reply_pcm: bytes, delay_ms: int, weaker_db: int) -> None:
    """AEC3 alone leaves a hundredth of it: "Stop" is heard as "up"."""
    reply, user = at_16_khz(reply_pcm), array.array("h", recording("flite-kal-stop"))
    onset = next(at for at, sample in enumerate(user) if abs(sample) > 500)
    user_at = 3 * 16_000
    heard = await filtered(room(reply, user, user_at, delay_ms, weaker_db), reply_pcm)
    beginning = slice(onset, onset + BEGINNING)
    assert abs(db(heard[user_at:][beginning]) - db(user[beginning])) <= 2


async def test_without_the_package_the_channel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    with pytest.raises(ServiceError, match="echo cancellation is not installed"):
        EchoFilter(FarEnd(), lambda _pcm: None)


def test_while_nothing_is_played_the_far_end_is_silent() -> None:
    far, played_ms = FarEnd(), 0.0
    assert far.take(640) == bytes(640)
    far.begin(16_000, lambda: played_ms)
    far.add(b"\1\0" * 16_000)
    assert far.take(640) == bytes(640), "sent, and not yet played"
    played_ms = 500.0
    assert far.take(640).count(b"\1") == 320
    far.end()
    assert far.take(640) == bytes(640)
