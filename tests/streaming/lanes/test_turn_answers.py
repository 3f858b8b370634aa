"""Answers to a question that say more than yes or no, or ask back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from streaming.agent.format import ReplyFormat
from streaming.domain import SpeechBegins, TaskEnded, TaskNeedsConfirmation, TurnDone, TurnIntent, TurnReply
from streaming.lanes.turn import TurnLane
from streaming.open_questions import OpenQuestions
from streaming.outlet import SpeechPosition
from streaming.ports import Intent, IntentGuess, Verdict
from streaming.sounding import Sounding
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import Talk, plan, risky, step, talk

if TYPE_CHECKING:
    from tests.support.world import World

SILENT = ReplyFormat(audio=False)
QUESTION = "Shall I delete demo with everything in it?"
ALSO = IntentGuess("yes", 0.9, {"also": "what time is it"})
INSTEAD = IntentGuess("no", 0.9, {"instead": "call it test"})


def answering(words: str, *answers: IntentGuess, intent: str = "unknown") -> World:
    """A world in which somebody answers the question of `go` with these words."""
    world = risky()
    world.intents[words] = Intent(intent, 0.9, {}, tuple(answers))
    return world


async def answer(it: Talk, words: str, *, kind: type[object] = TurnDone, count: int = 1) -> None:
    it.microphone.say("go")
    await it.until(TaskNeedsConfirmation)
    await asyncio.sleep(5)  # it was asked to its end
    it.microphone.say(words)
    await it.until(kind, count)


@pytest.mark.parametrize("audio", [True, False])
def test_what_is_said_behind_a_yes_is_done_after_what_was_approved(audio: bool) -> None:
    async def body() -> None:
        world = answering("yes and what time is it", ALSO, intent="get_time")
        async with talk(world, ReplyFormat(audio=audio)) as it:
            await answer(it, "yes and what time is it", count=2)
        assert [ended.status for ended in it.outlet.of(TaskEnded)] == ["ok"]
        assert world.settled_via == ["voice"]
        replies = [reply.text for reply in it.outlet.of(TurnReply)]
        assert [reply.rpartition("five ")[2] for reply in replies] == ["goal", "yes and what time is it"]

    virtual_time.run(body())


def test_what_is_said_behind_a_yes_waits_for_work_that_takes_long() -> None:
    async def body() -> None:
        world = answering("yes and what time is it", ALSO, intent="get_time")
        world.gates["rm"] = asyncio.Event()
        async with talk(world, SILENT) as it:
            await answer(it, "yes and what time is it", kind=TaskNeedsConfirmation)
            await asyncio.sleep(30)
            assert it.outlet.of(TurnReply) == []
            world.gates["rm"].set()
            await it.until(TurnDone, 2)
        assert len(world.executed) == 1

    virtual_time.run(body())


def test_another_wish_declines_what_was_asked_and_is_words_of_its_own() -> None:
    async def body() -> None:
        world = answering("yes but call it test", INSTEAD)
        world.plans["yes but call it test"] = plan(step("s1", "rm", args=["test"]))
        async with talk(world, SILENT) as it:
            await answer(it, "yes but call it test", kind=TaskNeedsConfirmation, count=2)
            assert world.executed == []
            await asyncio.sleep(1)
            it.microphone.say("yes")
            await it.until(TurnDone, 2)
        assert [ended.status for ended in it.outlet.of(TaskEnded)] == ["declined", "ok"]
        assert world.executed == [("rm", {"args": ["test"]})]

    virtual_time.run(body())


@pytest.mark.parametrize("also", [{}, {"also": "what time is it"}])
def test_a_yes_that_may_not_approve_leaves_the_question_and_the_rest_is_done(also: dict[str, str]) -> None:
    """A mere yes among the alternatives is a guess. One with more behind it counts no more than a yes alone."""

    async def body() -> None:
        world = answering("yes and what time is it", IntentGuess("yes", 0.9, dict(also)), intent="get_time")
        world.verdicts["rm"] = Verdict("confirm", "high" if also else "medium", ())
        async with talk(world) as it:
            await answer(it, "yes and what time is it")
            assert world.executed == []
            assert world.settled_via == []
            await asyncio.sleep(5)
            it.microphone.say("no")
            await it.until(TurnDone, 2)
        said = [synthesis.texts[0] for synthesis in world.syntheses]
        assert said[0] == said[2]
        assert said[0].startswith(QUESTION)
        assert said[1] == "one two three four five yes and what time is it"

    virtual_time.run(body())


@pytest.mark.parametrize(
    "asked_back", [Intent("explain", 0.9), Intent("unknown", 0.0, {}, (IntentGuess("explain", 0.9),))]
)
def test_who_asks_why_is_told_and_the_question_waits(asked_back: Intent) -> None:
    async def body() -> None:
        world = risky()
        world.intents["why"] = asked_back
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(5)
            it.microphone.say("why")
            await asyncio.sleep(10)
            it.microphone.say("yes")
            await it.until(TurnDone)
        assert [synthesis.texts[0] for synthesis in world.syntheses][:2] == [
            QUESTION,
            f"I ask because it deletes, and the risk is medium. On this machine, that is: rm demo. {QUESTION}",
        ]
        assert len(world.executed) == 1
        assert len(it.outlet.of(TurnDone)) == 1

    virtual_time.run(body())


@pytest.mark.parametrize(
    ("intent", "entities", "told"),
    [
        ("repeat", {}, [QUESTION, QUESTION]),
        ("stop", {"pause": "yes"}, [QUESTION]),
        ("unknown", {}, [QUESTION, "I did not understand that.", QUESTION]),
    ],
)
def test_the_question_waits_for_who_has_not_answered_it(intent: str, entities: dict[str, str], told: list[str]) -> None:
    async def body() -> None:
        world = risky()
        world.intents["well"] = Intent(intent, 0.9, dict(entities))
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(5)
            it.microphone.say("well then")
            world.intents["well then"] = world.intents["well"]
            await asyncio.sleep(12)
            assert [synthesis.texts[0] for synthesis in world.syntheses] == told
            it.microphone.say("yes")
            await it.until(TaskEnded)
        assert len(world.executed) == 1

    virtual_time.run(body())


@pytest.mark.parametrize(("by_voice", "status"), [(True, "declined"), (False, "ok")])
def test_a_misheard_no_declines_only_if_it_was_heard(by_voice: bool, status: str) -> None:
    async def body() -> None:
        world = answering("number", IntentGuess("no", 0.6, {"misheard": True}))
        async with talk(world, SILENT) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            await asyncio.sleep(1)
            if by_voice:
                it.microphone.say("number")
            else:
                typed = RecordingOutlet()
                await TurnLane(frame_for(world, typed), None, SILENT, "number").run()
                assert typed.of(TurnReply)[0].text == f"I did not understand that. {QUESTION}"
                it.microphone.say("yes")
            await it.until(TurnDone)
        assert it.outlet.of(TaskEnded)[0].status == status

    virtual_time.run(body())


@pytest.mark.parametrize(
    ("guess", "status", "reply"),
    [
        (ALSO, "ok", "one two three four five so be it"),
        (INSTEAD, "declined", "one two three four five so be it"),
        (
            IntentGuess("explain", 0.9),
            "",
            f"I ask because it deletes, and the risk is medium. On this machine, that is: rm demo. {QUESTION}",
        ),
    ],
)
def test_typed_words_on_another_channel_answer_alike(guess: IntentGuess, status: str, reply: str) -> None:
    async def body() -> None:
        world = answering("so be it", guess, intent="get_time" if guess.intent == "yes" else "unknown")
        world.plans["so be it"] = plan(goal="so be it")
        async with talk(world, SILENT) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            typed = RecordingOutlet()
            await TurnLane(frame_for(world, typed), None, SILENT, "so be it").run()
            assert [told.text for told in typed.of(TurnReply)] == [reply]
            if not status:
                assert it.outlet.of(TaskEnded) == []
                it.microphone.say("yes")
            await it.until(TurnDone)
        assert it.outlet.of(TaskEnded)[0].status == (status or "ok")

    virtual_time.run(body())


def moved(world: World, saved: dict[str, Any]) -> Talk:
    """The channel at another replica."""
    world.open_questions, world.sounding = OpenQuestions(), Sounding()
    world.recognitions.clear()
    there = Talk(world)
    there.lane.restore(json.loads(json.dumps(saved)), SpeechPosition())
    return there


@pytest.mark.parametrize("moves", [1, 2])
@pytest.mark.parametrize("at", [TurnIntent, SpeechBegins])
def test_what_was_asked_beside_a_question_is_answered_across_a_move(at: type[object], moves: int) -> None:
    async def body() -> None:
        world = risky()
        world.intents["when"] = Intent("get_time", 0.9)
        async with asyncio.TaskGroup() as group:
            here = Talk(world)
            running = group.create_task(here.lane.run())
            here.microphone.say("go")
            await here.until(TaskNeedsConfirmation)
            await asyncio.sleep(5)
            if at is TurnIntent:
                world.slow_s["planner"] = 1.0
            here.microphone.say("when")
            await here.until(at, 2)
            turns = [event.turn_id for event in here.outlet.of(TurnIntent)]
            there = moved(world, here.lane.save())
            if moves > 1:
                there = moved(world, there.lane.save())
            running.cancel()
            going_on = group.create_task(there.lane.run())
            await there.until(TurnDone)
            assert [done.turn_id for done in there.outlet.of(TurnDone)] == turns[1:]
            assert len(there.outlet.of(TaskNeedsConfirmation)) == 1
            await asyncio.sleep(10)
            there.microphone.say("yes")
            await there.until(TurnDone, 2)
            there.lane.end()
            await going_on
        told = [*here.outlet.of(TurnReply), *there.outlet.of(TurnReply)]
        assert [(reply.turn_id, reply.text.rpartition("five ")[2]) for reply in told] == [
            (turns[1], "when"),
            (turns[0], "goal"),
        ]
        assert world.settled_via == ["voice"]

    virtual_time.run(body())
