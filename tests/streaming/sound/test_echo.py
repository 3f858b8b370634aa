"""Real speech through a simulated room: with the real canceller, on audio time."""

from __future__ import annotations

import array
import asyncio
import itertools
import math
import sys

import numpy as np
import pytest

from server.embedded.stt.endpoint import SpeechBegan, SpeechEndpointer
from server.embedded.stt.voice_detector import Silero
from server.embedded.tts.hibari import Hibari
from streaming.ports import ServiceError
from streaming.sound.echo import BYTES_PER_MS, EchoFilter, FarEnd, installed
from tests.server.embedded.speech import recording

FRAME_MS = 20
BEGINNING = 150 * 16  # samples of a word that AEC3 suppresses
REPLY = "The folder holds twelve files. The largest of them is the readme, and the newest was made ten minutes ago. Shall I read it?"


def at_16_khz(pcm: bytes) -> array.array[int]:
    """From 24 kHz, by the filter's own resampler."""
    far = FarEnd()
    far.begin(24_000)
    far.add(pcm)
    far.take(0)
    return array.array("h", bytes(far._pcm))


def room(
    reply: array.array[int], user: array.array[int], user_at: int, delay_ms: int, db: float, echo_from: int = 0
) -> array.array[int]:
    """What a microphone beside the loudspeaker records. `echo_from`: the sample at which headphones are unplugged."""
    delay, gain = delay_ms * 16, 10 ** (-db / 20)
    heard, voice = np.zeros(len(reply) + delay), np.array(user, float)
    echo_at = max(delay, echo_from)
    heard[echo_at:] = np.rint(np.array(reply, float)[echo_at - delay :] * gain)
    heard[user_at : user_at + len(voice)] = np.clip(heard[user_at : user_at + len(voice)] + voice, -32_768, 32_767)
    return array.array("h", heard.astype(np.int16).tobytes())


async def filtered(microphone: array.array[int], reply_pcm: bytes, *, expected: bool = True) -> array.array[int]:
    """Frame by frame, the client's playing told by the audio's own clock."""
    out, now_ms = bytearray(), 0.0
    far = FarEnd()
    far.begin(24_000)
    far.add(reply_pcm)
    echo = EchoFilter(far, out.extend, expected=expected)
    running = asyncio.get_running_loop().create_task(echo.run(), name="echo")
    near = microphone.tobytes()
    for start in range(0, len(near), FRAME_MS * BYTES_PER_MS):
        far.report(now_ms)
        echo.feed(near[start : start + FRAME_MS * BYTES_PER_MS])
        now_ms += FRAME_MS
    done = asyncio.Event()
    echo.then(done.set)
    await done.wait()
    running.cancel()
    assert len(out) == len(near), "no sample is lost"
    return array.array("h", bytes(out))


def reverberating(reply: array.array[int], delay_ms: int, weaker_db: float, lasts_s: float) -> array.array[int]:
    """The same in a room whose reflections last so long, until they are 60 dB weaker; together they are as loud as the direct sound."""
    n_samples = int(lasts_s * 16_000)
    way = np.random.default_rng(1).normal(0, 1, n_samples) * 10 ** (-3 * np.arange(n_samples) / n_samples)
    way[: 2 * 16] = 0
    way /= np.sqrt(way @ way)
    way[0] = 1
    echo = np.convolve(np.array(reply, float), way)[: len(reply)] * 10 ** (-weaker_db / 20) / math.sqrt(2)
    return array.array("h", bytes(2 * 16 * delay_ms) + echo.astype(np.int16).tobytes())


def beginnings_ms(heard: array.array[int]) -> list[int]:
    """Where the recogniser would notice a voice."""
    endpointer = SpeechEndpointer(Silero().stream())
    endpointer.push(heard.tobytes())
    events = iter(endpointer.next, None)
    return [event.at_ms for event in events if isinstance(event, SpeechBegan)]


def db(samples: array.array[int]) -> float:
    return 20 * math.log10(math.sqrt(np.mean(np.square(np.array(samples, float)))) + 1)


@pytest.fixture(scope="module")
def voice() -> Hibari:
    return Hibari()


@pytest.fixture(scope="module")
def reply_pcm(voice: Hibari) -> bytes:
    return voice.say(REPLY, "heart", 1.0, lambda: True).pcm


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


@pytest.mark.parametrize(
    ("weaker_db", "delay_ms", "expected"),
    zip([6, 6, 6, 12, 12, 12, 20, 20, 20], [20, 80, 200] * 3, itertools.cycle([True, False])),
)
async def test_the_beginning_of_a_word_over_the_reply_is_kept(
    reply_pcm: bytes, delay_ms: int, weaker_db: int, *, expected: bool
) -> None:
    """AEC3 alone leaves a hundredth of it: "Stop" is heard as "up"."""
    reply, user = at_16_khz(reply_pcm), array.array("h", recording("flite-kal-stop"))
    onset = next(at for at, sample in enumerate(user) if abs(sample) > 500)
    user_at = 3 * 16_000
    heard = await filtered(room(reply, user, user_at, delay_ms, weaker_db), reply_pcm, expected=expected)
    beginning = slice(onset, onset + BEGINNING)
    assert abs(db(heard[user_at:][beginning]) - db(user[beginning])) <= 2


@pytest.mark.parametrize(
    ("said", "expected"), [("flite-slt-what-time-is-it", True), ("flite-kal-stop", True), ("human-goforward", False)]
)
async def test_with_headphones_the_microphone_is_heard_as_it_is(reply_pcm: bytes, said: str, *, expected: bool) -> None:
    """AEC3 would mute or bend a voice over a far end that does not come back: "is it" is heard as "I'm a zit"."""
    reply, user = at_16_khz(reply_pcm), array.array("h", recording(said))
    user_at = 2 * 16_000
    alone = room(reply, user, user_at, 0, math.inf)
    assert (await filtered(alone, reply_pcm, expected=expected))[user_at:] == alone[user_at:]


@pytest.mark.parametrize("text", ["Stop.", "Wait.", "No."])
async def test_the_voice_that_speaks_is_not_its_own_echo(voice: Hibari, reply_pcm: bytes, text: str) -> None:
    """A synthetic voice's "s" is to the sample like another one that it has just said."""
    reply, user = at_16_khz(reply_pcm), at_16_khz(voice.say(text, "heart", 1.0, lambda: True).pcm)
    for user_at in (40_000, 67_000):
        alone = room(reply, user, user_at, 0, math.inf)
        assert (await filtered(alone, reply_pcm, expected=False)) == alone


async def test_a_voice_before_anything_is_known_teaches_no_echo(reply_pcm: bytes) -> None:
    reply, user = at_16_khz(reply_pcm), array.array("h", recording("human-goforward"))
    alone = room(reply, user, 0, 0, math.inf)
    assert (await filtered(alone, reply_pcm))[2 * 16_000 :] == alone[2 * 16_000 :]


@pytest.mark.parametrize(
    ("weaker_db", "delay_ms", "expected"), [(6, 20, True), (6, 200, False), (12, 80, False), (20, 200, True)]
)
async def test_an_echo_that_appears_within_the_reply_goes(
    reply_pcm: bytes, weaker_db: int, delay_ms: int, *, expected: bool
) -> None:
    """The headphones are unplugged: at most the beginning of the echo is heard."""
    reply, unplugged_s = at_16_khz(reply_pcm), 3
    unplugged = room(reply, array.array("h"), 0, delay_ms, weaker_db, echo_from=unplugged_s * 16_000)
    heard = await filtered(unplugged, reply_pcm, expected=expected)
    later = slice(5 * 16_000, len(unplugged))
    assert db(unplugged[later]) - db(heard[later]) >= 12
    assert all(at_ms < unplugged_s * 1_000 + delay_ms + 200 for at_ms in beginnings_ms(heard))


@pytest.mark.parametrize("expected", [True, False])
@pytest.mark.parametrize(("weaker_db", "delay_ms"), [(6, 20), (10, 200), (12, 80), (20, 140)])
async def test_a_first_echo_is_never_taken_for_a_voice(
    reply_pcm: bytes, weaker_db: int, delay_ms: int, *, expected: bool
) -> None:
    """It is held back until it is known to be one."""
    heard = await filtered(
        room(at_16_khz(reply_pcm), array.array("h"), 0, delay_ms, weaker_db), reply_pcm, expected=expected
    )
    assert beginnings_ms(heard) == []


@pytest.mark.parametrize(
    ("weaker_db", "delay_ms", "lasts_s"), [(8, 120, 0.35), (9, 140, 0.6), (12, 80, 0.6), (18, 60, 0.6)]
)
async def test_nor_are_the_reflections_of_a_large_room(
    reply_pcm: bytes, weaker_db: int, delay_ms: int, lasts_s: float
) -> None:
    """AEC3 lets them through in the reply's pauses."""
    microphone = reverberating(at_16_khz(reply_pcm), delay_ms, weaker_db, lasts_s)
    assert beginnings_ms(await filtered(microphone, reply_pcm, expected=False)) == []


@pytest.mark.parametrize(
    ("text", "weaker_db", "delay_ms"),
    [("Stop.", 12, 80), ("Wait.", 20, 80), ("No.", 6, 80), ("Cancel.", 6, 200), ("What time is it?", 12, 80)],
)
async def test_words_said_as_the_first_reply_begins_are_heard(
    voice: Hibari, reply_pcm: bytes, text: str, weaker_db: int, delay_ms: int
) -> None:
    """AEC3 has just begun to learn the echo, and mutes them."""
    reply, user = at_16_khz(reply_pcm), at_16_khz(voice.say(text, "heart", 1.1, lambda: True).pcm)
    onset, silent_from = (
        next(at for at, sample in numbered if abs(sample) > 1_000)
        for numbered in (enumerate(user), enumerate(reversed(user)))
    )
    user = user[onset : len(user) - silent_from]
    user_at = next(at for at, sample in enumerate(reply) if abs(sample) > 500) + 300 * 16
    heard = await filtered(room(reply, user, user_at, delay_ms, weaker_db), reply_pcm, expected=False)
    word = slice(user_at, user_at + len(user))
    left = array.array("h", (a - b for a, b in zip(heard[word], user, strict=True)))
    assert db(user) - db(left) >= 3, "it was 0: all of the word was lost"
    assert [at_ms for at_ms in beginnings_ms(heard) if at_ms < word.stop // 16] != []


async def test_what_is_held_when_the_audio_ends_is_not_lost(voice: Hibari, reply_pcm: bytes) -> None:
    """Push-to-talk: the button is let go within a word, 400 ms into the first reply."""
    reply, user = at_16_khz(reply_pcm), at_16_khz(voice.say("Stop.", "heart", 1.0, lambda: True).pcm)
    user = user[next(at for at, sample in enumerate(user) if abs(sample) > 1_000) :]
    begins = next(at for at, sample in enumerate(reply) if abs(sample) > 500)
    user_at, end = begins + 100 * 16, begins + 450 * 16
    heard = await filtered(room(reply, user, user_at, 20, 12)[:end], reply_pcm, expected=False)
    assert abs(db(heard[user_at:]) - db(user[: end - user_at])) <= 3


async def test_without_the_package_the_channel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    installed.cache_clear()
    try:
        with pytest.raises(ServiceError, match="echo cancellation is not installed"):
            EchoFilter(FarEnd(), lambda _pcm: None)
    finally:
        installed.cache_clear()


def test_while_nothing_is_played_the_far_end_is_silent() -> None:
    far = FarEnd(guesses=False)
    assert far.take(640) == bytes(640)
    far.begin(16_000)
    far.add(b"\1\0" * 16_000)
    assert far.take(640) == bytes(640), "sent, and not yet played"
    far.report(500.0)
    assert far.take(640).count(b"\1") == 320
    far.end()
    assert far.take(640) == bytes(640)


@pytest.mark.parametrize("n_seconds", [1, 60])
def test_of_a_client_that_does_not_report_nothing_is_known(n_seconds: int) -> None:
    far = FarEnd(guesses=False)
    far.begin(16_000)
    for _ in range(n_seconds):
        far.add(b"\1\0" * 16_000)
    assert far.silent
    assert far.take(640) == bytes(640)
    assert len(far._sent) + len(far._pcm) <= 5 * 32_000


def test_what_was_sent_before_the_first_report_is_known_after_it() -> None:
    far = FarEnd(guesses=False)
    far.begin(16_000)
    far.add(b"\1\0" * 16_000)
    silent_before = far.silent
    far.report(500.0)
    assert (silent_before, far.silent) == (True, False)
    assert far.take(640).count(b"\1") == 320


def test_a_report_that_comes_late_finds_what_sounds_then() -> None:
    far = FarEnd(guesses=False)
    far.begin(24_000)
    for second in range(1, 13):
        far.add(second.to_bytes(2, "little") * 24_000)
    far.report(9_500.0)
    assert array.array("h", far.take(640)) == array.array("h", [10] * 320)


def test_the_first_report_replaces_the_guess() -> None:
    far = FarEnd(guesses=True)
    far.begin(16_000)
    far.add(b"".join(ms.to_bytes(2, "little") * 16 for ms in range(4_000)))
    for _ in range(50):
        far.take(640)
    far.report(20.0)  # it began a second later
    assert abs(array.array("h", far.take(640))[-1] - 40) <= 30


def counting(n_ms: int) -> FarEnd:
    """It has played nothing yet of what tells the time: each sample is its millisecond."""
    far = FarEnd(guesses=False)
    far.begin(16_000)
    far.add(b"".join(ms.to_bytes(2, "little") * 16 for ms in range(n_ms)))
    far.report(0.0)
    return far


def test_reports_that_got_stuck_do_not_stop_the_far_end() -> None:
    far, played = counting(4_000), list[int]()
    for _ in range(100):
        far.report(0.0)
        played += array.array("h", far.take(640))
    assert abs(played[-1] - 2_000) <= 50


def test_a_client_that_has_played_all_goes_on_with_what_it_gets_then() -> None:
    far = counting(1_000)
    for _ in range(200):
        far.take(640)
    far.add(b"".join(ms.to_bytes(2, "little") * 16 for ms in range(1_000, 2_000)))
    played = [ms for _ in range(25) for ms in array.array("h", far.take(640))]
    assert abs(played[-1] - 1_500) <= 50


@pytest.mark.parametrize("burst_ms", [200, 500, 750])
def test_reports_before_what_was_recorded_meanwhile_do_not_move_the_far_end(burst_ms: int) -> None:
    """A busy client's: it sends what it has to say first, and then all that was recorded."""
    far, played = counting(4_000), list[int]()
    for burst_at in range(0, 3_000, burst_ms):
        for at_ms in range(burst_at + 20, burst_at + burst_ms, 20):
            far.report(float(at_ms))
        for _ in range(burst_ms // 20):
            played += array.array("h", far.take(640))
    assert max(b - a for a, b in itertools.pairwise(played)) <= 1
    assert abs(played[-1] - len(played) // 16) <= 60, "an echo is looked for no more than 320 ms after its sound"


def test_nor_do_reports_after_it() -> None:
    far, played = counting(4_000), list[int]()
    for burst_at in range(0, 3_000, 750):
        for _ in range(750 // 20):
            played += array.array("h", far.take(640))
        for at_ms in range(burst_at + 20, burst_at + 740, 20):
            far.report(float(at_ms))
    assert max(b - a for a, b in itertools.pairwise(played)) <= 1
    assert abs(played[-1] - len(played) // 16) <= 60


def test_a_microphone_that_was_muted_goes_on_with_what_is_played_then() -> None:
    far = counting(8_000)
    far.take(640)
    for at_ms in range(20, 6_000, 100):
        far.report(float(at_ms))
    assert abs(array.array("h", far.take(640))[-1] - 6_000) <= 1_000
    for at_ms in range(6_000, 6_400, 20):
        far.report(float(at_ms))
        far.take(640)
    assert abs(array.array("h", far.take(640))[-1] - 6_400) <= 60


def test_what_the_network_held_up_is_played_on_as_it_was_recorded() -> None:
    """Of a second without a frame, all comes at once: what was recorded goes with what was played then."""
    far, played = counting(4_000), list[int]()
    for now_ms in range(0, 3_000, 20):
        if now_ms % 1_000 == 0:
            far.report(float(now_ms))
        played += array.array("h", far.take(640))
    assert max(b - a for a, b in itertools.pairwise(played)) <= 1


def test_a_far_end_that_no_microphone_asks_for_keeps_what_was_played_lately() -> None:
    far = FarEnd()
    far.begin(16_000)
    for second in range(60):
        far.add((second + 1).to_bytes(2, "little") * 16_000)
        far.report(max(0.0, second * 1_000 - 1_500))
        assert len(far._sent) + len(far._pcm) <= 12_000 * BYTES_PER_MS
    for played_ms in (57_460, 57_520):
        far.report(played_ms)
        assert array.array("h", far.take(640)) == array.array("h", [58] * 320)
