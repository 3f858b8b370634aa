"""The probable end of a turn: the work that begins then, its withdrawal, and that it has no effects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from streaming.agent.eager import spoken
from streaming.agent.format import ReplyFormat
from streaming.domain import TurnDone, TurnEnd, TurnIntent, TurnLatency, TurnPlanned, TurnReply
from streaming.lanes.turn import TurnLane
from streaming.ports import (
    EagerEnd,
    FinalTranscript,
    InterimTranscript,
    Plan,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Step,
    Verdict,
)
from streaming.sound.microphone_format import MicrophoneFormat
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.world import World, broken

if TYPE_CHECKING:
    from tests.support.world import ScriptedRecognition

DELETION = Plan("p", "goal", (Step("s1", "os", "rm", {}, (), "delete"),), "x")
RISKY = {"rm": Verdict("confirm", "medium", ("it deletes",))}


class Talk:
    """A turn channel whose reply is text, and how long the world takes."""

    def __init__(self, world: World, source: MicrophoneFormat | None = None) -> None:
        self.world = world
        self.outlet = RecordingOutlet()
        self.lane = TurnLane(frame_for(world, self.outlet), source or MicrophoneFormat(), ReplyFormat(audio=False))

    @property
    def microphone(self) -> ScriptedRecognition:
        return self.world.recognitions[0]

    def probably(self, text: str) -> None:
        self.microphone.push(SpeechStarted(0), InterimTranscript(text, 0), EagerEnd(400, text))

    def finally_(self, text: str) -> None:
        self.microphone.push(SpeechStopped(400), FinalTranscript(text, 0.9, 0, 400))

    async def done(self, count: int = 1) -> None:
        async with asyncio.timeout(300):
            while len(self.outlet.of(TurnDone)) < count:
                await asyncio.sleep(0.01)


def converse(world: World, body: object, source: MicrophoneFormat | None = None) -> Talk:
    """Run `body(talk)` beside the lane, on virtual time."""

    async def run() -> Talk:
        talk = Talk(world, source)
        async with asyncio.TaskGroup() as group:
            group.create_task(talk.lane.run())
            await body(talk)  # type: ignore[operator]  # any async function of a Talk
            talk.lane.end()
        return talk

    return virtual_time.run(run())


def slow_world() -> World:
    return World(plans={"delete it": DELETION}, verdicts=RISKY, slow_s={"intent": 0.2, "planner": 0.3})


def test_intent_and_plan_made_early_are_used_at_the_real_end() -> None:
    async def body(talk: Talk) -> None:
        talk.probably("hello")
        await asyncio.sleep(0.6)
        assert talk.outlet.names() == ["SpeechStarted", "InterimTranscript", "EagerEnd"]
        talk.finally_("hello")
        await talk.done()

    world = World(slow_s={"intent": 0.2, "planner": 0.3})
    talk = converse(world, body)
    assert world.asked == ["intent hello", "planner hello"]
    assert world.conversations == [["hello"]]  # as if the words had been stored already
    stages = talk.outlet.of(TurnLatency)[0].stages
    assert list(stages)[:5] == ["eager_end", "speech_stopped", "final", "intent", "plan"]
    assert stages["plan"] == stages["final"]
    names = talk.outlet.names()
    expected = ["EagerEnd", "SpeechStopped", "FinalTranscript", "TurnEnd", "TurnIntent", "TurnPlanned", "TurnReply"]
    assert [name for name in names if name in expected] == expected


def test_what_is_still_being_made_at_the_real_end_is_waited_for_and_not_made_twice() -> None:
    async def body(talk: Talk) -> None:
        talk.probably("hello")
        await asyncio.sleep(0.1)
        talk.finally_("hello")
        await talk.done()

    world = World(slow_s={"intent": 0.2, "planner": 0.3})
    stages = converse(world, body).outlet.of(TurnLatency)[0].stages
    assert world.asked == ["intent hello", "planner hello"]
    assert (stages["intent"], stages["plan"]) == (100, 400)


def test_without_a_probable_end_the_same_takes_longer() -> None:
    async def body(talk: Talk) -> None:
        talk.finally_("hello")
        await talk.done()

    world = World(slow_s={"intent": 0.2, "planner": 0.3})
    stages = converse(world, body).outlet.of(TurnLatency)[0].stages
    assert (stages["intent"], stages["plan"]) == (200, 500)
    assert "eager_end" not in stages


def test_nothing_with_an_effect_happens_before_the_real_end() -> None:
    async def body(talk: Talk) -> None:
        talk.probably("delete it")
        await asyncio.sleep(60)
        assert talk.outlet.names() == ["SpeechStarted", "InterimTranscript", "EagerEnd"]
        world = talk.world
        assert (world.turns, world.questions, world.executed, world.syntheses) == ({}, {}, [], [])
        talk.finally_("delete it")
        while not world.questions:
            await asyncio.sleep(0.01)
        world.questions["q1"].set_result(True)
        await talk.done()

    world = slow_world()
    converse(world, body)
    assert world.executed == [("rm", {})]


@pytest.mark.parametrize("after_s", [0.1, 0.3, 0.6])
def test_whoever_goes_on_speaking_has_the_guess_withdrawn(after_s: float) -> None:
    async def body(talk: Talk) -> None:
        talk.probably("delete it")
        await asyncio.sleep(after_s)
        talk.microphone.push(SpeechResumed(500))
        await asyncio.sleep(5)
        talk.finally_("delete it not")
        await talk.done()

    world = slow_world()
    talk = converse(world, body)
    assert world.withdrawn == {0.1: ["intent delete it"], 0.3: ["planner delete it"], 0.6: []}[after_s]
    assert [event.intent.intent for event in talk.outlet.of(TurnIntent)] == ["delete it not"]
    assert [event.plan.goal for event in talk.outlet.of(TurnPlanned)] == ["delete it not"]
    assert world.executed == []
    assert [text for role, text in world.turns.values() if role == "user"] == ["delete it not"]


@pytest.mark.parametrize("final", ["delete it please", "delete", ""])
def test_a_guess_for_other_words_is_not_used(final: str) -> None:
    async def body(talk: Talk) -> None:
        talk.probably("delete it")
        await asyncio.sleep(1)
        talk.finally_(final)
        talk.finally_("hello")
        await talk.done(2 if final else 1)

    world = slow_world()
    talk = converse(world, body)
    assert [event.plan.goal for event in talk.outlet.of(TurnPlanned)] == ([final, "hello"] if final else ["hello"])
    assert len(talk.outlet.of(TurnEnd)) == (2 if final else 1)
    assert world.executed == []


def test_capitals_and_punctuation_are_no_other_words() -> None:
    async def body(talk: Talk) -> None:
        talk.probably("what time is it")
        talk.finally_("What  time is it?")
        await talk.done()

    world = World()
    converse(world, body)
    assert world.asked == ["intent what time is it", "planner what time is it"]
    assert spoken("It's 5 o'clock - now!") == ("it's", "5", "o'clock", "-", "now")
    assert spoken("five") != spoken("nine")


@pytest.mark.parametrize("service", ["intent", "planner", "memory"])
def test_a_failure_of_the_early_calls_is_nobodys_business(service: str) -> None:
    async def body(talk: Talk) -> None:
        talk.world.failing[service] = broken(service)
        talk.probably("hello")
        await asyncio.sleep(1)
        talk.world.failing.clear()
        talk.finally_("hello")
        await talk.done()

    talk = converse(World(), body)
    assert talk.outlet.of(TurnDone)[0].status == "ok"
    assert "Trouble" not in talk.outlet.names()
    assert talk.outlet.of(TurnReply)[0].text.endswith("hello")


def test_a_plan_is_not_made_early_while_it_is_open_how_the_turn_before_ends() -> None:
    async def body(talk: Talk) -> None:
        talk.microphone.say("first")
        await asyncio.sleep(0.1)
        talk.probably("second")
        await asyncio.sleep(0.1)
        assert talk.world.asked == ["intent first", "planner first", "intent second"]
        talk.finally_("second")
        gate.set()
        await talk.done(2)

    gate = asyncio.Event()
    plan = Plan("p", "goal", (Step("s1", "os", "ls", {}, (), "list"),), "x")
    world = World(plans={"first": plan}, gates={"ls": gate})
    converse(world, body)
    assert world.asked[-2:] == ["intent second", "planner second"]
    assert world.conversations[-1] == ["first", "one two three four five goal", "second"]


def test_a_short_answer_to_a_question_comes_at_once_from_the_guess() -> None:
    async def body(talk: Talk) -> None:
        talk.microphone.say("delete it")
        while not talk.world.questions:
            await asyncio.sleep(0.01)
        talk.probably("yes")
        await asyncio.sleep(1)
        assert talk.world.executed == []
        talk.finally_("yes")
        await talk.done()

    world = World(plans={"delete it": DELETION}, verdicts=RISKY, slow_s={"intent": 0.2})
    talk = converse(world, body)
    assert world.executed == [("rm", {})]
    assert world.asked.count("intent yes") == 1
    assert len(talk.outlet.of(TurnDone)) == 1


def test_push_to_talk_has_an_end_and_no_probable_one() -> None:
    async def body(talk: Talk) -> None:
        talk.probably("hello")  # from a recogniser that does not keep to what was agreed
        talk.microphone.push(SpeechResumed(450))
        talk.lane.commit()
        talk.finally_("hello there")
        await talk.done()

    world = World()
    talk = converse(world, body, MicrophoneFormat(endpointing=False))
    assert not {"EagerEnd", "SpeechResumed"} & set(talk.outlet.names())
    assert talk.outlet.of(TurnEnd) == [TurnEnd(400)]
    assert world.asked == ["intent hello there", "planner hello there"]


def test_a_microphone_that_is_closed_withdraws_the_guess() -> None:
    async def body(talk: Talk) -> None:
        talk.probably("hello")
        await asyncio.sleep(0.1)

    world = World(slow_s={"intent": 0.2})
    talk = converse(world, body)
    assert world.withdrawn == ["intent hello"]
    assert talk.outlet.of(TurnDone) == []
