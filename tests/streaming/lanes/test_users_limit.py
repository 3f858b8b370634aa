"""A user's limit is asked before anything is done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streaming.agent.format import ReplyFormat
from streaming.domain import TaskEnded, TaskNeedsConfirmation, TurnDone, TurnReply
from streaming.lanes.turn import TurnLane
from streaming.ports import Intent, IntentGuess, ServiceError
from tests.streaming.lanes.test_lanes import Exhausted
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import risky

if TYPE_CHECKING:
    from streaming.outlet import LaneSetup
    from tests.support.world import World

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
