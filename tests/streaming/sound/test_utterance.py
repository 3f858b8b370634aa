"""Audio that arrives while the utterance waits for it is sent in the same call, unless something has to wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streaming.sound.playout import LEAD_MS, REFILL_MS
from streaming.sound.utterance import FULL_LOOK_S, Utterance
from tests.support import virtual_time
from tests.support.live_speech import FRAME_BYTES, FRAME_MS, LiveSpeech
from tests.support.outlet import RecordingOutlet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Playing = asyncio.Task[BaseException | None]


class Outlet(RecordingOutlet):
    """`credit`: set while the client has given some. `broken`: nothing can be played."""

    def __init__(self) -> None:
        super().__init__()
        self.credit = asyncio.Event()
        self.credit.set()
        self.broken = False
        self.at_once: list[int] = []  # positions of the frames that went past the queue, while it is `empty`
        self.empty = False

    def play_at_once(self, frame: bytes, pts_ms: int) -> bool:
        if self.empty:
            self.at_once.append(pts_ms)
            self.play(frame, pts_ms)
        return self.empty

    def has_room(self, n_bytes: int) -> bool:
        return self.credit.is_set()

    async def room(self, n_bytes: int) -> None:
        await self.credit.wait()

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        if self.broken:
            raise ValueError("broken")
        super().play(frame, pts_ms, last=last)

    @property
    def played(self) -> list[int]:
        return [pts_ms for _, pts_ms, _, _ in self.frames]


async def _play(utterance: Utterance) -> BaseException | None:
    try:
        await utterance.play()
    except ValueError as broken:
        return broken
    return None


def spoken(test: Callable[[LiveSpeech, Outlet, Utterance, Playing], Awaitable[None]]) -> None:
    async def body() -> None:
        speech, outlet = LiveSpeech(), Outlet()
        clock = asyncio.get_running_loop().time
        utterance = Utterance(speech, outlet, encoding="pcm_s16le", sample_rate_hz=None, clock=clock)
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(_play(utterance))
            await asyncio.sleep(0.01)
            await test(speech, outlet, utterance, playing)
            utterance.stop()

    virtual_time.run(body())


def test_audio_is_sent_in_the_call_in_which_it_arrives() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, _utterance: Utterance, _playing: Playing) -> None:
        speech.arrive()
        speech.arrive(bytes(2 * FRAME_BYTES))
        speech.arrive(bytes(10))
        assert outlet.played == [0, FRAME_MS, 2 * FRAME_MS]
        assert speech.refused == []

    spoken(test)


def test_frames_go_past_a_queue_that_is_empty_and_no_further_ahead_than_others() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, utterance: Utterance, _playing: Playing) -> None:
        outlet.empty = True
        for length in (1, 1, 0.5, 1, 0.5, 1):
            speech.arrive(bytes(int(length * FRAME_BYTES)))
        assert outlet.played == [at * FRAME_MS for at in range(5)]
        assert outlet.at_once == [FRAME_MS, 4 * FRAME_MS]  # not the first, which begins to sound, and no pieces
        outlet.empty = False
        speech.arrive()
        outlet.empty = True
        utterance.report(0)
        for _ in range(2 * LEAD_MS // FRAME_MS):
            speech.arrive()
        assert outlet.played == list(range(0, LEAD_MS, FRAME_MS))

    spoken(test)


def test_a_frame_that_went_past_the_queue_is_heard_by_the_echo_canceller_once() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, utterance: Utterance, _playing: Playing) -> None:
        heard: list[bytes] = []
        far_end: Any = type("FarEnd", (), {"add": staticmethod(heard.append), "end": staticmethod(lambda: None)})
        utterance._far_end = far_end
        speech.arrive(b"1" * FRAME_BYTES)
        outlet.empty = True
        speech.arrive(b"2" * FRAME_BYTES)
        outlet.empty = False
        speech.arrive(b"3" * FRAME_BYTES)
        assert [pcm[:1] for pcm in heard] == [b"1", b"2", b"3"]

    spoken(test)


def test_audio_without_credit_waits_and_keeps_its_order() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, _utterance: Utterance, _playing: Playing) -> None:
        outlet.credit.clear()
        speech.arrive()
        speech.arrive()
        await asyncio.sleep(0.01)
        assert outlet.played == []
        outlet.credit.set()
        await asyncio.sleep(0.01)
        speech.arrive()
        assert outlet.played == [0, FRAME_MS, 2 * FRAME_MS]
        assert len(speech.refused) == 2

    spoken(test)


def test_audio_is_sent_no_further_ahead_than_the_lead() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, utterance: Utterance, _playing: Playing) -> None:
        utterance.report(0)
        for _ in range(2 * LEAD_MS // FRAME_MS):
            speech.arrive()
        assert outlet.played[-1] + FRAME_MS == LEAD_MS
        await asyncio.sleep(1)
        ahead_ms = outlet.played[-1] + FRAME_MS - utterance.played_ms
        assert LEAD_MS - REFILL_MS <= ahead_ms <= LEAD_MS + FRAME_MS

    spoken(test)


@pytest.mark.parametrize("report_every_s", [0.1, 1.0, None])
def test_speech_behind_the_lead_leaves_some_frames_at_a_time_and_the_client_never_has_little(
    report_every_s: float | None,
) -> None:
    """Twenty seconds that were made at once, played in real time; `report_every_s`: how often the client says so."""

    async def test(speech: LiveSpeech, outlet: Outlet, utterance: Utterance, _playing: Playing) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(200):
            speech.arrive(bytes(5 * FRAME_BYTES // 2))  # pieces of services are no frames
        writes, had_ms = 0, 0
        for tick in range(1_700):
            await asyncio.sleep(0.01)
            played_ms = round((loop.time() - began) * 1000)
            if report_every_s is not None and tick % round(report_every_s * 100) == 0:
                utterance.report(played_ms)
            sent_ms = outlet.played[-1] + FRAME_MS
            writes += sent_ms > had_ms
            had_ms = sent_ms
            assert LEAD_MS - REFILL_MS - FULL_LOOK_S * 1000 - FRAME_MS <= sent_ms - played_ms <= LEAD_MS + FRAME_MS
        assert had_ms >= 19_000
        assert writes <= 1 + 17_000 / (REFILL_MS - 2 * FRAME_MS)
        assert outlet.played == list(range(0, had_ms, FRAME_MS))

    spoken(test)


def test_a_piece_longer_than_the_lead_is_sent() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, _utterance: Utterance, _playing: Playing) -> None:
        speech.arrive(bytes(200 * FRAME_BYTES))
        await asyncio.sleep(4.5)
        assert 7_000 <= outlet.played[-1] <= 8_000
        speech.arrive()
        await asyncio.sleep(1)
        assert outlet.played == list(range(0, 8_001, FRAME_MS))

    spoken(test)


def test_a_client_that_plays_faster_than_said_gets_more_at_its_report() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, utterance: Utterance, _playing: Playing) -> None:
        utterance.report(0)
        speech.arrive(bytes(100 * FRAME_BYTES))
        await asyncio.sleep(0)
        before = len(outlet.played)
        utterance.report(REFILL_MS // 2)
        await asyncio.sleep(0)
        assert len(outlet.played) == before  # it has nearly the whole lead
        utterance.report(REFILL_MS + FRAME_MS)
        await asyncio.sleep(0.001)
        assert len(outlet.played) > before

    spoken(test)


def test_a_client_that_stops_reporting_gets_the_rest_as_time_goes_by() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, utterance: Utterance, _playing: Playing) -> None:
        for _ in range(200):
            speech.arrive(bytes(5 * FRAME_BYTES // 2))  # twenty seconds
        utterance.report(1_000)
        await asyncio.sleep(LEAD_MS / 1000 + 4)
        had_ms = outlet.played[-1]
        assert had_ms <= LEAD_MS + 1_500 + FRAME_MS  # it may have stalled for a moment
        await asyncio.sleep(11)
        assert 9_000 <= outlet.played[-1] - had_ms <= 11_000
        assert utterance.played_ms == 1_500  # what is not reported is not taken for heard
        utterance.report(2_000)
        before = len(outlet.played)
        await asyncio.sleep(2)
        assert len(outlet.played) == before  # it has far more than the lead
        await asyncio.sleep(30)
        assert outlet.played == list(range(0, 20_000, FRAME_MS))

    spoken(test)


def test_nothing_is_sent_after_a_stop() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, utterance: Utterance, _playing: Playing) -> None:
        speech.arrive()
        ear = speech._ear
        assert ear is not None
        utterance.stop()
        assert not ear(bytes(FRAME_BYTES))
        speech.arrive()
        assert outlet.played == [0]

    spoken(test)


def test_a_failure_is_the_utterances_own_and_not_that_of_whoever_brought_the_audio() -> None:
    async def test(speech: LiveSpeech, outlet: Outlet, _utterance: Utterance, playing: Playing) -> None:
        outlet.broken = True
        speech.arrive()
        assert isinstance(await playing, ValueError)
        assert speech.cancelled

    spoken(test)
