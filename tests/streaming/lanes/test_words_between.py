"""Words that are said while a question waits, and answer nothing: the next yes may belong to them, also before they got a reply."""

from __future__ import annotations

import asyncio

import pytest

from streaming.agent.format import ReplyFormat
from streaming.domain import SpeechEnds, TaskNeedsConfirmation, TurnDone
from streaming.lanes.turn import TurnLane
from streaming.ports import Plan, Step, Verdict
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import Talk, plan, talk
from tests.support.world import World


def world_of() -> World:
    steps = {
        words: Step("s1", "os", "mkdir", {"args": [words[-4:]]}, (), words)
        for words in ("create lion", "and create bear")
    }
    return World(
        plans={words: plan(step) for words, step in steps.items()},
        verdicts={"mkdir": Verdict("confirm", "medium", ())},
    )


async def asked(it: Talk) -> None:
    """The agent has asked whether it may create a folder."""
    it.microphone.say("create lion")
    await it.until(SpeechEnds)
    await asyncio.sleep(3)


def made(world: World) -> list[str]:
    return [parameters["args"][0] for _, parameters in world.executed]


@pytest.mark.parametrize("slow", ["intent", "planner"])
@pytest.mark.parametrize("approves", [False, True])
def test_a_yes_before_the_reply_to_other_words_counts_once_the_question_was_asked_again(
    slow: str, approves: bool
) -> None:
    async def body() -> None:
        world = world_of()
        async with talk(world) as it:
            await asked(it)
            world.slow_s[slow] = 1.0
            it.microphone.say("Mum, may I go outside?")
            await asyncio.sleep(0.3)
            it.microphone.say("yes")
            await asyncio.sleep(10)
            assert made(world) == []
            it.microphone.say("yes" if approves else "no")
            await it.until(TurnDone, 2)
        assert made(world) == ["lion"] * approves

    virtual_time.run(body())


@pytest.mark.parametrize("noise", ["Hm.", "Um, uh.", "mm-hm"])
def test_a_hum_before_the_yes_changes_nothing(noise: str) -> None:
    async def body() -> None:
        world = world_of()
        async with talk(world) as it:
            await asked(it)
            world.slow_s["planner"] = 1.0
            it.microphone.say(noise)
            await asyncio.sleep(0.3)
            it.microphone.say("yes")
            await asyncio.sleep(0.3)
            assert made(world) == ["lion"]

    virtual_time.run(body())


def test_the_same_of_typed_words_on_another_channel() -> None:
    async def body() -> None:
        world = world_of()
        async with talk(world) as it, asyncio.TaskGroup() as group:
            await asked(it)
            world.slow_s["planner"] = 1.0
            typed = TurnLane(frame_for(world, RecordingOutlet()), None, ReplyFormat(audio=False), "what time is it")
            group.create_task(typed.run())
            await asyncio.sleep(0.3)
            it.microphone.say("yes")
            await asyncio.sleep(10)
            assert made(world) == []
            it.microphone.say("yes")
            await it.until(TurnDone)
        assert made(world) == ["lion"]

    virtual_time.run(body())


@pytest.mark.parametrize("after_s", [0.05, 1.0, 3.0])
def test_the_second_half_of_a_request_leaves_the_first_one_to_be_asked(after_s: float) -> None:
    async def body() -> None:
        world = world_of()
        async with talk(world) as it:
            it.microphone.say("create lion")
            await asyncio.sleep(after_s)
            it.microphone.say("and create bear")
            await it.until(TaskNeedsConfirmation, 2)
            for count in (1, 2):
                await asyncio.sleep(8)
                it.microphone.say("yes")
                await it.until(TurnDone, count)
        assert sorted(made(world)) == ["bear", "lion"]

    virtual_time.run(body())


def test_a_yes_is_taken_as_soon_as_the_question_was_asked_however_often_others_speak() -> None:
    async def body() -> None:
        world = world_of()
        world.plans["tea"] = Plan("p", "Tea.", (), "x")
        async with talk(world) as it:
            it.microphone.say("create lion")
            for _ in range(3):
                await asyncio.sleep(8)
                it.microphone.say("tea")
            await asyncio.sleep(8)
            it.microphone.say("yes")
            await it.until(TurnDone, 4)
        assert made(world) == ["lion"]

    virtual_time.run(body())
