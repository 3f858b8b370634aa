"""Questions that are asked aloud, their answers, and work that takes long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.shared.confirmations import CONFIRMATION_S
from streaming.agent.format import ReplyFormat
from streaming.domain import (
    SpeechEnds,
    TaskEnded,
    TaskNeedsConfirmation,
    TurnContinued,
    TurnDone,
    TurnInterrupted,
    TurnPaused,
    TurnReply,
)
from streaming.lanes.turn import TurnLane
from streaming.ports import (
    EagerEnd,
    FinalTranscript,
    Intent,
    InterimTranscript,
    SpeechStarted,
    SpeechStopped,
    Verdict,
)
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import plan, risky, step, talk
from tests.support.world import World

if TYPE_CHECKING:
    from tests.support.talk import Talk


async def say_other_words(it: Talk) -> None:
    """Say words that are no answer, once the question was asked and its sound has died away."""
    it.world.intents["what time is it"] = Intent("get_time", 0.9)
    it.microphone.say("go")
    await it.until(SpeechEnds)
    await asyncio.sleep(3)
    it.microphone.say("what time is it")


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


async def asked_with_an_echo(it: Talk) -> None:
    """The question is being asked, and its first words came back into the microphone."""
    it.microphone.say("go")
    await it.until(TaskNeedsConfirmation)
    await asyncio.sleep(0.5)
    it.microphone.push(SpeechStarted(800), FinalTranscript("Shall I.", 0.9, 800, 1100))
    await it.until(TurnContinued)


def test_the_echo_of_a_question_is_no_request() -> None:
    async def body() -> None:
        world = risky("Delete the folder demo")
        async with talk(world) as it:
            await asked_with_an_echo(it)
            await asyncio.sleep(1)
            it.microphone.push(SpeechStarted(2000))
            await asyncio.sleep(3)  # it was asked to its end
            it.microphone.push(FinalTranscript("with everything in it?", 0.9, 2000, 3000))
            await asyncio.sleep(1)
            assert [said.text for said in it.outlet.of(TurnReply)] == []
            it.microphone.say("yes")
            await it.until(TurnDone)
        assert it.outlet.of(TaskEnded)[0].status == "ok"
        assert len(it.outlet.of(TurnDone)) == 1

    virtual_time.run(body())


@pytest.mark.parametrize(
    ("heard", "confidence", "end_ms"),
    [
        ("She'll like...", 0.67, 1152),
        ("She like.", 0.61, 1120),
        ("She'll have to be", 0.18, 928),
        ("Shut up.", 0.44, 1000),
        ("She'll...", 0.43, 928),
    ],
)
def test_the_echo_of_a_questions_beginning_is_no_request_whatever_it_is_heard_as(
    heard: str, confidence: float, end_ms: int
) -> None:
    async def body() -> None:
        world = risky("Delete the folder demo")
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(0.3)
            it.microphone.push(SpeechStarted(800))
            await it.until(TurnPaused)
            it.microphone.push(InterimTranscript(heard, 0))
            await asyncio.sleep(0.3)
            it.microphone.push(SpeechStopped(end_ms), FinalTranscript(heard, confidence, 800, end_ms))
            await it.until(TurnContinued)
            await asyncio.sleep(0.3)
            it.microphone.push(SpeechStarted(3000), InterimTranscript("She like", 0))
            await asyncio.sleep(3)  # it was asked to its end
            it.microphone.push(FinalTranscript("Shall I delete demo with everything in it?", 0.9, 3000, 4500))
            await asyncio.sleep(3)
            assert [it.outlet.of(kind) for kind in (TurnReply, TurnInterrupted)] == [[], []]
            assert len(it.outlet.of(TurnPaused)) == 1, "it knows now that it hears itself"
            it.microphone.say("yes")
            await it.until(TurnDone)
        assert it.outlet.of(TaskEnded)[0].status == "ok"

    virtual_time.run(body())


@pytest.mark.parametrize(
    ("words", "confidence", "continued"),
    [
        ("Stop.", 0.4, False),
        ("No.", 0.3, False),
        ("Louder.", 0.8, False),
        ("Say it again.", 0.6, False),
        ("Sure, do it.", 0.8, False),
        ("Yeah, sure.", 0.8, True),
        ("Yes.", 0.4, True),
    ],
)
def test_short_words_over_a_questions_beginning_are_the_users(words: str, confidence: float, continued: bool) -> None:
    async def body() -> None:
        world = risky("Delete the folder demo")
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(0.3)
            it.microphone.push(SpeechStarted(800))
            await it.until(TurnPaused)
            await asyncio.sleep(0.3)
            it.microphone.push(SpeechStopped(1200), FinalTranscript(words, confidence, 800, 1200))
            await it.until(TurnContinued if continued else TurnInterrupted)
            assert bool(it.outlet.of(TurnInterrupted)) is not continued
            if continued:
                await asyncio.sleep(0.5)
                it.microphone.push(SpeechStarted(2000))
                await it.until(TurnPaused, 2)  # they were not taken for an echo
            it.microphone.say("no")
            await it.until(TaskEnded)

    virtual_time.run(body())


def test_a_no_behind_the_echo_of_the_question_is_the_answer() -> None:
    async def body() -> None:
        world = risky("Delete the folder demo")
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(0.3)
            it.microphone.push(SpeechStarted(800))
            await it.until(TurnPaused)
            it.microphone.push(InterimTranscript("She like no", 0))
            await it.until(TurnInterrupted)
            await asyncio.sleep(0.3)
            it.microphone.push(EagerEnd(1700, "She'll like... no"), SpeechStopped(1700))
            it.microphone.push(FinalTranscript("She'll like... no", 0.34, 800, 1700))
            await it.until(TurnDone)
        assert it.outlet.of(TaskEnded)[0].status == "declined"

    virtual_time.run(body())


def test_a_correction_in_the_questions_own_words_is_no_echo_of_it() -> None:
    async def body() -> None:
        world = risky("Delete the folder demo")
        async with talk(world) as it:
            await asked_with_an_echo(it)
            await asyncio.sleep(1.2)
            it.microphone.push(SpeechStarted(2000))
            await asyncio.sleep(0.6)
            it.microphone.push(
                SpeechStopped(2600), FinalTranscript("Delete demo two with everything in it.", 0.9, 2000, 2600)
            )
            await it.until(TurnReply)
            it.microphone.say("no")
            await it.until(TurnDone, 2)
        assert "intent Delete demo two with everything in it." in world.asked
        assert world.executed == []

    virtual_time.run(body())


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
        assert question.sentence == "Shall I delete demo with everything in it?"
        assert (question.executor, question.action, question.parameters) == ("os", "rm", {"args": ["-r", "demo"]})
        assert world.syntheses[0].texts == ["Shall I delete demo with everything in it?"]
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
            "Shall I delete demo with everything in it?",
            "I am still waiting for your answer. Shall I delete demo with everything in it?",
        ]
        assert len(world.syntheses) == 3
        assert world.executed == []

    virtual_time.run(body())


def test_a_question_that_nobody_is_left_to_answer_expires_and_the_lane_ends() -> None:
    async def body() -> None:
        world = risky()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
        (ended,) = it.outlet.of(TaskEnded)
        assert (ended.status, ended.message) == ("declined", "nobody answered in time")
        assert CONFIRMATION_S <= asyncio.get_running_loop().time() < 2 * CONFIRMATION_S

    virtual_time.run(body())


def test_a_question_that_expires_is_told_apart_from_a_refusal() -> None:
    async def body() -> None:
        world = risky()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TurnDone)
        (ended,) = it.outlet.of(TaskEnded)
        assert (ended.status, ended.message) == ("declined", "nobody answered in time")
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
        assert [synthesis.texts[0] for synthesis in world.syntheses][:2] == [
            "Shall I delete demo with everything in it?"
        ] * 2
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
        assert it.outlet.of(TurnInterrupted)[0].heard_text != "Shall I delete demo with everything in it?"
        assert len(world.syntheses) == 2
        assert it.outlet.of(TurnDone)[0].status == "ok"

    virtual_time.run(body())


@pytest.mark.parametrize(("typed", "executed"), [("yes", 1), ("no", 0)])
def test_an_answer_typed_on_another_channel_of_the_session_counts(typed: str, executed: int) -> None:
    """A no is answered once, by the turn that asked."""

    async def body() -> None:
        world, beside = risky(), RecordingOutlet()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await TurnLane(frame_for(world, beside), None, ReplyFormat(), typed).run()
            await it.until(TurnDone)
        assert world.settled_via == ["message"]
        assert len(world.executed) == executed
        assert [reply.text for reply in beside.of(TurnReply)] == ["All right." if executed else ""]
        assert len([reply for reply in it.outlet.of(TurnReply) if reply.text]) == 1
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


def test_work_that_has_only_been_approved_is_not_long() -> None:
    async def body() -> None:
        world = risky()
        world.gates["rm"] = asyncio.Event()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(10)
            it.microphone.say("yes")
            await asyncio.sleep(2)
            assert world.settled_via == ["voice"]
            world.gates["rm"].set()
            await it.until(TurnDone)
        assert len(world.syntheses) == 2  # the question and the reply

    virtual_time.run(body())


def test_other_words_are_answered_while_a_question_waits_and_it_is_asked_again() -> None:
    async def body() -> None:
        world = risky()
        async with talk(world) as it:
            await say_other_words(it)
            await it.until(TurnDone)
            assert world.executed == []
            await it.until(SpeechEnds, 3)
            await asyncio.sleep(3)
            it.microphone.say("yes")
            await it.until(TurnDone, 2)
        assert [synthesis.texts[0] for synthesis in world.syntheses] == [
            "Shall I delete demo with everything in it?",
            "one two three four five what time is it",
            "Shall I delete demo with everything in it?",
            "one two three four five goal",
        ]
        assert len(world.executed) == 1

    virtual_time.run(body())


def test_stop_ends_the_answer_to_other_words_and_leaves_the_question() -> None:
    async def body() -> None:
        world = risky()
        world.intents["stop"] = Intent("stop", 0.9)
        async with talk(world) as it:
            await say_other_words(it)
            await it.until(TurnReply)
            await asyncio.sleep(0.5)
            it.microphone.say("stop")
            await it.until(TurnDone)
            await it.until(SpeechEnds, 3)
            await asyncio.sleep(3)
            it.microphone.say("yes")
            await it.until(TurnDone, 2)
        assert len(world.executed) == 1

    virtual_time.run(body())


def test_a_question_answered_elsewhere_waits_for_the_answer_to_other_words() -> None:
    """The two replies do not sound at once."""

    async def body() -> None:
        world = risky()
        async with talk(world) as it:
            await say_other_words(it)
            await it.until(TurnReply)
            world.questions[it.outlet.of(TaskNeedsConfirmation)[0].confirmation_id].set_result(True)
            await it.until(TurnDone, 2)
        assert [turn.status for turn in it.outlet.of(TurnDone)] == ["ok", "ok"]
        assert len(world.executed) == 1

    virtual_time.run(body())
