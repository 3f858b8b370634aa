"""A user's limit is asked before anything is done, and once for what goes on at another replica."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.agent.format import ReplyFormat
from streaming.agent.tasks import UNANSWERED
from streaming.domain import TaskEnded, TaskNeedsConfirmation, TurnDone, TurnReply
from streaming.lanes.tts import TtsLane
from streaming.lanes.turn import TurnLane
from streaming.ports import Intent, IntentGuess, ServiceError
from streaming.protocol.limits import Limits
from streaming.protocol.messages import TtsParams, TurnParams
from tests.streaming.lanes.test_lanes import Exhausted
from tests.support import virtual_time
from tests.support.house import FakeStore, House
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.roamer import Roamer
from tests.support.talk import risky
from tests.support.world import World

if TYPE_CHECKING:
    from streaming.outlet import LaneSetup
    from streaming.ports import Action, CallContext

SILENT = ReplyFormat(audio=False)
NO_MORE = "no what time is it"


def exhausted(world: World, outlet: RecordingOutlet) -> tuple[LaneSetup, Exhausted]:
    """A lane's setup with a limit that is used up."""
    setup, quota = frame_for(world, outlet), Exhausted()
    return replace(setup, provided=replace(setup.provided, quota=quota)), quota


@pytest.mark.parametrize("allowed", [True, False])
def test_a_no_beyond_the_limit_declines_and_who_asked_says_so_though_the_rest_is_refused(allowed: bool) -> None:
    """Otherwise who asked is silent, because the answer to the rest is the reply."""

    async def body() -> None:
        world, asking, outlet = risky(), RecordingOutlet(), RecordingOutlet()
        world.intents[NO_MORE] = Intent("get_time", 0.9, {}, (IntentGuess("no", 0.9, {"also": "what time is it"}),))
        async with asyncio.TaskGroup() as group:
            turn = group.create_task(TurnLane(frame_for(world, asking), None, SILENT, "go").run())
            while not asking.of(TaskNeedsConfirmation):
                await asyncio.sleep(0.01)
            setup, quota = (frame_for(world, outlet), None) if allowed else exhausted(world, outlet)
            lane = TurnLane(setup, None, SILENT, NO_MORE)
            if quota is None:
                await lane.run()
            else:
                with pytest.raises(ServiceError, match="RATE_LIMITED"):
                    await lane.run()
                assert quota.asked == ["turn"]
            await turn
        assert [ended.status for ended in asking.of(TaskEnded)] == ["declined"]
        assert len(asking.of(TurnReply)) == (0 if allowed else 1)
        assert [done.status for done in outlet.of(TurnDone)] == ["ok"]
        assert bool(outlet.of(TurnReply)[0].text) is allowed

    virtual_time.run(body())


def test_words_beyond_the_limit_that_answer_nothing_are_refused_and_the_question_waits() -> None:
    async def body() -> None:
        world, asking, outlet = risky(), RecordingOutlet(), RecordingOutlet()
        world.intents["what time is it"] = Intent("get_time", 0.9, {}, (IntentGuess("note", 0.9, {"also": "x"}),))
        async with asyncio.TaskGroup() as group:
            turn = group.create_task(TurnLane(frame_for(world, asking), None, SILENT, "go").run())
            while not asking.of(TaskNeedsConfirmation):
                await asyncio.sleep(0.01)
            setup, quota = exhausted(world, outlet)
            with pytest.raises(ServiceError, match="RATE_LIMITED"):
                await TurnLane(setup, None, SILENT, "what time is it").run()
            assert (quota.asked, outlet.events, asking.of(TaskEnded)) == (["turn"], [], [])
            turn.cancel()

    virtual_time.run(body())


@pytest.mark.parametrize("words", ["why?", "say that again", "wait", "both"])
@pytest.mark.parametrize("allowed", [True, False])
def test_words_about_an_open_question_that_do_not_answer_it_count(words: str, allowed: bool) -> None:
    """They may come again and again. A yes or no is free: whoever is over the limit could not say it."""

    async def body() -> None:
        world, asking, outlet, quota = risky(), RecordingOutlet(), RecordingOutlet(), Names()
        world.intents["why?"] = Intent("explain", 0.9)
        world.intents["say that again"] = Intent("repeat", 0.9)
        world.intents["wait"] = Intent("stop", 0.9, {"pause": "yes"})
        world.intents["both"] = Intent("yes", 0.9, {"of": "both", "bare": "yes"})
        async with asyncio.TaskGroup() as group:
            turn = group.create_task(TurnLane(frame_for(world, asking), None, SILENT, "go").run())
            while not asking.of(TaskNeedsConfirmation):
                await asyncio.sleep(0.01)
            if allowed:
                counting: Any = quota
                setup = frame_for(world, outlet)
                setup = replace(setup, provided=replace(setup.provided, quota=counting))
                await TurnLane(setup, None, SILENT, words).run()
                assert len(quota.names) == len(outlet.of(TurnReply)) == 1
            else:
                with pytest.raises(ServiceError, match="RATE_LIMITED"):
                    await TurnLane(exhausted(world, outlet)[0], None, SILENT, words).run()
                assert outlet.events == []
            assert asking.of(TaskEnded) == []
            await TurnLane(exhausted(world, outlet)[0], None, SILENT, "no").run()
            await turn
        (ended,) = asking.of(TaskEnded)
        assert (ended.status, ended.message == UNANSWERED) == ("declined", False)

    virtual_time.run(body())


def test_a_text_to_be_spoken_beyond_the_limit_is_refused_and_nothing_of_it_is_said() -> None:
    async def body() -> None:
        world, outlet = World(), RecordingOutlet()
        setup, quota = exhausted(world, outlet)
        lane = TtsLane(setup, ReplyFormat(), "Shall I do it?")
        with pytest.raises(ServiceError, match="RATE_LIMITED"):
            await lane.run()
        lane.forget()
        assert quota.asked == ["speech"]
        assert (outlet.events, world.syntheses[0].texts, world.syntheses[0].cancelled) == ([], [], True)
        assert not setup.questions.meant(None, hears=False).reply_asks  # a yes is for no question that was not asked

    virtual_time.run(body())


class Names:
    """Counts runs by name. `slow_s`: time for each."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def take_turn(self, _context: CallContext, once: str) -> None:
        self.names.append(once)
        await asyncio.sleep(0.05)

    take_speech = take_turn

    async def take(self, _action: Action, _context: CallContext, once: str = "") -> None:
        self.names.append(once)


@pytest.mark.parametrize("params", [TtsParams(text="one"), TurnParams(text="hello", reply="text")], ids=["tts", "turn"])
@pytest.mark.parametrize("after_s", [0.02, 0.1])
def test_what_moves_before_it_has_begun_is_counted_by_the_same_name(params: Any, after_s: float) -> None:
    async def body() -> None:
        world, store, quota, roamer = World(slow_s={"intent": 0.5}), FakeStore(), Names(), Roamer()
        async with asyncio.TaskGroup() as group:
            houses = [House(world, group, Limits(), store) for _ in range(2)]
            counting: Any = quota
            for house in houses:
                house.sessions._provided = replace(house.sessions._provided, quota=counting)
            await roamer.connect(houses[0])
            while roamer.client.epoch is None:
                await asyncio.sleep(0.01)
            for _ in range(2):
                roamer.open(params)
            await roamer.until("channel.opened", 2)
            await asyncio.sleep(after_s)
            await roamer.crash()
            await roamer.connect(houses[1])
            await roamer.until("channel.closed", 2)
            for house in houses:
                await house.sessions.close()
        assert len(quota.names) >= 2
        assert len({*quota.names}) == 2
        if after_s < 0.05:
            assert len(quota.names) == 4

    virtual_time.run(body())


def test_speech_that_has_begun_goes_on_at_another_replica_though_the_limit_is_used_up_by_then() -> None:
    async def body() -> None:
        world, store, roamer = World(), FakeStore(), Roamer()
        async with asyncio.TaskGroup() as group:
            houses = [House(world, group, Limits(), store) for _ in range(2)]
            exhausted: Any = Exhausted()
            houses[1].sessions._provided = replace(houses[1].sessions._provided, quota=exhausted)
            await roamer.connect(houses[0])
            while roamer.client.epoch is None:
                await asyncio.sleep(0.01)
            roamer.open(TtsParams(text="one two three"))
            roamer.open(TtsParams())
            await roamer.until("tts.started")
            await roamer.crash()
            await roamer.connect(houses[1])
            assert (await roamer.until("channel.closed"))["status"] == "'ok'"
            assert exhausted.asked == []
            for house in houses:
                await house.sessions.close()

    virtual_time.run(body())


def test_a_step_whose_question_moves_with_its_turn_is_counted_by_the_same_name() -> None:
    async def body() -> None:
        world, store, quota, roamer = risky(), FakeStore(), Names(), Roamer()
        async with asyncio.TaskGroup() as group:
            houses = [House(world, group, Limits(), store) for _ in range(2)]
            counting: Any = quota
            for house in houses:
                house.sessions._provided = replace(house.sessions._provided, quota=counting)
            await roamer.connect(houses[0])
            while roamer.client.epoch is None:
                await asyncio.sleep(0.01)
            roamer.open(TurnParams(text="go", reply="text"))
            await roamer.until("task.confirmation_required")
            await roamer.crash()
            await roamer.connect(houses[1])
            await roamer.until("task.confirmation_required", 2)
            for house in houses:
                await house.sessions.close()
        turn, *steps = quota.names
        assert (len(steps), len({turn, *steps}), all(steps)) == (2, 2, True)

    virtual_time.run(body())
