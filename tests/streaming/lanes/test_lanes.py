"""stt, tts and execute, with scripted services on virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streaming.agent.format import ReplyFormat
from streaming.agent.tasks import TaskRun
from streaming.domain import (
    SpeechBegins,
    SpeechEnds,
    SpokenWords,
    TaskEnded,
    TaskNeedsConfirmation,
    TaskProgressed,
    TaskStarted,
    TurnDone,
)
from streaming.lanes.base import Lane
from streaming.lanes.execute import ExecuteLane
from streaming.lanes.stt import SttLane
from streaming.lanes.tts import MAX_TEXT_CHARS, TtsLane
from streaming.lanes.turn import TurnLane
from streaming.outlet import WrongInputError
from streaming.ports import Action, FinalTranscript, Identity, ServiceError, SpeechStarted, TaskResult, Verdict
from streaming.session import LaneEnd, Session
from streaming.sound.microphone_format import MicrophoneFormat
from streaming.sound.pcm import AudioFormatError
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.world import World, broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.ports import CallContext


def test_a_microphone_is_passed_on_and_its_credit_given_back_in_its_own_bytes() -> None:
    async def body() -> None:
        world, outlet = World(), RecordingOutlet()
        lane = SttLane(frame_for(world, outlet), MicrophoneFormat(encoding="pcm_s16le", sample_rate_hz=48_000))
        for _ in range(51):  # the last one is held, until the commit
            lane.audio(b"\0\0" * 960)
        lane.commit()
        recognition = world.recognitions[0]
        recognition.push(SpeechStarted(10), FinalTranscript("hello", 0.9, 10, 200))
        lane.end()
        await lane.run()
        assert outlet.names() == ["SpeechStarted", "FinalTranscript"]
        assert outlet.given_back == 51 * 1920
        assert len(recognition.heard) == pytest.approx(51 * 640, abs=200)
        assert recognition.commits == 1

    virtual_time.run(body())


def test_a_frame_that_is_not_audio_is_refused_where_it_arrives() -> None:
    async def body() -> None:
        lane = SttLane(frame_for(World(), RecordingOutlet()), MicrophoneFormat())
        with pytest.raises(AudioFormatError):
            lane.audio(b"odd")

    virtual_time.run(body())


def test_text_in_pieces_is_one_utterance() -> None:
    async def body() -> None:
        world, outlet = World(), RecordingOutlet()
        lane = TtsLane(frame_for(world, outlet), ReplyFormat(sample_rate_hz=8_000), None)
        lane.text("one two ")
        lane.text("three")
        lane.end()
        await lane.run()
        assert outlet.of(SpeechBegins) == [SpeechBegins("pcm_s16le", 8_000)]
        assert outlet.generations(SpeechBegins) == [0]
        assert [word.text for event in outlet.of(SpokenWords) for word in event.words] == ["one", "two", "three"]
        assert outlet.of(SpeechEnds)[0].duration_ms == pytest.approx(600, abs=2)
        assert [pts for _, pts, frame, _ in outlet.frames if frame] == list(range(0, 600, 40))
        assert [last for _, _, frame, last in outlet.frames if not frame] == [True]
        assert sum(len(frame) for _, _, frame, _ in outlet.frames) == pytest.approx(9600, abs=32)

    virtual_time.run(body())


def test_a_text_without_end_is_refused() -> None:
    async def body() -> None:
        lane = TtsLane(frame_for(World(), RecordingOutlet()), ReplyFormat(), None)
        with pytest.raises(ServiceError, match="TEXT_TOO_LONG"):
            lane.text("x" * (MAX_TEXT_CHARS + 1))

    virtual_time.run(body())


def test_a_task_tells_how_it_goes_and_ends() -> None:
    async def body() -> None:
        world, outlet = World(results={"ls": TaskResult("failed", {"exit_code": 2}, "no such file")}), RecordingOutlet()
        await ExecuteLane(frame_for(world, outlet), Action("os", "ls", {"args": ["x"]}), 500).run()
        assert outlet.of(TaskStarted)
        assert outlet.of(TaskEnded) == [TaskEnded("failed", {"exit_code": 2}, "no such file")]
        assert world.executed == [("ls", {"args": ["x"]})]

    virtual_time.run(body())


class Exhausted:
    """A user's limit that is used up. `asked`: what for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def refusal(self, _action: Action, _context: CallContext) -> ServiceError | None:
        return None

    async def take(self, action: Action, _context: CallContext, _once: str = "") -> None:
        self.asked.append(action.executor)
        raise ServiceError("RATE_LIMITED", "come back in 5 s")

    async def take_turn(self, context: CallContext, _once: str) -> None:
        await self.take(Action("turn", "", {}), context)

    async def take_speech(self, context: CallContext, _once: str) -> None:
        await self.take(Action("speech", "", {}), context)


def test_a_task_beyond_the_user_s_quota_is_refused_and_not_taken_for_run() -> None:
    async def body() -> None:
        world, outlet = World(failing={"safety": broken("safety")}), RecordingOutlet()  # it is not even asked
        setup = frame_for(world, outlet)
        setup = replace(setup, provided=replace(setup.provided, quota=Exhausted()))
        with pytest.raises(ServiceError, match="RATE_LIMITED"):
            await ExecuteLane(setup, Action("os", "ls", {}), 500).run()
        step = TaskRun(setup, outlet.tell, Action("os", "ls", {}), step_id="s1", turn_id="t1")
        outcome = await step.run(lambda: world.check([], setup.context))
        assert (outcome.status, outcome.message) == ("failed", "come back in 5 s")
        assert not step.started
        assert world.executed == []
        assert [event.status for event in outlet.of(TaskEnded)] == ["failed"]

    virtual_time.run(body())


def test_a_typed_answer_to_a_question_is_no_turn_that_counts() -> None:
    """Whoever was over the limit could not say yes, or no."""

    async def body() -> None:
        world, asking = World(verdicts={"rm": Verdict("confirm", "high", ())}), RecordingOutlet()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ExecuteLane(frame_for(world, asking), Action("os", "rm", {}), None).run())
            while not asking.of(TaskNeedsConfirmation):
                await asyncio.sleep(0.01)
            setup = frame_for(world, RecordingOutlet())
            setup = replace(setup, provided=replace(setup.provided, quota=Exhausted()))
            with pytest.raises(ServiceError, match="RATE_LIMITED"):
                await TurnLane(setup, None, ReplyFormat(audio=False), "what time is it").run()
            await TurnLane(setup, None, ReplyFormat(audio=False), "yes").run()
            await task
        assert len(world.executed) == 1

    virtual_time.run(body())


def test_a_turn_of_text_beyond_the_user_s_quota_is_refused_and_a_spoken_one_is_not_counted() -> None:
    async def body() -> None:
        world, outlet = World(), RecordingOutlet()
        setup = frame_for(world, outlet)
        setup = replace(setup, provided=replace(setup.provided, quota=Exhausted()))
        with pytest.raises(ServiceError, match="RATE_LIMITED"):
            await TurnLane(setup, None, ReplyFormat(audio=False), "hello").run()
        assert outlet.events == []
        assert world.turns == {}
        await TurnLane(setup, None, ReplyFormat(audio=False), "hello", spoken=True).run()
        assert [event.status for event in outlet.of(TurnDone)] == ["ok"]

    virtual_time.run(body())


@pytest.mark.parametrize(
    ("world", "code"),
    [
        (World(verdicts={"ls": Verdict("deny", "high", ("never",))}), "SAFETY_DENIED"),
        (World(may=set()), "SAFETY_DENIED"),
        (World(results={"ls": broken("os", "DEADLINE_EXCEEDED")}), "DEADLINE_EXCEEDED"),
    ],
)
def test_a_task_that_may_not_or_cannot_run_is_an_error(world: World, code: str) -> None:
    async def body() -> None:
        outlet = RecordingOutlet()
        with pytest.raises(ServiceError, match=code):
            await ExecuteLane(frame_for(world, outlet), Action("os", "ls", {}), None).run()
        assert not outlet.of(TaskProgressed)

    virtual_time.run(body())


class Failing(Lane):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def run(self) -> None:
        raise self.error


class Waiting(Lane):
    async def run(self) -> None:
        await asyncio.Event().wait()


async def ends_of(lane: Lane, *, cancel: bool = False) -> list[LaneEnd]:
    ends: list[LaneEnd] = []
    async with asyncio.TaskGroup() as group:
        frame = frame_for(World(), RecordingOutlet())
        session = Session("s1", Identity("u1", "ada", ()), frame.provided, group, frame.clock)
        session.open(1, lambda _frame: lane, frame.outlet, ends.append)
        assert session.busy
        assert session.lane(1) is lane
        if cancel:
            session.cancel(1)
    assert session.lane(1) is None
    return ends


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ServiceError("X", "y"), LaneEnd("error", "X", "y")),
        (broken("stt"), LaneEnd("error", "UNAVAILABLE", "stt: connection refused")),
        (AudioFormatError("odd"), LaneEnd("error", "INVALID_AUDIO", "odd")),
        (ExceptionGroup("g", [broken("tts")]), LaneEnd("error", "UNAVAILABLE", "tts: connection refused")),
        (KeyError("secret"), LaneEnd("error", "INTERNAL", "something went wrong in the gateway")),
    ],
)
def test_a_lane_dies_alone_and_says_of_what(error: BaseException, end: LaneEnd) -> None:
    assert virtual_time.run(ends_of(Failing(error))) == [end]


def test_a_cancelled_lane_says_so_even_when_it_never_ran() -> None:
    async def body() -> list[LaneEnd]:
        return await ends_of(Waiting(frame_for(World(), RecordingOutlet())), cancel=True)

    assert virtual_time.run(body()) == [LaneEnd("cancelled")]


def test_input_that_a_kind_has_no_use_for_is_refused() -> None:
    async def body() -> None:
        lane = Waiting(frame_for(World(), RecordingOutlet()))
        wrongs: list[Callable[[], None]] = [
            lambda: lane.audio(b""),
            lambda: lane.text(""),
            lane.commit,
            lambda: lane.playback(1),
        ]
        for wrong in wrongs:
            with pytest.raises(WrongInputError):
                wrong()
        lane.end()

    virtual_time.run(body())


def test_a_recogniser_that_breaks_breaks_the_channel() -> None:
    async def body() -> None:
        world, outlet = World(), RecordingOutlet()
        lane = SttLane(frame_for(world, outlet), MicrophoneFormat())
        world.failing["stt"] = broken("stt")
        world.recognitions[0].push(broken("stt"))
        with pytest.raises(ServiceError):
            await lane.run()
        assert world.recognitions[-1].cancelled

    virtual_time.run(body())
