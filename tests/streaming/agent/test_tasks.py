"""What is told of tasks, and to their executors."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.domain import TaskProgressed
from streaming.lanes.execute import ExecuteLane
from streaming.ports import Action, TaskProgress, TaskResult, Verdict
from tests.support import virtual_time
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Talkative:
    """An executor that tells how far it is, with output and without."""

    async def execute(self, *_given: Any) -> AsyncGenerator[TaskProgress | TaskResult, None]:
        yield TaskProgress("half", 50.0)
        yield TaskProgress("", None, "stdout", "a line")
        yield TaskResult("ok", {}, "")


@pytest.mark.parametrize(("shed", "told"), [(False, ["half", "a line"]), (True, ["a line"])])
def test_progress_without_output_is_left_out_under_load(*, shed: bool, told: list[str]) -> None:
    async def body() -> None:
        world, outlet = World(), RecordingOutlet()
        setup = frame_for(world, outlet)
        talkative: Any = Talkative()
        services = replace(setup.provided.services, os=talkative)
        provided = replace(setup.provided, services=services, sheds_progress=lambda: shed)
        await ExecuteLane(replace(setup, provided=provided), Action("os", "ls", {}), None, uuid.uuid4().hex).run()
        assert [event.data or event.message for event in outlet.of(TaskProgressed)] == told

    virtual_time.run(body())


@pytest.mark.parametrize(("verdict", "told_ms"), [("confirm", 7_000), ("allow", 0)])
def test_an_executor_is_told_when_its_task_was_asked_about(verdict: str, told_ms: int) -> None:
    """Without that, what was approved on one page ran on another one that was opened meanwhile."""

    async def body() -> None:
        world, outlet = World(verdicts={"click": Verdict(verdict, "medium", ())}), RecordingOutlet()
        lane = ExecuteLane(frame_for(world, outlet), Action("browser", "click", {}), None, uuid.uuid4().hex)
        async with asyncio.TaskGroup() as group:
            group.create_task(lane.run(), name="lane")
            await asyncio.sleep(7)
            for question in world.questions.values():
                question.set_result(True)
        assert world.asked_ms_ago == [told_ms]

    virtual_time.run(body())
