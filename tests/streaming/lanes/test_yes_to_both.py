"""`Yes to both` while several questions are open: it approves what was asked to its end, and asks for the rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from streaming.agent.answering import Answer, Moment, answer
from streaming.domain import SpeechEnds, TaskNeedsConfirmation, TurnDone, TurnReply
from streaming.lanes.turn import TurnLane
from streaming.open_questions import Meant
from streaming.ports import Confirmation, Intent, IntentGuess
from tests.streaming.lanes.test_which_question import (
    FOLDERS,
    SILENT,
    asked_aloud,
    folder,
    folders,
    made,
    silent_questions,
    typed,
    until_asked,
)
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import plan, talk

if TYPE_CHECKING:
    from tests.support.world import World

ONE, TWO, THREE = (
    Confirmation(name, "2030-01-01T00:00:00Z", sentence=f"Shall I create the folder {name}?")
    for name in ("1", "2", "3")
)
BOTH = Intent("yes", 0.95, {"of": "both"})
ALL = Intent("yes", 0.95, {"of": "all"})
MERELY = Intent("unknown", 0.0, {}, (IntentGuess("yes", 0.9, {"of": "both", "bare": "yes"}),))


def understanding(world: World) -> World:
    world.intents |= {"yes to both": BOTH, "both": MERELY, "no to both": Intent("no", 0.95, {"of": "all"})}
    return world


@pytest.mark.parametrize(
    ("intent", "about", "put", "judged"),
    [
        (BOTH, Meant((TWO,), asked=True, every=(ONE, TWO), put=(ONE, TWO)), (ONE, TWO), Answer.APPROVES_ALL),
        (MERELY, Meant((TWO,), asked=True, every=(ONE, TWO), put=(ONE, TWO)), (ONE, TWO), Answer.APPROVES_ALL),
        (ALL, Meant((TWO,), asked=True, every=(ONE, TWO), put=(ONE, TWO)), (ONE, TWO), Answer.APPROVES_ALL),
        (BOTH, Meant((TWO,), asked=True, every=(ONE, TWO), put=(TWO,)), (TWO,), Answer.APPROVES_ONE),
        (BOTH, Meant((TWO,), asked=True, every=(ONE, TWO), put=(ONE, TWO)), (TWO,), Answer.APPROVES_ONE),
        (BOTH, Meant((ONE, TWO), every=(ONE, TWO)), (), Answer.WHICH),
        (
            BOTH,
            Meant((THREE,), asked=True, every=(ONE, TWO, THREE), put=(ONE, TWO, THREE)),
            (ONE, TWO, THREE),
            Answer.WHICH,
        ),
        (BOTH, Meant((TWO,), every=(ONE, TWO), put=(ONE,)), (ONE,), Answer.NOT_ASKED),
        (BOTH, Meant((ONE,), asked=True, every=(ONE,), put=(ONE,)), (ONE,), Answer.APPROVES),
        (MERELY, Meant((ONE,), asked=True, every=(ONE,), put=(ONE,)), (ONE,), Answer.NOT_ASKED),
    ],
)
def test_how_it_is_judged(intent: Intent, about: Meant, put: tuple[Confirmation, ...], judged: Answer) -> None:
    assert answer(intent, about, Moment(about.questions[0], put), by_voice=True) is judged


@pytest.mark.parametrize(
    ("given", "judged"),
    [
        (Moment(TWO, (ONE, TWO), over_our_voice=True), Answer.TOO_EARLY),
        (Moment(TWO, (ONE, TWO), unsure=True), Answer.UNSURE),
    ],
)
def test_it_is_no_surer_than_a_yes_to_one(given: Moment, judged: Answer) -> None:
    about = Meant((TWO,), asked=True, every=(ONE, TWO), put=(ONE, TWO))
    assert answer(BOTH, about, given, by_voice=True) is judged


def test_it_approves_by_voice_only_what_a_voice_may_approve() -> None:
    risky = Confirmation("risky", "2030-01-01T00:00:00Z", by_voice=False)
    about = Meant((TWO,), asked=True, every=(risky, TWO), put=(risky, TWO))
    assert answer(BOTH, about, Moment(TWO, (risky, TWO)), by_voice=True) is Answer.APPROVES_ONE
    assert answer(BOTH, about, Moment(TWO, (risky, TWO)), by_voice=False) is Answer.APPROVES_ALL


@pytest.mark.parametrize("words", ["yes to both", "both"])
def test_two_questions_asked_aloud_are_both_approved(words: str) -> None:
    async def body() -> None:
        world = understanding(folders(go=plan(folder("one")), cherry=plan(folder("two"))))
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(3)
            it.microphone.say("cherry")
            await it.until(TaskNeedsConfirmation, 2)
            await asyncio.sleep(4)
            it.microphone.say(words)
            await it.until(TurnDone, 2)
            assert sorted(made(world)) == ["one", "two"]

    virtual_time.run(body())


def test_one_that_was_only_shown_is_asked_for_in_words() -> None:
    async def body() -> None:
        world = understanding(folders(go=plan(folder("spoken"))))
        async with talk(world) as it, asyncio.TaskGroup() as group:
            turn = await asked_aloud(world, group)
            async with silent_questions(world, "silent"):
                it.microphone.say("yes to both")
                await turn
                await it.until(TurnReply)
                assert made(world) == ["spoken"]
                assert it.outlet.of(TurnReply)[0].text == (
                    "I take that as a yes to one of them: create the folder spoken. "
                    "The other question is: Shall I create the folder silent?"
                )
                await it.until(TurnDone)
                await asyncio.sleep(10)
                it.microphone.say("yes")
                await asyncio.sleep(10)
        assert made(world) == ["spoken", "silent"]

    virtual_time.run(body())


@pytest.mark.parametrize("words", ["yes to both", "both"])
def test_two_that_were_only_shown_are_asked_for_one_by_one(words: str) -> None:
    async def body() -> None:
        world = understanding(folders())
        async with silent_questions(world, *FOLDERS):
            reply = await typed(world, words)
            await asyncio.sleep(1)
            assert reply == "There is more than one question. Shall I create the folder one?"
            assert made(world) == []
            await typed(world, "no to both")
        assert made(world) == []

    virtual_time.run(body())


def test_a_no_to_both_also_declines_the_one_that_was_not_asked_last() -> None:
    async def body() -> None:
        world, outlet = understanding(folders(go=plan(folder("read")))), RecordingOutlet()
        async with silent_questions(world, "shown"), asyncio.TaskGroup() as group:
            group.create_task(TurnLane(frame_for(world, outlet), None, SILENT, "go").run())
            await until_asked(outlet)
            await typed(world, "no to both")
        assert made(world) == []

    virtual_time.run(body())
