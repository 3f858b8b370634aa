"""Several questions of one session: which of them a yes or no is about that names none."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from server.shared.confirmations import CONFIRMATION_S
from streaming.agent.format import ReplyFormat
from streaming.domain import (
    SpeechBegins,
    SpeechEnds,
    TaskEnded,
    TaskNeedsConfirmation,
    Trouble,
    TurnDone,
    TurnInterrupted,
    TurnReply,
)
from streaming.lanes.execute import ExecuteLane
from streaming.lanes.turn import TurnLane
from streaming.open_questions import OpenQuestions
from streaming.ports import Action, Confirmation, Intent, Plan, ServiceError, Step, Verdict
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import plan, talk
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SILENT = ReplyFormat(audio=False)
FOLDERS = ("one", "two")
NAMES = ("shown", "spoken", "later")


def folder(name: str, step_id: str = "s1") -> Step:
    return Step(step_id, "os", "mkdir", {"args": [name]}, (), f"Create the folder {name}")


def folders(**plans: Plan) -> World:
    return World(plans=plans, verdicts={"mkdir": Verdict("confirm", "medium", ())})


def made(world: World) -> list[str]:
    return [name for _, parameters in world.executed for name in parameters["args"]]


async def until_asked(outlet: RecordingOutlet, count: int = 1) -> None:
    while len(outlet.of(TaskNeedsConfirmation)) < count:
        await asyncio.sleep(0.01)


async def typed(world: World, text: str) -> str:
    """The reply to words typed on a channel of their own."""
    outlet = RecordingOutlet()
    await TurnLane(frame_for(world, outlet), None, SILENT, text).run()
    return "".join(reply.text for reply in outlet.of(TurnReply))


async def asked_aloud(world: World, group: asyncio.TaskGroup) -> asyncio.Task[None]:
    """The turn of "go", on a channel of its own, whose question has been said to its end."""
    outlet = RecordingOutlet()
    turn = group.create_task(TurnLane(frame_for(world, outlet), None, ReplyFormat(), "go").run())
    while not outlet.of(SpeechEnds):
        await asyncio.sleep(0.01)
    await asyncio.sleep(3)
    return turn


@asynccontextmanager
async def silent_questions(world: World, *names: str) -> AsyncIterator[list[RecordingOutlet]]:
    """Channels whose questions only the client shows, and which wait for their answers at the end."""
    outlets = [RecordingOutlet() for _ in names]

    async def run(name: str, outlet: RecordingOutlet) -> None:
        with suppress(ServiceError):  # NOT_APPROVED
            await ExecuteLane(frame_for(world, outlet), Action("os", "mkdir", {"args": [name]}), None).run()

    async with asyncio.TaskGroup() as group:
        for name, outlet in zip(names, outlets, strict=True):
            group.create_task(run(name, outlet))
            await until_asked(outlet)
        yield outlets


def test_a_spoken_yes_is_for_what_was_asked_aloud() -> None:
    """Not for a newer question that nobody heard."""

    async def body() -> None:
        world = folders(go=plan(folder("spoken")))
        async with talk(world) as it, asyncio.TaskGroup() as group:
            turn = await asked_aloud(world, group)
            async with silent_questions(world, "silent"):
                it.microphone.say("yes")
                await turn
                assert made(world) == ["spoken"]
                it.microphone.say("no")
        assert made(world) == ["spoken"]

    virtual_time.run(body())


def test_the_steps_of_a_turn_are_asked_about_one_by_one_also_for_answers_typed_elsewhere() -> None:
    async def body() -> None:
        world, outlet = folders(go=plan(folder("one"), folder("two", "s2"))), RecordingOutlet()
        async with asyncio.TaskGroup() as group:
            turn = group.create_task(TurnLane(frame_for(world, outlet), None, SILENT, "go").run())
            await until_asked(outlet, 2)
            await typed(world, "yes")
            await asyncio.sleep(1)
            assert made(world) == ["one"]
            await typed(world, "no")
            await turn
        assert [ended.status for ended in outlet.of(TaskEnded)] == ["ok", "declined"]

    virtual_time.run(body())


def test_a_yes_that_may_be_about_several_approves_none_and_is_asked_back_about_each() -> None:
    async def body() -> None:
        world = folders()
        async with silent_questions(world, *FOLDERS) as outlets:
            reply = await typed(world, "yes")
            await asyncio.sleep(1)
            assert reply == "There is more than one question. Shall I create the folder one?"
            assert made(world) == []
            await typed(world, "yes")
            await asyncio.sleep(1)
            assert made(world) == ["one"]
            assert await typed(world, "yes") == "A question is still open. Shall I create the folder two?"
            assert made(world) == ["one"], "the yes may be a second one for the other"
            await typed(world, "yes")
        assert made(world) == ["one", "two"]
        assert [outlet.of(TaskEnded)[0].status for outlet in outlets] == ["ok", "ok"]

    virtual_time.run(body())


def test_a_spoken_yes_that_may_be_about_several_is_asked_back() -> None:
    async def body() -> None:
        world = folders()
        async with talk(world) as it, silent_questions(world, *FOLDERS):
            it.microphone.say("yes")
            await it.until(TurnDone)
            assert it.outlet.of(TurnReply)[0].text == "There is more than one question. Shall I create the folder one?"
            await asyncio.sleep(1)
            assert made(world) == []
            it.microphone.say("yes")
            await asyncio.sleep(5)
            assert made(world) == ["one"]
            assert it.outlet.of(TurnReply)[1].text == "All right.", "nobody else says so"
            it.microphone.say("no")
        assert made(world) == ["one"]

    virtual_time.run(body())


def test_a_no_that_may_be_about_several_declines_them_all() -> None:
    async def body() -> None:
        world = folders()
        async with silent_questions(world, *FOLDERS) as outlets:
            await typed(world, "no")
        assert made(world) == []
        assert [outlet.of(TaskEnded)[0].status for outlet in outlets] == ["declined", "declined"]

    virtual_time.run(body())


def test_what_speech_and_typed_words_may_mean() -> None:
    """What a yes approves, by voice and typed; "?" where it is about nothing that was asked."""
    questions = OpenQuestions()
    shown, spoken, later = (Confirmation(name, "2030-01-01T00:00:00Z", sentence=f"{name}?") for name in NAMES)

    def meant(own: Confirmation | None = None) -> tuple[str, str]:
        by_voice, typed = questions.meant(own, hears=True), questions.meant(own, hears=False)
        heard, read = (
            " ".join(one.confirmation_id for one in about.questions) + "?" * (not about.asked)
            for about in (by_voice, typed)
        )
        return heard, read

    questions.show(shown)
    assert meant() == ("shown?", "shown"), "who speaks may not see it"
    questions.show(spoken)
    assert meant() == ("shown spoken?", "shown spoken?")
    questions.ask(spoken)
    assert meant() == ("spoken?", "shown spoken?"), "its words are not out yet"
    questions.ask(spoken, aloud=True)
    assert meant(shown) == ("spoken", "spoken"), "the newest, and the user was asked it"
    questions.show(later)
    assert meant() == ("spoken", "shown spoken later?")
    assert meant(later) == ("spoken", "later"), "of their own channel"
    questions.ask(later)
    assert meant() == ("later?", "shown spoken later?"), "the voice failed at it, but the user may have seen it"
    questions.ask(spoken, aloud=True)
    questions.ask(shown, told=True)
    assert meant() == ("shown?", "shown"), "who speaks may mean either"
    assert meant(later) == ("later?", "shown"), "their own channel's is asked about first"
    questions.ask(spoken, aloud=False)
    assert meant() == ("spoken?", "spoken"), "its repetition was cut off"
    questions.ask(spoken, aloud=True)
    questions.over(spoken)
    assert meant() == ("shown later?", "shown later?"), "the yes may be a late one"
    assert meant(later) == ("later?", "later?")
    questions.over(later)
    assert meant() == ("shown?", "shown?"), "the only one left, which was not asked since"
    questions.ask(shown, aloud=True)
    questions.ask(spoken, aloud=True)
    assert meant() == ("shown", "shown"), "the other is over"


@pytest.mark.parametrize("expires", [True, False])
def test_a_spoken_yes_after_the_question_that_was_asked_aloud_has_ended_approves_no_other(expires: bool) -> None:
    async def body() -> None:
        world = folders(go=plan(folder("spoken")))
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(CONFIRMATION_S - 5 if expires else 3)
            async with silent_questions(world, "silent"):
                if not expires:
                    world.questions["q1"].set_result(True)  # clicked
                await it.until(TurnDone)
                await asyncio.sleep(3)
                it.microphone.say("yes")
                await it.until(TurnDone, 2)
                asked_back = it.outlet.of(TurnReply)[1].text
                assert asked_back == "A question is still open. Shall I create the folder silent?"
                assert made(world) == ([] if expires else ["spoken"])
                await asyncio.sleep(1)
                it.microphone.say("yes")
                await it.until(TurnDone, 3)
                await asyncio.sleep(1)
                assert made(world)[-1] == "silent"

    virtual_time.run(body())


@pytest.mark.parametrize("ends", [True, False])
def test_a_spoken_yes_approves_nothing_that_was_only_shown(ends: bool) -> None:
    """Nor the only question left, when another one has ended."""

    async def body() -> None:
        world = folders()
        async with talk(world) as it, silent_questions(world, *FOLDERS[: 1 + ends]):
            if ends:
                world.questions["q2"].set_result(False)
            await asyncio.sleep(1)
            it.microphone.say("yes")
            await it.until(TurnDone)
            assert it.outlet.of(TurnReply)[0].text == "A question is still open. Shall I create the folder one?"
            assert made(world) == []
            await asyncio.sleep(1)
            it.microphone.say("no")
        assert made(world) == []

    virtual_time.run(body())


def test_a_yes_after_a_question_that_could_not_be_said_is_not_for_the_one_before() -> None:
    async def body() -> None:
        world = folders(go=plan(folder("one")), cherry=plan(folder("two")))
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(3)
            world.failing["tts"] = ServiceError("UNAVAILABLE", "down", service="tts")
            it.microphone.say("cherry")
            await it.until(Trouble)
            del world.failing["tts"]
            await asyncio.sleep(1)
            it.microphone.say("yes")
            await asyncio.sleep(5)
            assert made(world) == []
            assert world.syntheses[-1].texts == ["Shall I create the folder two?"], "it is asked again"
            it.microphone.say("yes")
            await asyncio.sleep(1)
            assert made(world) == ["two"]
            await asyncio.sleep(10)
            it.microphone.say("no")
        assert made(world) == ["two"]

    virtual_time.run(body())


def test_a_spoken_yes_after_a_typed_request_is_asked_back_about_what_was_spoken() -> None:
    async def body() -> None:
        world, beside = folders(go=plan(folder("one")), two=plan(folder("two"))), RecordingOutlet()
        async with talk(world) as it, asyncio.TaskGroup() as group:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(3)
            group.create_task(TurnLane(frame_for(world, beside), None, SILENT, "two").run())
            await until_asked(beside)
            it.microphone.say("yes")
            await asyncio.sleep(5)
            assert made(world) == []
            assert [said.texts for said in world.syntheses] == [["Shall I create the folder one?"]] * 2
            it.microphone.say("yes")
            await it.until(TurnDone)
            assert made(world) == ["one"]
            assert await typed(world, "no") == ""
        assert made(world) == ["one"]

    virtual_time.run(body())


@pytest.mark.parametrize(("words", "goes_on"), [("wait", True), ("stop", False)])
def test_one_moment_leaves_the_question_of_a_turn_above_another_question_open(words: str, goes_on: bool) -> None:
    async def body() -> None:
        world = folders(go=plan(folder("one")), cherry=plan(folder("two")))
        world.intents["wait"] = Intent("stop", 0.9, {"pause": "yes"})
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(3)
            it.microphone.say("cherry")
            await it.until(SpeechEnds, 2)
            await asyncio.sleep(3)
            it.microphone.say(words)
            await asyncio.sleep(5)
            assert bool(it.outlet.of(TurnDone)) is not goes_on
            it.microphone.say("yes")
            await it.until(TurnDone)
            await asyncio.sleep(1)
            assert made(world) == (["two"] if goes_on else ["one"])
            await asyncio.sleep(10)
            it.microphone.say("no")

    virtual_time.run(body())


def test_why_is_answered_about_the_question_that_was_asked_last_and_the_yes_is_for_it() -> None:
    """Another turn asks meanwhile, above it."""

    async def body() -> None:
        world = folders(go=plan(folder("apple"), folder("pear", "s2")), cherry=plan(folder("cherry")))
        world.intents["why"] = Intent("explain", 0.9)
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(3)
            it.microphone.say("cherry")
            await it.until(TaskNeedsConfirmation, 3)
            await asyncio.sleep(4)
            apple = it.outlet.of(TaskNeedsConfirmation)[0]
            world.questions[apple.confirmation_id].set_result(True)  # clicked: now the pear is asked about
            await asyncio.sleep(4)
            it.microphone.say("why")
            await asyncio.sleep(9)
            assert "mkdir pear. Shall I create the folder pear?" in world.syntheses[-1].texts[0]
            it.microphone.say("yes")
            await asyncio.sleep(8)
            assert made(world) == ["apple", "pear"]
            it.microphone.say("no")
        assert made(world) == ["apple", "pear"]

    virtual_time.run(body())


def test_a_question_that_is_cut_off_was_not_asked() -> None:
    """The reply that puts one of several in words is interrupted before it does."""

    async def body() -> None:
        world = folders()
        world.intents["hello"] = Intent("hello", 0.9)
        async with talk(world) as it, silent_questions(world, *FOLDERS):
            it.microphone.say("yes")
            await it.until(SpeechBegins)
            await asyncio.sleep(0.6)
            it.microphone.say("hello")
            await it.until(TurnInterrupted)
            await asyncio.sleep(10)
            it.microphone.say("yes")
            await asyncio.sleep(1)
            assert made(world) == []
            await asyncio.sleep(10)
            it.microphone.say("no")
            await asyncio.sleep(10)
            await typed(world, "no")
        assert made(world) == []

    virtual_time.run(body())


def test_a_step_approved_while_it_waits_for_its_question_runs_at_once() -> None:
    async def body() -> None:
        world, outlet = folders(go=plan(folder("one"), folder("two", "s2"))), RecordingOutlet()
        async with asyncio.TaskGroup() as group:
            turn = group.create_task(TurnLane(frame_for(world, outlet), None, SILENT, "go").run())
            await until_asked(outlet, 2)
            world.questions[outlet.of(TaskNeedsConfirmation)[1].confirmation_id].set_result(True)
            await asyncio.sleep(1)
            assert made(world) == ["two"]
            await typed(world, "no")
            await turn
        assert [ended.status for ended in outlet.of(TaskEnded)] == ["ok", "declined"]

    virtual_time.run(body())


def test_an_answer_that_cannot_be_settled_now_ends_no_channel() -> None:
    async def body() -> None:
        world = folders(go=plan(folder("one")))
        async with talk(world, SILENT) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            world.failing["confirmations"] = ServiceError("UNAVAILABLE", "the question cannot be looked up just now")
            it.microphone.say("yes")
            await it.until(Trouble)
            del world.failing["confirmations"]
            await asyncio.sleep(5)
            it.microphone.say("yes")
            await it.until(TaskEnded)
        assert made(world) == ["one"]

    virtual_time.run(body())


def test_a_question_whose_words_are_in_another_ones_was_not_asked_by_it() -> None:
    async def body() -> None:
        longer = Step("s1", "os", "note", {"args": ["x"]}, (), "Note this: Shall I create the folder silent? And x")
        world, beside = folders(go=plan(longer)), RecordingOutlet()
        world.verdicts["note"] = world.verdicts["mkdir"]
        async with talk(world) as it, asyncio.TaskGroup() as group:
            group.create_task(TurnLane(frame_for(world, beside), None, ReplyFormat(), "go").run())
            await until_asked(beside)
            async with silent_questions(world, "silent"):
                await asyncio.sleep(15)
                assert "Shall I create the folder silent?" in world.syntheses[0].texts[0]
                it.microphone.say("yes")
                await asyncio.sleep(5)
                assert made(world) == ["x"]
                it.microphone.say("no")
        assert made(world) == ["x"]

    virtual_time.run(body())
