"""Answers to questions: an approval only counts for the question that it was given to."""

from __future__ import annotations

import asyncio

import pytest

from streaming.agent.format import ReplyFormat
from streaming.domain import SpeechBegins, SpeechEnds, TaskEnded, TaskNeedsConfirmation, TurnDone, TurnReply
from streaming.lanes.execute import ExecuteLane
from streaming.lanes.tts import TtsLane
from streaming.lanes.turn import TurnLane
from streaming.ports import Action, FinalTranscript, SpeechStarted, SpeechStopped, Verdict
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import Talk, plan, risky, step, talk
from tests.support.world import World

SILENT = ReplyFormat(audio=False)


def finish(it: Talk, text: str) -> None:
    it.microphone.push(SpeechStopped(400), FinalTranscript(text, 0.9, 0, 400))


def test_a_yes_begun_before_the_question_approves_nothing() -> None:
    async def body() -> None:
        world = risky()
        async with talk(world, SILENT) as it:
            it.microphone.say("go")
            it.microphone.push(SpeechStarted(0))
            await it.until(TaskNeedsConfirmation)
            finish(it, "yes")
            await asyncio.sleep(5)
            assert world.executed == []
            assert world.settled_via == []
            it.microphone.say("yes")
            await it.until(TurnDone)
        assert len(world.executed) == 1

    virtual_time.run(body())


def test_a_yes_to_a_question_that_was_answered_meanwhile_does_not_count_for_the_next() -> None:
    async def body() -> None:
        world = World(
            plans={"go": plan(step("s1", "rm", what="one"), step("s2", "rm", "s1", what="two"))},
            verdicts={"rm": Verdict("confirm", "medium", ())},
        )
        async with talk(world, SILENT) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            it.microphone.push(SpeechStarted(0))
            await asyncio.sleep(0.1)
            world.questions["q1"].set_result(True)  # clicked, while the yes was being said
            await it.until(TaskNeedsConfirmation, 2)
            finish(it, "yes")
            await asyncio.sleep(5)
            assert world.executed == [("rm", {"what": "one"})]
            it.microphone.say("no")
            await it.until(TurnDone)
        assert [ended.status for ended in it.outlet.of(TaskEnded)] == ["ok", "declined"]

    virtual_time.run(body())


@pytest.mark.parametrize(("s_later", "counts"), [(0.1, False), (0.4, True)])
def test_a_yes_that_the_end_of_the_question_may_have_made_approves_nothing(s_later: float, counts: bool) -> None:
    async def body() -> None:
        world = risky()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            while world.sounding.sounded_at(asyncio.get_running_loop().time() - 10):
                if not world.sounding._sounding:
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(s_later)
            it.microphone.say("yes")
            await asyncio.sleep(3)
            assert len(world.executed) == counts
            if not counts:
                it.microphone.say("no")
            await it.until(TurnDone)

    virtual_time.run(body())


def test_a_yes_heard_while_another_channel_speaks_approves_nothing_and_is_told_so() -> None:
    async def body() -> None:
        world, beside, asking = (
            World(verdicts={"rm": Verdict("confirm", "medium", ())}),
            RecordingOutlet(),
            RecordingOutlet(),
        )
        async with talk(world) as it, asyncio.TaskGroup() as group:
            task = group.create_task(ExecuteLane(frame_for(world, asking), Action("os", "rm", {}), None).run())
            while not asking.of(TaskNeedsConfirmation):
                await asyncio.sleep(0.01)
            reading = group.create_task(
                TtsLane(frame_for(world, beside), ReplyFormat(), "and so it went on " * 20).run()
            )
            while not beside.frames:
                await asyncio.sleep(0.01)
            it.microphone.say("yes")
            await it.until(TurnDone)
            assert it.outlet.of(TurnReply)[0].text == "A question is still open. Shall I run rm?"
            await asyncio.sleep(1)
            it.microphone.say("yes")
            await it.until(TurnReply, 2)
            assert "answer again" in it.outlet.of(TurnReply)[1].text
            assert world.executed == []
            reading.cancel()
            await it.until(TurnDone, 2)
            await asyncio.sleep(1)
            it.microphone.say("yes")
            await task
        assert len(world.executed) == 1

    virtual_time.run(body())


@pytest.mark.parametrize(
    ("word", "confidence", "counts"), [("yes", 0.5, False), ("yes", 0.6, True), ("yes", 0.0, True), ("no", 0.1, True)]
)
def test_a_yes_that_was_hardly_heard_is_asked_for_again(word: str, confidence: float, counts: bool) -> None:
    """ "Uh-uh." is heard as "Alright." so. A no counts however it was heard, and what has no confidence counts as heard."""

    async def body() -> None:
        world = risky()
        async with talk(world, SILENT) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            it.microphone.push(SpeechStarted(0), SpeechStopped(400), FinalTranscript(word, confidence, 0, 400))
            await asyncio.sleep(5)
            assert len(it.outlet.of(TaskEnded)) == counts
            if not counts:
                assert (world.executed, world.settled_via) == ([], [])
                it.microphone.say("yes")
            await it.until(TurnDone)
        assert len(world.executed) == (word == "yes")

    virtual_time.run(body())


def test_a_voice_is_told_what_it_may_not_approve() -> None:
    async def body() -> None:
        world, asking = World(verdicts={"rm": Verdict("confirm", "high", ())}), RecordingOutlet()
        async with talk(world) as it, asyncio.TaskGroup() as group:
            task = group.create_task(ExecuteLane(frame_for(world, asking), Action("os", "rm", {}), None).run())
            while not asking.of(TaskNeedsConfirmation):
                await asyncio.sleep(0.01)
            it.microphone.say("yes")
            await it.until(TurnDone)
            assert it.outlet.of(TurnReply)[0].text.endswith("Shall I run rm? Please click, or type yes.")
            await asyncio.sleep(1)
            it.microphone.say("yes")
            await it.until(SpeechBegins, 2)
            await it.until(TurnDone, 2)
            assert it.outlet.of(TurnReply)[1].text == "I need a click, or a typed yes, for that."
            assert world.executed == []
            await TurnLane(frame_for(world, RecordingOutlet()), None, SILENT, "yes").run()
            await task
        assert world.settled_via == ["message"]
        assert len(world.executed) == 1

    virtual_time.run(body())


def test_a_question_that_a_voice_may_not_approve_says_so_and_is_put_again() -> None:
    async def body() -> None:
        world = risky()
        world.verdicts["rm"] = Verdict("confirm", "high", ())
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(3)
            it.microphone.say("yes")
            await it.until(SpeechEnds, 2)
            assert world.executed == []
            it.microphone.say("no")
            await it.until(TurnDone)
        assert [said.texts[0] for said in world.syntheses][:2] == [
            "Shall I delete demo with everything in it? Please click, or type yes."
        ] * 2

    virtual_time.run(body())


def test_what_runs_is_what_was_asked() -> None:
    """The action of a question that was approved is changed before it runs."""

    async def body() -> None:
        world = risky()
        async with talk(world, SILENT) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            asked = it.outlet.of(TaskNeedsConfirmation)[0].parameters["args"]
            assert isinstance(asked, list)
            asked.append("/")
            it.microphone.say("yes")
            await it.until(TurnDone)
        assert world.executed == []
        assert it.outlet.of(TaskEnded)[0].status == "declined"

    virtual_time.run(body())
