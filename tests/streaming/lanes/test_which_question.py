"""Several questions of one session: which of them a yes or no is about that names none."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from streaming.agent.format import ReplyFormat
from streaming.domain import SpeechEnds, TaskEnded, TaskNeedsConfirmation, TurnDone, TurnReply
from streaming.lanes.execute import ExecuteLane
from streaming.lanes.turn import TurnLane
from streaming.open_questions import OpenQuestions
from streaming.ports import Action, Confirmation, Plan, ServiceError, Step, Verdict
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import plan, talk
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SILENT = ReplyFormat(audio=False)
FOLDERS = ("one", "two")


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
        world, beside = folders(go=plan(folder("spoken"))), RecordingOutlet()
        async with talk(world) as it, asyncio.TaskGroup() as group:
            turn = group.create_task(TurnLane(frame_for(world, beside), None, ReplyFormat(), "go").run())
            while not beside.of(SpeechEnds):
                await asyncio.sleep(0.01)
            await asyncio.sleep(3)
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


def test_a_question_put_in_words_stays_the_one_that_speech_means_until_another_is() -> None:
    questions = OpenQuestions()
    shown, spoken, later = (Confirmation(name, "2030-01-01T00:00:00Z") for name in ("shown", "spoken", "later"))
    questions.put(shown, in_words=False)
    assert questions.meant(None, by_voice=True) == questions.meant(None, by_voice=False) == (shown,)
    questions.put(spoken, in_words=True)
    assert questions.meant(shown, by_voice=False) == (spoken,), "the newest, and the user was asked it"
    questions.put(later, in_words=False)
    assert questions.meant(None, by_voice=True) == (spoken,)
    assert questions.meant(None, by_voice=False) == (shown, spoken, later)
    assert questions.meant(later, by_voice=False) == (later,), "of their own channel"
    questions.over(spoken)
    assert questions.meant(None, by_voice=True) == (shown, later)
    assert questions.meant(spoken, by_voice=True) == (shown, later), "it is over"
    questions.put(shown, in_words=True)
    questions.put(shown, in_words=False)
    assert questions.meant(later, by_voice=True) == (shown,), "repeated without words, it was still asked in words"
