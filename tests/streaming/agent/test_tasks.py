"""Progress of tasks, normally and under load."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.domain import TaskProgressed
from streaming.lanes.execute import ExecuteLane
from streaming.ports import Action, TaskProgress, TaskResult
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
