"""The spoken turn on virtual time, with scripted services."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from streaming.agent.format import ReplyFormat
from streaming.domain import (
    SpeechBegins,
    SpeechEnds,
    TaskNeedsConfirmation,
    Trouble,
    TurnDone,
    TurnLatency,
    TurnReply,
)
from streaming.lanes.tts import TtsLane
from streaming.lanes.turn import TurnLane
from streaming.ports import (
    Intent,
    ServiceError,
    SpeechStarted,
    SynthesisConfig,
    TaskResult,
)
from streaming.sound.microphone_format import MicrophoneFormat
from streaming.sound.playout import LEAD_MS
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import plan, risky, step, talk
from tests.support.world import ScriptedSynthesis, World, broken

if TYPE_CHECKING:
    from streaming.ports import CallContext


def test_a_turn_goes_from_speech_to_speech_and_says_how_long_each_stage_took() -> None:
    async def body() -> None:
        world = World(plans={"hello": plan(step("s1", "ls"))})
        async with talk(world) as it:
            it.lane.audio(b"\0\0" * 16_000)
            it.microphone.say("hello")
            await it.until(TurnDone)
        names = it.outlet.names()
        order = ["SpeechStarted", "SpeechStopped", "FinalTranscript", "TurnIntent", "TurnPlanned", "TurnChecked"]
        order += ["TaskStarted", "TaskEnded", "TurnReply", "SpeechBegins", "SpokenWords"]
        assert [name for name in names if name in order][: len(order)] == order
        assert names[-2:] == ["TurnLatency", "TurnDone"]
        assert it.outlet.of(TurnDone)[0].status == "ok"
        stages = it.outlet.of(TurnLatency)[0].stages
        assert list(stages) == ["speech_stopped", "final", "intent", "plan", "safety", "steps", "reply", "first_audio"]
        assert stages["speech_stopped"] == 600  # 1,000 ms of audio had come in, the speech ended at 400
        assert sorted(world.turns.values()) == [("assistant", "one two three four five goal"), ("user", "hello")]
        assert it.outlet.given_back == 32_000
        assert [frame[3] for frame in it.outlet.frames].count(True) == 1
        assert it.outlet.frames[-1][3]

    virtual_time.run(body())


def test_turns_follow_each_other_on_an_open_microphone() -> None:
    async def body() -> None:
        world = World()
        async with talk(world, ReplyFormat(audio=False)) as it:
            it.microphone.say("one")
            it.microphone.say("two")
            await it.until(TurnDone, 2)
        assert [reply.text.split()[-1] for reply in it.outlet.of(TurnReply)] == ["one", "two"]
        assert it.outlet.frames == []

    virtual_time.run(body())


def test_audio_is_paced_by_what_was_played() -> None:
    async def body() -> None:
        world = World(plans={"long": plan(goal=" ".join(["word"] * 50))})
        async with talk(world) as it:
            it.microphone.say("long")
            await it.until(TurnReply)
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(0.5)
            sent_ms = it.outlet.frames[-1][1] + 40
            assert sent_ms <= LEAD_MS + 500 + 80
            await it.until(TurnDone)
            assert asyncio.get_running_loop().time() - began >= 10.9  # 55 words of 200 ms were played out

    virtual_time.run(body())


def test_stop_cancels_the_turn_and_its_task() -> None:
    async def body() -> None:
        world = World(plans={"work": plan(step("s1", "sleep"))}, gates={"sleep": asyncio.Event()})
        async with talk(world, ReplyFormat(audio=False)) as it:
            it.microphone.say("work")
            while not world.executed:
                await asyncio.sleep(0.01)
            it.microphone.say("stop")
            await it.until(TurnDone)
            it.microphone.say("next")
            await it.until(TurnDone, 2)
        assert world.stopped == ["sleep"]
        assert [done.status for done in it.outlet.of(TurnDone)] == ["cancelled", "ok"]

    virtual_time.run(body())


@pytest.mark.parametrize("service", ["intent", "planner", "compose", "safety"])
def test_a_service_that_is_down_ends_the_turn_with_an_error_and_an_apology(service: str) -> None:
    async def body() -> None:
        world = World(plans={"hello": plan(step("s1", "ls"))}, failing={service: broken(service)})
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnDone)
            world.failing.clear()
            it.microphone.say("again")
            await it.until(TurnDone, 2)
        assert it.outlet.of(Trouble)[0].code == "UNAVAILABLE"
        assert it.outlet.of(TurnReply)[0].text.startswith("Sorry, ")
        assert world.syntheses[0].texts[0].startswith("Sorry, ")
        assert [done.status for done in it.outlet.of(TurnDone)] == ["failed", "ok"]

    virtual_time.run(body())


def test_without_a_voice_the_words_still_come_as_text() -> None:
    async def body() -> None:
        world = World(failing={"tts": broken("tts")})
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnDone)
        assert it.outlet.of(TurnReply)[0].text == "one two three four five hello"
        assert it.outlet.of(Trouble)[0].message.startswith("tts")

    virtual_time.run(body())


@dataclass
class Stumbling(World):
    """Its voice fails at words that begin so; it still says others."""

    stumbles_at: str = "one two"
    voices: list[SynthesisConfig] = field(default_factory=list)

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> ScriptedSynthesis:
        self.voices.append(config)
        stream = super().synthesize(config, context)
        stream.stumbles_at = self.stumbles_at, ServiceError("INVALID_ARGUMENT", "the voice fails", service="tts")
        return stream


def test_a_reply_that_cannot_be_spoken_is_apologised_for_aloud() -> None:
    async def body() -> None:
        world = Stumbling()
        async with talk(world, ReplyFormat(voice="odd", speed=2.0)) as it:
            it.microphone.say("hello")
            await it.until(TurnDone)
        assert [stream.texts for stream in world.syntheses[1:]] == [["Sorry, I can't say that aloud."]]
        assert it.outlet.frames
        assert world.voices[1] == SynthesisConfig(), "the voice that failed says nothing more"
        assert [trouble.code for trouble in it.outlet.of(Trouble)] == ["INVALID_ARGUMENT"]
        assert it.outlet.of(TurnDone)[0].status == "failed"
        assert ("assistant", "one two three four five hello") in world.turns.values()

    virtual_time.run(body())


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("it is. Bad words here. Then more.", ["Then more."]),
        ("it is. Bad one. Bad two? Then more.", ["Bad two? Then more.", "Then more."]),
        ("it is. Bad.\nBad.\nBad.\nThen more.", ["Bad.\nBad.\nThen more.", "Bad.\nThen more."]),
    ],
)
def test_a_sentence_that_cannot_be_spoken_is_left_out_with_one_apology(goal: str, said: list[str]) -> None:
    """If several in a row cannot, the voice is at fault, and says no more."""

    async def body() -> None:
        world = Stumbling(stumbles_at="Bad", plans={"hello": plan(goal=goal)})
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnDone)
        texts = ["".join(stream.texts) for stream in world.syntheses]
        assert texts == [f"one two three four five {goal}", "Sorry, I can't say that aloud.", *said]
        assert len(it.outlet.of(Trouble)) == 1
        assert it.outlet.of(TurnDone)[0].status == "failed"
        assert ("assistant", f"one two three four five {goal}") in world.turns.values()

    virtual_time.run(body())


@pytest.mark.parametrize("replies", [True, False])
def test_what_was_made_before_the_voice_failed_sounds_to_its_end(replies: bool) -> None:
    """So it is known where it comes back, and no yes counts over it."""

    async def body() -> None:
        world, outlet = Stumbling(stumbles_at="Bad"), RecordingOutlet()
        lane = TurnLane(frame_for(world, outlet), None, ReplyFormat(), "Bad")
        speech = TtsLane(frame_for(world, outlet), ReplyFormat(), "one two three four five Bad")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(lane.run() if replies else _failing(speech))
            while not outlet.of(SpeechBegins):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
            heard = world.sounding.said_since(asyncio.get_running_loop().time())
            assert [(one.text[:13], one.ended) for one in heard] == [("one two three", math.inf)]
            await running
        assert world.sounding.silent_s(asyncio.get_running_loop().time()) < 1

    virtual_time.run(body())


async def _failing(lane: TtsLane) -> None:
    with pytest.raises(ServiceError, match="the voice fails"):
        await lane.run()


def test_a_question_that_cannot_be_spoken_is_apologised_for_aloud() -> None:
    async def body() -> None:
        world = Stumbling(plans=risky().plans, verdicts=risky().verdicts, stumbles_at="Shall I")
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            it.microphone.say("no")
            await it.until(TurnDone)
        assert world.syntheses[1].texts == ["Sorry, I can't say that aloud."]

    virtual_time.run(body())


def test_without_memory_the_turn_goes_on() -> None:
    async def body() -> None:
        world = World(failing={"memory": broken("memory")})
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnDone)
        assert it.outlet.of(SpeechEnds)
        assert {trouble.code for trouble in it.outlet.of(Trouble)} == {"UNAVAILABLE"}
        assert [done.status for done in it.outlet.of(TurnDone)] == ["ok"]  # the reply was given

    virtual_time.run(body())


def test_a_recogniser_that_breaks_is_apologised_for_and_closes_the_channel() -> None:
    async def body() -> None:
        world = World()
        outlet = RecordingOutlet()
        lane = TurnLane(frame_for(world, outlet), MicrophoneFormat(), ReplyFormat())
        world.failing["stt"] = broken("stt")
        world.recognitions[0].push(SpeechStarted(0), broken("stt"))
        with pytest.raises(ServiceError, match="stt"):
            await lane.run()
        assert "can't hear you" in outlet.of(TurnReply)[0].text
        assert outlet.frames

    virtual_time.run(body())


def test_steps_run_as_soon_as_their_dependencies_are_done() -> None:
    async def body() -> None:
        steps = (
            step("a", "first"),
            step("b", "second", "a", url="${a.did}"),
            step("c", "third"),
            step("d", "fourth", "c"),
        )
        world = World(plans={"go": plan(*steps)}, results={"third": TaskResult("failed", {}, "no")})
        async with talk(world, ReplyFormat(audio=False)) as it:
            it.microphone.say("go")
            await it.until(TurnDone)
        assert sorted(name for name, _ in world.executed) == ["first", "second", "third"]
        assert ("second", {"url": "first"}) in world.executed
        assert [(o.step_id, o.status) for o in world.outcomes] == [
            ("a", "ok"),
            ("b", "ok"),
            ("c", "failed"),
            ("d", "skipped"),
        ]

    virtual_time.run(body())


def test_a_role_that_may_not_use_an_executor_is_told_so() -> None:
    async def body() -> None:
        world = World(plans={"go": plan(step("a", "ls"))}, may={"search"})
        async with talk(world, ReplyFormat(audio=False)) as it:
            it.microphone.say("go")
            await it.until(TurnDone)
        assert world.executed == []
        assert world.outcomes[0].status == "denied"

    virtual_time.run(body())


def test_a_text_turn_needs_no_microphone() -> None:
    async def body() -> None:
        world = World(intents={"hi": Intent("greeting", 0.8)})
        outlet = RecordingOutlet()
        await TurnLane(frame_for(world, outlet), None, ReplyFormat(), "hi").run()
        assert world.recognitions == []
        assert outlet.names()[0] == "TurnIntent"
        assert outlet.names()[-1] == "TurnDone"

    virtual_time.run(body())
