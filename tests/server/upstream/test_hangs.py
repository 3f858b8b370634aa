"""A recogniser that hangs on an open microphone: real gRPC, real lanes. Every word arrives once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from protos import stt_pb2
from server.upstream import CircuitState, hangs
from server.upstream.hangs import HangWatch
from server.upstream.stt_stream import OWED_BYTES
from streaming.domain import Trouble
from streaming.lanes.stt import SttLane
from streaming.ports import FinalTranscript, RecognitionConfig
from streaming.sound.microphone_format import MicrophoneFormat
from tests.server.upstream.observing import CALLER
from tests.server.upstream.test_stt import Taken, read_all
from tests.server.upstream.test_trunk import carrying, trunk_of
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.services import FakeServices
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.upstream import Upstream
    from tests.support.services import Call

WORD_BYTES = 640 * 10  # a word of these recognisers: 200 ms


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks five times as often: the tests need not wait three seconds."""
    look(monkeypatch, how_often=5)


def look(monkeypatch: pytest.MonkeyPatch, how_often: int) -> None:
    monkeypatch.setattr(hangs, "LOOK_S", 0.5 / how_often)
    monkeypatch.setattr("server.upstream.trunk.SILENT_S", 2.0 / how_often)


class Recogniser:
    """Hears a word in each 200 ms of audio: the value of its samples. Tells its progress, unless it hangs."""

    def __init__(self) -> None:
        self.streams = 0
        self.hanging: set[int] = set()  # streams by number, in the order of their opening

    async def __call__(self, requests: AsyncIterator[stt_pb2.RecognizeRequest], context: Any) -> None:
        number, self.streams = self.streams, self.streams + 1
        audio, at_ms = bytearray(), 0
        async for request in requests:
            audio += request.audio
            while len(audio) >= WORD_BYTES:
                if number in self.hanging:
                    await asyncio.Event().wait()
                word, at_ms = audio[0], at_ms + 200
                del audio[:WORD_BYTES]
                await context.write(heard(word, at_ms))

    async def alone(self, call: Call) -> None:
        async def requests() -> AsyncIterator[stt_pb2.RecognizeRequest]:
            while (request := await call.read()) is not None:
                yield request

        await self(requests(), call)


def heard(word: int, end_ms: int) -> stt_pb2.RecognizeResponse:
    if not word:
        return stt_pb2.RecognizeResponse(progress=stt_pb2.Progress(at_ms=end_ms))
    return stt_pb2.RecognizeResponse(final=stt_pb2.Final(text=str(word), start_ms=end_ms - 200, end_ms=end_ms))


class Talker:
    """A microphone lane over the real client, and what its client is told."""

    def __init__(self, upstream: Upstream) -> None:
        world = World()
        world.services = lambda: upstream.services  # type: ignore[method-assign] # the real ones
        self.outlet = RecordingOutlet()
        self.lane = SttLane(frame_for(world, self.outlet), MicrophoneFormat())

    def say(self, *words: int) -> None:
        for word in words:
            self.lane.audio(bytes([word, 0]) * (WORD_BYTES // 2))

    @property
    def words(self) -> list[int]:
        return [int(final.text) for final in self.outlet.of(FinalTranscript)]

    async def until_heard(self, *words: int) -> None:
        while self.words != list(words):
            await asyncio.sleep(0.01)


def fakes_of(recogniser: Recogniser, *, trunks: bool) -> FakeServices:
    fakes = FakeServices("stt")
    fakes.stt.on("Recognize", recogniser.alone)
    if trunks:
        fakes.stt.on("RecognizeMany", carrying(recogniser))
    return fakes


@pytest.mark.parametrize("trunks", [False, True], ids=["streams", "trunk"])
async def test_words_said_to_a_recogniser_that_hangs_all_arrive_once(trunks: bool) -> None:
    recogniser = Recogniser()
    async with fakes_of(recogniser, trunks=trunks) as fakes, fakes.upstream() as upstream, asyncio.TaskGroup() as group:
        if trunks:
            await trunk_of(upstream)
        talker = Talker(upstream)
        group.create_task(talker.lane.run(), name="lane")
        talker.say(0, 1, 2)
        await talker.until_heard(1, 2)
        recogniser.hanging = {0, 1}  # the first fresh stream hangs as well
        talker.say(3, 0, 4, 5)
        await asyncio.sleep(0)
        while not talker.outlet.of(Trouble):
            await asyncio.sleep(0.01)
        talker.say(6)
        await talker.until_heard(1, 2, 3, 4, 5, 6)
        talker.lane.end()
    assert talker.words == [1, 2, 3, 4, 5, 6]
    assert [trouble.code for trouble in talker.outlet.of(Trouble)] == ["DEADLINE_EXCEEDED"]
    assert talker.outlet.given_back == 8 * WORD_BYTES


async def test_a_recogniser_that_hangs_at_the_gateways_first_microphone_is_noticed() -> None:
    recogniser = Recogniser()
    recogniser.hanging = {0}  # before it has reported anything
    async with fakes_of(recogniser, trunks=True) as fakes, fakes.upstream() as upstream, asyncio.TaskGroup() as group:
        await trunk_of(upstream)
        talker = Talker(upstream)
        group.create_task(talker.lane.run(), name="lane")
        talker.say(1, 2, 3, 4, 5, 6, 7, 8)
        await talker.until_heard(1, 2, 3, 4, 5, 6, 7, 8)
        [told] = talker.outlet.of(Trouble)
        assert "has stopped answering" in told.message, told.message  # not that a deadline has passed
        talker.lane.end()


async def test_a_recogniser_that_hangs_before_it_has_greeted_is_noticed() -> None:
    """Nobody knows yet whether it reports progress, but one that is alive would have answered the call for a trunk."""

    async def mute(call: Call) -> None:
        await asyncio.Event().wait()

    recogniser = Recogniser()
    recogniser.hanging = {0}
    fakes = fakes_of(recogniser, trunks=False)
    fakes.stt.on("RecognizeMany", mute)
    async with fakes, fakes.upstream() as upstream, asyncio.TaskGroup() as group:
        talker = Talker(upstream)
        group.create_task(talker.lane.run(), name="lane")
        talker.say(1, 2, 3, 4, 5, 6, 7, 8)
        await talker.until_heard(1, 2, 3, 4, 5, 6, 7, 8)
        [told] = talker.outlet.of(Trouble)
        assert "has stopped answering" in told.message, told.message  # not that a deadline has passed
        talker.lane.end()


async def test_a_trunk_that_hangs_is_left_by_all_and_one_stream_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # The streams that are answered must not seem to hang, too, because the machine is busy
    look(monkeypatch, how_often=1)
    recogniser = Recogniser()
    async with fakes_of(recogniser, trunks=True) as fakes, fakes.upstream() as upstream, asyncio.TaskGroup() as group:
        trunk = await trunk_of(upstream)
        talkers = [Talker(upstream) for _ in range(8)]
        for talker in talkers:
            group.create_task(talker.lane.run(), name="lane")
            talker.say(0, 1)
        for talker in talkers:
            await talker.until_heard(1)
        recogniser.hanging = {0}
        alone = talkers[0]
        alone.say(2, 3, 4, 5)
        while not alone.outlet.of(Trouble):
            talkers[1].say(0)  # the others are answered: the trunk is alive
            await asyncio.sleep(0.02)
        await alone.until_heard(1, 2, 3, 4, 5)
        assert len(trunk) == 7 + 1  # of its own accord the fresh stream took the same trunk
        assert not talkers[1].outlet.of(Trouble)

        recogniser.hanging = set(range(1, 9))  # now all that are open
        for talker in talkers:
            talker.say(6, 7, 8, 9)
        for talker in talkers[1:]:
            await talker.until_heard(1, 6, 7, 8, 9)
        await alone.until_heard(1, 2, 3, 4, 5, 6, 7, 8, 9)
        assert trunk.over
        assert len(trunk) == 0
        assert upstream.circuits()["stt"] is CircuitState.CLOSED  # one trunk that broke is one fault
        for talker in talkers:
            talker.lane.end()


async def test_the_service_dies_and_comes_back_on_an_open_microphone() -> None:
    recogniser = Recogniser()
    async with fakes_of(recogniser, trunks=True) as fakes, fakes.upstream() as upstream, asyncio.TaskGroup() as group:
        await trunk_of(upstream)
        talkers = [Talker(upstream) for _ in range(8)]
        for talker in talkers:
            group.create_task(talker.lane.run(), name="lane")
            talker.say(0, 1)
            await talker.until_heard(1)
        await fakes.stt.stop()
        for talker in talkers:
            talker.say(2, 0, 3)
        await fakes.stt.start()
        for talker in talkers:
            await talker.until_heard(1, 2, 3)
            assert [trouble.code for trouble in talker.outlet.of(Trouble)] == ["UNAVAILABLE"]
            talker.lane.end()


async def test_a_file_that_takes_long_to_decode_is_no_hang() -> None:
    """Who did not ask for progress was promised no sign of life, whatever the service reports to others."""
    recogniser, decoded = Recogniser(), asyncio.Event()

    async def slow(call: Call) -> None:
        while await call.read() is not None:
            pass
        await decoded.wait()
        await call.write(heard(7, 200))

    async with fakes_of(recogniser, trunks=False) as fakes, fakes.upstream() as upstream, asyncio.TaskGroup() as group:
        talker = Talker(upstream)
        group.create_task(talker.lane.run(), name="lane")
        talker.say(0, 1)
        await talker.until_heard(1)
        fakes.stt.on("Recognize", slow)
        stream = upstream.services.stt.recognize(RecognitionConfig(interim=False), CALLER, Taken())
        stream.send_audio(bytes(2 * OWED_BYTES))
        stream.end()
        asyncio.get_running_loop().call_later(2 * hangs.LOOKS * hangs.LOOK_S, decoded.set)
        assert await read_all(stream) == [FinalTranscript("7", 0.0, 0, 200)]
        talker.lane.end()


class Stream:
    """Watched."""

    def __init__(self, *, owed: bool) -> None:
        self.signs, self.owed, self.hangs = 0, owed, False

    def hung(self) -> None:
        self.hangs = True


def test_only_silence_of_a_service_that_promised_to_speak_and_owes_an_answer_is_a_hang() -> None:
    async def body() -> None:
        watch = HangWatch()
        owing, idle, slow = Stream(owed=True), Stream(owed=False), Stream(owed=True)
        for stream in (owing, idle, slow):
            watch.add(stream)
        await asyncio.sleep(60)
        assert not owing.hangs
        watch.promised = True
        for _ in range(7):
            await asyncio.sleep(hangs.LOOK_S * (hangs.LOOKS - 1))
            slow.signs += 1
        assert (owing.hangs, idle.hangs, slow.hangs) == (True, False, False)
        watch.discard(idle)
        watch.discard(slow)

    virtual_time.run(body())


async def test_a_gateway_that_stood_still_blames_nobody() -> None:
    watch, stream = HangWatch(), Stream(owed=True)
    watch.promised = True
    watch.add(stream)
    await asyncio.sleep(hangs.LOOK_S)
    time.sleep(hangs.LOOK_S * (hangs.LOOKS + 2))
    await asyncio.sleep(hangs.LOOK_S / 2)
    assert not stream.hangs
    watch.discard(stream)
