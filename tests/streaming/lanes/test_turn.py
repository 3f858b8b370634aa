"""The spoken turn on virtual time, with scripted services."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from streaming.agent.format import ReplyFormat
from streaming.domain import (
    SpeechEnds,
    TaskEnded,
    TaskNeedsConfirmation,
    Trouble,
    TurnContinued,
    TurnDone,
    TurnInterrupted,
    TurnLatency,
    TurnPaused,
    TurnReply,
)
from streaming.lanes.turn import TurnLane
from streaming.ports import (
    EagerEnd,
    FinalTranscript,
    Intent,
    InterimTranscript,
    Plan,
    ServiceError,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Step,
    TaskResult,
    Verdict,
)
from streaming.sound.microphone import MicrophoneFormat
from streaming.sound.playout import LEAD_MS
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.world import ScriptedRecognition, World, broken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Talk:
    """An open microphone of a turn channel."""

    def __init__(self, world: World, reply: ReplyFormat | None = None) -> None:
        self.world = world
        self.outlet = RecordingOutlet()
        self.lane = TurnLane(frame_for(world, self.outlet), MicrophoneFormat(), reply or ReplyFormat())

    @property
    def microphone(self) -> ScriptedRecognition:
        return self.world.recognitions[0]

    async def until(self, kind: type[object], count: int = 1) -> None:
        async with asyncio.timeout(300):
            while sum(isinstance(event, kind) for event in self.outlet.events) < count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def talk(world: World, reply: ReplyFormat | None = None) -> AsyncIterator[Talk]:
    talk = Talk(world, reply)
    async with asyncio.TaskGroup() as group:
        group.create_task(talk.lane.run())
        yield talk
        talk.lane.end()


def step(step_id: str, action: str, *depends_on: str, executor: str = "os", **parameters: object) -> Step:
    return Step(step_id, executor, action, dict(parameters), depends_on, action)


def plan(*steps: Step, goal: str = "goal") -> Plan:
    return Plan("p", goal, steps, "x")


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


@pytest.mark.parametrize(
    "words",
    [
        InterimTranscript("something now", 0),
        EagerEnd(2400, "something else"),
        FinalTranscript("something else", 0.9, 2000, 2500),
    ],
    ids=["partial", "eager end", "final"],
)
def test_a_sound_silences_the_reply_at_once_and_words_end_it(words: object) -> None:
    async def body() -> None:
        world = World()
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)  # two words of 200 ms and a little
            it.microphone.push(SpeechStarted(2000))
            await it.until(TurnPaused)
            assert world.syntheses[0].cancelled
            sent = len(it.outlet.frames)
            it.microphone.push(InterimTranscript("", 0))
            await asyncio.sleep(2)  # it is not known yet whether words follow
            assert not {"TurnInterrupted", "TurnDone"} & set(it.outlet.names())
            assert len(it.outlet.frames) == sent
            it.microphone.push(words)
            await it.until(TurnInterrupted)
            await it.until(TurnDone)
            it.microphone.push(SpeechStopped(2500), FinalTranscript("something else", 0.9, 2000, 2500))
            await it.until(TurnDone, 2)
        (paused,), (interrupted,) = it.outlet.of(TurnPaused), it.outlet.of(TurnInterrupted)
        assert len([frame for frame in it.outlet.frames if frame[0] == 0]) == sent
        assert paused.heard_ms == interrupted.heard_ms
        assert it.outlet.generations(TurnPaused) == it.outlet.generations(TurnInterrupted) == [1]
        assert interrupted.heard_text == "one two"
        assert 400 <= interrupted.heard_ms <= 520
        assert it.outlet.of(TurnDone)[0].status == "interrupted"
        assert ("assistant", "one two") in world.turns.values()

    virtual_time.run(body())


def test_one_word_of_a_partial_leaves_open_whether_it_ends_the_reply() -> None:
    async def body() -> None:
        world = World()
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(2000), InterimTranscript("write", 0))
            await asyncio.sleep(1)
            assert it.outlet.of(TurnInterrupted) == []
            assert it.outlet.of(TurnContinued) == []
            it.microphone.push(SpeechStopped(2500), FinalTranscript("Right.", 0.9, 2000, 2500))
            await it.until(TurnDone)
        assert it.outlet.of(TurnInterrupted) == []
        assert it.outlet.of(TurnDone)[0].status == "ok"

    virtual_time.run(body())


@pytest.mark.parametrize("sound", [EagerEnd(2400, "Okay."), InterimTranscript("one two", 0)])
def test_the_reply_goes_on_as_soon_as_it_is_clear_that_nobody_means_it(sound: object) -> None:
    async def body() -> None:
        world = World()
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(2000), sound)
            await it.until(TurnContinued)
            it.microphone.push(SpeechResumed(2600), InterimTranscript("okay what about dogs", 0))
            await it.until(TurnInterrupted)
            it.microphone.push(SpeechStopped(3500), FinalTranscript("Okay, what about dogs?", 0.9, 2000, 3500))
            await it.until(TurnDone, 2)
        assert [done.status for done in it.outlet.of(TurnDone)] == ["interrupted", "ok"]

    virtual_time.run(body())


def test_words_while_the_reply_waits_for_an_echo_to_end_are_not_lost() -> None:
    async def body() -> None:
        world = World()
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(2000))
            await it.until(TurnPaused)
            it.microphone.push(SpeechStopped(2300), FinalTranscript("one", 0.9, 2000, 2300), SpeechStarted(2400))
            await it.until(TurnContinued)
            it.microphone.push(SpeechStopped(3000), FinalTranscript("what about dogs", 0.9, 2400, 3000))
            await it.until(TurnDone, 2)
        assert [done.status for done in it.outlet.of(TurnDone)] == ["interrupted", "ok"]

    virtual_time.run(body())


def test_a_cough_does_not_kill_the_reply() -> None:
    async def body() -> None:
        world = World()
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(2000), SpeechStopped(2100), FinalTranscript("", 0.0, 2000, 2100))
            await it.until(TurnDone)
        assert it.outlet.generations(TurnPaused) == [1]
        assert it.outlet.generations(TurnContinued)[0] == 1
        assert it.outlet.of(TurnInterrupted) == []
        assert world.syntheses[1].texts == [" three four five hello"]
        assert it.outlet.of(TurnDone)[0].status == "ok"
        assert ("assistant", "one two three four five hello") in world.turns.values()

    virtual_time.run(body())


@pytest.mark.parametrize("words", ["mm-hm", "okay", "Right.", "yeah, okay", "one two"])
def test_a_listeners_sounds_and_the_replys_own_do_not_end_it(words: str) -> None:
    async def body() -> None:
        world = World()
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)
            final = FinalTranscript(words, 0.9, 2000, 2500)
            it.microphone.push(SpeechStarted(2000), InterimTranscript(words, 0), EagerEnd(2400, words))
            it.microphone.push(SpeechStopped(2500), final)
            await it.until(TurnDone)
        assert it.outlet.of(TurnInterrupted) == []
        assert world.syntheses[1].texts == [" three four five hello"]
        assert [done.status for done in it.outlet.of(TurnDone)] == ["ok"]

    virtual_time.run(body())


def test_a_channel_that_hears_itself_goes_on_speaking_and_is_stopped_by_words() -> None:
    async def body() -> None:
        world = World()
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)
            echo = FinalTranscript("one two", 0.9, 2000, 2500)
            it.microphone.push(SpeechStarted(2000), InterimTranscript("one two", 0), SpeechStopped(2500), echo)
            await it.until(TurnContinued)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(3000), InterimTranscript("three four", 0))
            await asyncio.sleep(0.1)
            assert len(it.outlet.of(TurnPaused)) == 1, "it does not silence itself again"
            it.microphone.push(InterimTranscript("three four stop", 0))
            await it.until(TurnInterrupted)
        assert len(it.outlet.of(TurnPaused)) == 2
        assert it.outlet.of(TurnInterrupted)[0].heard_text.startswith("one two three")

    virtual_time.run(body())


def test_two_coughs_in_a_row_and_then_words() -> None:
    async def body() -> None:
        world = World()
        cough = FinalTranscript("", 0.0, 0, 1)
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(2000), cough, SpeechStarted(2100))  # before the reply could go on
            await asyncio.sleep(1)
            assert it.outlet.of(TurnContinued) == []
            it.microphone.push(cough)
            await it.until(TurnContinued)
            await asyncio.sleep(0.25)
            it.microphone.push(SpeechStarted(4000), InterimTranscript("wait", 0))
            await it.until(TurnDone)
        assert it.outlet.generations(TurnPaused) == [1, 2]
        assert it.outlet.generations(TurnInterrupted) == [2]
        assert [event.heard_text for event in it.outlet.of(TurnInterrupted)] == ["one two three"]
        assert ("assistant", "one two three") in world.turns.values()

    virtual_time.run(body())


def test_a_microphone_that_closes_behind_a_sound_lets_the_reply_go_on() -> None:
    async def body() -> None:
        world = World()
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnReply)
            await asyncio.sleep(0.45)
            it.microphone.push(SpeechStarted(2000))
            await it.until(TurnPaused)
        assert it.outlet.of(TurnDone)[0].status == "ok"
        assert world.syntheses[1].texts == [" three four five hello"]

    virtual_time.run(body())


def test_a_sound_while_nothing_is_being_said_pauses_nothing() -> None:
    async def body() -> None:
        world = World(plans={"work": plan(step("s1", "sleep"))}, gates={"sleep": asyncio.Event()})
        async with talk(world) as it:
            it.microphone.say("work")
            while not world.executed:
                await asyncio.sleep(0.01)
            it.microphone.push(SpeechStarted(2000), SpeechStopped(2100), FinalTranscript("", 0.0, 2000, 2100))
            await asyncio.sleep(0.1)
            world.gates["sleep"].set()
            await it.until(TurnDone)
        assert it.outlet.of(TurnPaused) == []
        assert it.outlet.of(TurnDone)[0].status == "ok"

    virtual_time.run(body())


@pytest.mark.parametrize(("answer", "status"), [("yes", "ok"), ("no", "declined")])
def test_a_spoken_answer_settles_a_confirmation(answer: str, status: str) -> None:
    async def body() -> None:
        world = World(
            plans={"delete it": plan(step("s1", "rm"))}, verdicts={"rm": Verdict("confirm", "medium", ("it deletes",))}
        )
        async with talk(world, ReplyFormat(audio=False)) as it:
            it.microphone.say("delete it")
            await it.until(TaskNeedsConfirmation)
            assert world.executed == []
            it.microphone.say(answer)
            await it.until(TurnDone)
        assert world.settled_via == ["voice"]
        assert it.outlet.of(TaskEnded)[0].status == status
        assert world.executed == ([("rm", {})] if status == "ok" else [])
        assert len(it.outlet.of(TurnDone)) == 1

    virtual_time.run(body())


def risky(words: str = "Delete it") -> World:
    asked = Step("s1", "os", "rm", {"args": ["-r", "demo"]}, (), words)
    return World(plans={"go": plan(asked)}, verdicts={"rm": Verdict("confirm", "medium", ("it deletes",))})


def test_a_question_is_asked_aloud_and_says_what_would_be_done() -> None:
    async def body() -> None:
        world = risky("Delete the folder demo")
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(3)
            it.microphone.say("yes")
            await it.until(TurnDone)
        (question,) = it.outlet.of(TaskNeedsConfirmation)
        assert question.sentence == "Shall I delete the folder demo?"
        assert (question.executor, question.action, question.parameters) == ("os", "rm", {"args": ["-r", "demo"]})
        assert world.syntheses[0].texts == ["Shall I delete the folder demo?"]
        assert len(world.executed) == 1
        assert it.outlet.of(TurnDone)[0].status == "ok"
        assert world.syntheses[1].texts == ["one two three four five goal"]

    virtual_time.run(body())


def test_silence_is_told_once() -> None:
    async def body() -> None:
        world = risky()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds, 2)
            await asyncio.sleep(60)
            it.microphone.say("no")
            await it.until(TurnDone)
        assert [synthesis.texts[0] for synthesis in world.syntheses][:2] == [
            "Shall I delete it demo?",
            "I am still waiting for your answer. Shall I delete it demo?",
        ]
        assert len(world.syntheses) == 3
        assert world.executed == []

    virtual_time.run(body())


@pytest.mark.parametrize("answer", ["yes", "yes please do it"])
def test_an_approval_into_the_question_approves_nothing_and_it_is_asked_again(answer: str) -> None:
    async def body() -> None:
        world = risky()
        world.intents["yes please do it"] = Intent("yes", 0.9)
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(0.3)
            it.microphone.say(answer)
            await it.until(TurnPaused)
            await it.until(SpeechEnds)
            assert world.executed == []
            await asyncio.sleep(3)
            it.microphone.say("yes")
            await it.until(TurnDone)
        assert [synthesis.texts[0] for synthesis in world.syntheses][:2] == ["Shall I delete it demo?"] * 2
        assert len(world.executed) == 1

    virtual_time.run(body())


@pytest.mark.parametrize("way", ["spoken", "clicked"])
def test_an_answer_into_the_question_silences_it(way: str) -> None:
    async def body() -> None:
        world = risky()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(0.3)
            if way == "spoken":
                it.microphone.say("no")
            else:
                world.questions[it.outlet.of(TaskNeedsConfirmation)[0].confirmation_id].set_result(True)
            await it.until(TurnDone)
        assert len(world.executed) == (way == "clicked")
        assert it.outlet.of(TurnInterrupted)[0].heard_text != "Shall I delete it demo?"
        assert len(world.syntheses) == 2
        assert it.outlet.of(TurnDone)[0].status == "ok"

    virtual_time.run(body())


@pytest.mark.parametrize(("typed", "executed"), [("yes", 1), ("no", 0)])
def test_an_answer_typed_on_another_channel_of_the_session_counts(typed: str, executed: int) -> None:
    async def body() -> None:
        world, beside = risky(), RecordingOutlet()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await TurnLane(frame_for(world, beside), None, ReplyFormat(), typed).run()
            await it.until(TurnDone)
        assert world.settled_via == ["message"]
        assert len(world.executed) == executed
        assert [reply.text for reply in beside.of(TurnReply)] == ["All right."]
        assert beside.of(TurnDone)[0].status == "ok"

    virtual_time.run(body())


def test_long_work_is_not_silent_and_says_nothing_while_somebody_speaks() -> None:
    async def body() -> None:
        world = World(plans={"work": plan(step("s1", "sleep"))}, gates={"sleep": asyncio.Event()})
        async with talk(world) as it:
            it.microphone.say("work")
            began = asyncio.get_running_loop().time()
            await it.until(SpeechEnds)
            assert 3.5 <= asyncio.get_running_loop().time() - began <= 5
            await it.until(SpeechEnds, 2)
            assert asyncio.get_running_loop().time() - began <= 13
            await asyncio.sleep(2)
            it.microphone.push(SpeechStarted(2000))
            await asyncio.sleep(20)
            assert len(world.syntheses) == 2
            it.microphone.push(FinalTranscript("", 0.0, 2000, 2100))
            world.gates["sleep"].set()
            await it.until(TurnDone)
        assert {synthesis.texts[0] for synthesis in world.syntheses[:2]} == {"I am still working on it."}
        assert it.outlet.of(TurnDone)[0].status == "ok"

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


def test_without_memory_the_turn_goes_on() -> None:
    async def body() -> None:
        world = World(failing={"memory": broken("memory")})
        async with talk(world) as it:
            it.microphone.say("hello")
            await it.until(TurnDone)
        assert it.outlet.of(SpeechEnds)
        assert {trouble.code for trouble in it.outlet.of(Trouble)} == {"UNAVAILABLE"}

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
