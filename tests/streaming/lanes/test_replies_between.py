"""A yes is about what the agent has said last: not about a question that another reply came after."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from streaming.agent.brief import NOT_UNDERSTOOD
from streaming.agent.format import ReplyFormat
from streaming.domain import SpeechBegins, SpeechEnds, TaskNeedsConfirmation, TurnDone, TurnReply
from streaming.lanes.execute import ExecuteLane
from streaming.lanes.tts import TtsLane
from streaming.lanes.turn import TurnLane
from streaming.open_questions import OpenQuestions
from streaming.outlet import SpeechPosition
from streaming.ports import Action, Intent, IntentGuess, Plan, ReplyWords, Step, Verdict
from streaming.sounding import Sounding
from tests.support import virtual_time
from tests.support.mind import Mind, Said, mkdir
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import plan, talk
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from streaming.ports import CallContext, ConversationTurn, Outcome

SILENT = ReplyFormat(audio=False)
ASKED_BACK = "A question is still open. Shall I create the folder one?"
INSTEAD = (IntentGuess("no", 0.9, {"instead": "two"}),)


class Replying(World):
    """Its planner asks whether to remember "I prefer tea", and takes a yes for that."""

    async def plan(
        self,
        text: str,
        intent: IntentGuess | None,
        conversation: Sequence[ConversationTurn],
        context: CallContext,
        *,
        prefer_model: bool = False,
    ) -> Plan:
        planned = await super().plan(text, intent, conversation, context, prefer_model=prefer_model)
        told = [said for role, said in self.turns.values() if role == "assistant"]
        offered = text == "yes" and bool(told) and told[-1] == "Shall I remember that?"
        return Plan("p", "Remembered.", (), "remember") if offered else planned

    async def compose(self, plan: Plan, outcomes: Sequence[Outcome], time_zone: str, context: CallContext) -> str:
        await super().compose(plan, outcomes, time_zone, context)
        replies = {"tea": "Shall I remember that?", "time": "It is six.", "more": "What should I search for?"}
        return replies.get(plan.intent, plan.goal)


def world_of() -> World:
    steps = {
        name: Step("s1", "os", "mkdir", {"args": [name]}, (), f"Create the folder {name}") for name in ("one", "two")
    }
    world = Replying(plans={"go": plan(steps["one"]), "no, two": plan(steps["two"])})
    world.verdicts["mkdir"] = Verdict("confirm", "medium", ())
    world.intents["why"] = Intent("explain", 0.9)
    world.intents["no, two"] = Intent("unknown", 0.1, {}, INSTEAD)
    return world


def made(world: World) -> list[str]:
    return [name for _, parameters in world.executed for name in parameters["args"]]


async def until_asked(outlet: RecordingOutlet, count: int = 1) -> None:
    while len(outlet.of(TaskNeedsConfirmation)) < count:
        await asyncio.sleep(0.01)


async def said(world: World, text: str, reply: ReplyFormat = SILENT, *, spoken: bool = False) -> str:
    """The reply to words given on a channel of their own."""
    outlet = RecordingOutlet()
    await TurnLane(frame_for(world, outlet), None, reply, text, spoken=spoken).run()
    await asyncio.sleep(1)
    return "".join(reply.text for reply in outlet.of(TurnReply))


async def asks(world: World, how: str, group: asyncio.TaskGroup) -> asyncio.Task[None]:
    """A channel that asks whether to create the folder one."""
    outlet = RecordingOutlet()
    frame = frame_for(world, outlet)
    if how == "executes":
        lane: ExecuteLane | TurnLane = ExecuteLane(frame, Action("os", "mkdir", {"args": ["one"]}), None)
    else:
        lane = TurnLane(frame, None, ReplyFormat() if how == "speaks" else SILENT, "go")
    task = group.create_task(lane.run())
    await until_asked(outlet)
    await asyncio.sleep(4)
    return task


@pytest.mark.parametrize("how", ["writes", "speaks", "executes"])
@pytest.mark.parametrize("between", ["tea", "time", "more"])
def test_a_typed_yes_after_another_reply_is_about_that(how: str, between: str) -> None:
    async def body() -> None:
        world = world_of()
        async with asyncio.TaskGroup() as group:
            asking = await asks(world, how, group)
            await said(world, between)
            answered = await said(world, "yes")
            assert answered == ("Remembered." if between == "tea" else ASKED_BACK)
            assert made(world) == []
            if between == "tea":
                assert await said(world, "yes") == ASKED_BACK, "what was remembered is the last that was said"
            await said(world, "yes")
            await asking
        assert made(world) == ["one"]

    virtual_time.run(body())


@pytest.mark.parametrize("between", ["tea", "time"])
def test_a_spoken_yes_after_another_reply_is_about_that(between: str) -> None:
    """As in OpenAI's dialect, where each utterance is a channel of its own."""

    async def body() -> None:
        world = world_of()
        async with asyncio.TaskGroup() as group:
            asking = await asks(world, "speaks", group)
            await said(world, between, ReplyFormat(), spoken=True)
            answered = await said(world, "yes", ReplyFormat(), spoken=True)
            assert answered == ("Remembered." if between == "tea" else ASKED_BACK)
            assert made(world) == []
            if between == "tea":
                assert await said(world, "yes", ReplyFormat(), spoken=True) == ASKED_BACK
            await said(world, "yes", ReplyFormat(), spoken=True)
            await asking
        assert made(world) == ["one"]

    virtual_time.run(body())


def test_a_yes_to_a_microphone_with_written_replies_is_about_the_last_reply() -> None:
    async def body() -> None:
        world = world_of()
        async with talk(world, SILENT) as it:
            it.microphone.say("go")
            await it.until(TaskNeedsConfirmation)
            for number, words in enumerate(("tea", "yes", "yes"), 1):
                it.microphone.say(words)
                await it.until(TurnDone, number)
            told = [reply.text for reply in it.outlet.of(TurnReply)]
            assert (told, made(world)) == (["Shall I remember that?", "Remembered.", ASKED_BACK], [])
            it.microphone.say("yes")
            await it.until(TurnDone, 4)
        assert made(world) == ["one"]

    virtual_time.run(body())


def test_a_microphone_that_repeats_its_question_takes_the_yes_for_it() -> None:
    async def body() -> None:
        world = world_of()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(3)
            it.microphone.say("tea")
            await it.until(SpeechEnds, 3)
            await asyncio.sleep(3)
            it.microphone.say("yes")
            await it.until(TurnDone, 2)
        assert made(world) == ["one"]

    virtual_time.run(body())


def test_what_a_tts_channel_says_is_a_reply() -> None:
    async def body() -> None:
        world = world_of()
        async with asyncio.TaskGroup() as group:
            await asks(world, "speaks", group)
            await TtsLane(frame_for(world, RecordingOutlet()), ReplyFormat(), "Are you still there?").run()
            await asyncio.sleep(1)
            assert await said(world, "yes", ReplyFormat(), spoken=True) == ASKED_BACK
            assert made(world) == []
            await said(world, "no")
        assert made(world) == []

    virtual_time.run(body())


def test_all_right_after_wait_is_a_reply() -> None:
    async def body() -> None:
        world = world_of()
        world.intents["wait"] = Intent("stop", 0.9, {"pause": "yes"})
        async with asyncio.TaskGroup() as group:
            await asks(world, "writes", group)
            assert await said(world, "wait") == "All right."
            assert await said(world, "yes") == ASKED_BACK
            await said(world, "no")
        assert made(world) == []

    virtual_time.run(body())


def test_a_no_after_another_reply_declines_the_question() -> None:
    async def body() -> None:
        world = world_of()
        async with asyncio.TaskGroup() as group:
            asking = await asks(world, "writes", group)
            await said(world, "tea")
            await said(world, "no")
            await asking
        assert made(world) == []

    virtual_time.run(body())


@pytest.mark.parametrize("on_microphone", [True, False])
def test_what_was_declined_for_something_else_is_not_told(on_microphone: bool) -> None:
    """The user would hear "I will not do it" of the new question."""

    async def body() -> None:
        world, outlet = world_of(), RecordingOutlet()
        async with talk(world) as it, asyncio.TaskGroup() as group:
            if on_microphone:
                outlet = it.outlet
                it.microphone.say("go")
            else:
                group.create_task(TurnLane(frame_for(world, outlet), None, ReplyFormat(), "go").run())
            await until_asked(outlet)
            await asyncio.sleep(4)
            it.microphone.say("no, two")
            await until_asked(it.outlet, 1 + on_microphone)
            await asyncio.sleep(4)
            assert (it.outlet.of(TurnReply), outlet.of(TurnReply)) == ([], [])
            assert len(outlet.of(TurnDone)) == 1
            it.microphone.say("yes")
            await it.until(TurnReply)
        assert made(world) == ["two"]

    virtual_time.run(body())


@pytest.mark.parametrize("spoken", [True, False])
@pytest.mark.parametrize("ended", [True, False])
def test_a_no_right_after_the_yes_is_told_that_it_is_done(spoken: bool, ended: bool) -> None:
    """A mere "All right." would sound as if it had been stopped."""

    async def body() -> None:
        world, reply = world_of(), ReplyFormat(audio=spoken)
        world.gates["mkdir"] = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            asking = await asks(world, "executes", group)
            await said(world, "why", reply, spoken=spoken)  # now who hears was asked, too
            await said(world, "yes", reply, spoken=spoken)
            if ended:
                world.gates["mkdir"].set()
                await asking
            assert await said(world, "no", reply, spoken=spoken) == (
                "It is done already." if ended else "It has begun already."
            )
            world.gates["mkdir"].set()
            await asking
            await said(world, "time", reply)
            assert await said(world, "no", reply, spoken=spoken) == "no", "it is about the time"

    virtual_time.run(body())


@asynccontextmanager
async def asked_back_aloud(
    world: World, words: str = "yes", how: str = "speaks"
) -> AsyncIterator[tuple[TurnLane, RecordingOutlet]]:
    """A channel that says why a yes approves nothing."""
    async with asyncio.TaskGroup() as group:
        asking = await asks(world, how, group)
        await said(world, "time", ReplyFormat(), spoken=True)
        outlet = RecordingOutlet()
        lane = TurnLane(frame_for(world, outlet), None, ReplyFormat(), words, spoken=True)
        running = group.create_task(lane.run())
        while not outlet.of(SpeechBegins):
            await asyncio.sleep(0.01)
        yield lane, outlet
        running.cancel()
        asking.cancel()


def test_a_spoken_reply_about_a_question_that_is_cancelled_says_so() -> None:
    async def body() -> None:
        async with asked_back_aloud(world_of()) as (_lane, outlet):
            pass
        assert [done.status for done in outlet.of(TurnDone)] == ["cancelled"]

    virtual_time.run(body())


@pytest.mark.parametrize("how", ["interrupted", "played"])
def test_a_spoken_reply_about_a_question_ends_as_any_other(how: str) -> None:
    async def body() -> None:
        async with asked_back_aloud(world_of()) as (lane, outlet):
            if how == "interrupted":
                lane.interrupt()
            else:
                await asyncio.sleep(0.2)  # what there is of it was sent
                lane.playback(60_000)
            await asyncio.sleep(0.1)
            assert [done.status for done in outlet.of(TurnDone)] == ["interrupted" if how == "interrupted" else "ok"]

    virtual_time.run(body())


def test_a_spoken_reply_about_a_question_goes_on_at_another_replica() -> None:
    async def body() -> None:
        world = world_of()
        async with asked_back_aloud(world) as (lane, _outlet):
            saved = lane.save()
        moved = RecordingOutlet()
        elsewhere = TurnLane(frame_for(world, moved), None, ReplyFormat(), "yes", spoken=True)
        elsewhere.restore(saved, SpeechPosition())
        await elsewhere.run()
        assert moved.of(TurnReply) == []
        assert [done.turn_id for done in moved.of(TurnDone)] == [saved["turn"]["turn_id"]]

    virtual_time.run(body())


@pytest.mark.parametrize("words", ["yes", "why", "mumble"])
def test_a_yes_is_for_the_question_that_was_put_in_words_across_a_move(words: str) -> None:
    """The channel that asks it asks anew at the other replica, under another id, and only in writing."""

    async def body() -> None:
        world = world_of()
        world.plans["mumble"] = Plan("p", "", (), NOT_UNDERSTOOD)
        async with asked_back_aloud(world, words, "writes") as (lane, _outlet):
            saved = lane.save()
        world.open_questions, world.sounding = OpenQuestions(), Sounding()
        elsewhere = TurnLane(frame_for(world, RecordingOutlet()), None, ReplyFormat(), words, spoken=True)
        elsewhere.restore(saved, SpeechPosition())
        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(elsewhere.run())
            await asyncio.sleep(0.1)
            asking = await asks(world, "writes", group)
            await speaking
            assert await said(world, "yes", ReplyFormat(), spoken=True) == "All right."
            await asking
        assert made(world) == ["one"]

    virtual_time.run(body())


@pytest.mark.parametrize("ended", [True, False])
def test_a_no_right_after_the_yes_stops_what_is_not_done(ended: bool) -> None:
    async def body() -> None:
        world = world_of()
        world.gates["mkdir"] = asyncio.Event()
        async with talk(world) as it:
            it.microphone.say("go")
            await it.until(SpeechEnds)
            await asyncio.sleep(3)
            it.microphone.say("yes")
            await asyncio.sleep(0.4)
            if ended:
                world.gates["mkdir"].set()
                await it.until(TurnReply)
            it.microphone.say("no")
            await it.until(TurnDone, 1 + ended)
            assert [done.status for done in it.outlet.of(TurnDone)] == (
                ["interrupted", "ok"] if ended else ["cancelled"]
            )
            if ended:
                assert it.outlet.of(TurnReply)[-1].text == "It is done already."
            else:
                assert (world.stopped, it.outlet.of(TurnReply)) == (["mkdir"], [])

    virtual_time.run(body())


@pytest.mark.parametrize("audio", [True, False])
def test_a_yes_to_the_question_of_a_language_model_is_for_that(audio: bool) -> None:
    async def body() -> None:
        offer: list[Said] = [ReplyWords("Nice. "), ReplyWords("Shall I paint it red?", last=True)]
        world = Mind(
            rounds=[offer, [ReplyWords("It is red.", last=True)]], verdicts={"mkdir": Verdict("confirm", "medium", ())}
        )
        reply = ReplyFormat(audio=audio)
        async with asyncio.TaskGroup() as group:
            await asks(world, "executes", group)
            if audio:
                world.intents["why"] = Intent("explain", 0.9)
                await said(world, "why", reply, spoken=True)
            await said(world, "paint", reply, spoken=audio)
            assert await said(world, "yes", reply, spoken=audio) == "It is red."
            assert await said(world, "yes", reply, spoken=audio) == ASKED_BACK
            assert made(world) == []
            await said(world, "yes", reply, spoken=audio)
        assert made(world) == ["one"]

    virtual_time.run(body())


def test_a_language_model_says_nothing_of_what_was_declined_for_something_else() -> None:
    async def body() -> None:
        world, outlet = Mind(rounds=[[mkdir("one")], [ReplyWords("New.", last=True)]]), RecordingOutlet()
        world.verdicts["mkdir"] = Verdict("confirm", "medium", ())
        world.intents["no, two"] = Intent("unknown", 0.1, {}, INSTEAD)
        async with asyncio.TaskGroup() as group:
            group.create_task(TurnLane(frame_for(world, outlet), None, SILENT, "go").run())
            await until_asked(outlet)
            await asyncio.sleep(1)
            assert await said(world, "no, two") == "New."
        assert (outlet.of(TurnReply), len(world.told), made(world)) == ([], 2, [])

    virtual_time.run(body())


@pytest.mark.parametrize("audio", [True, False])
def test_a_no_to_what_a_language_model_has_said_of_the_act_is_for_that(audio: bool) -> None:
    async def body() -> None:
        offer, then = ReplyWords("It is made. Shall I paint it?", last=True), ReplyWords("Then not.", last=True)
        world, outlet = Mind(rounds=[[mkdir("one")], [offer], [then]]), RecordingOutlet()
        world.verdicts["mkdir"] = Verdict("confirm", "medium", ())
        lane = TurnLane(frame_for(world, outlet), None, ReplyFormat(audio=audio), "go")
        async with asyncio.TaskGroup() as group:
            group.create_task(lane.run())
            await until_asked(outlet)
            await asyncio.sleep(4)
            await said(world, "yes")
        assert (made(world), outlet.of(TurnReply)[-1].text) == (["one"], offer.text)
        assert await said(world, "no") == then.text

    virtual_time.run(body())


def test_a_no_to_what_the_client_has_said_of_the_act_is_for_that() -> None:
    async def body() -> None:
        world = world_of()
        async with asyncio.TaskGroup() as group:
            await asks(world, "executes", group)
            await said(world, "yes")
        assert made(world) == ["one"]
        await TtsLane(frame_for(world, RecordingOutlet()), ReplyFormat(), "It is made. Shall I paint it?").run()
        assert await said(world, "no") == "no"

    virtual_time.run(body())
