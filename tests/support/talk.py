"""A turn channel with an open microphone, on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from streaming.agent.format import ReplyFormat
from streaming.lanes.turn import TurnLane
from streaming.ports import (
    Plan,
    Step,
    Verdict,
)
from streaming.sound.microphone_format import MicrophoneFormat
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.world import ScriptedRecognition, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Talk:
    """An open microphone of a turn channel."""

    def __init__(self, world: World, reply: ReplyFormat | None = None) -> None:
        self.world = world
        self.outlet = RecordingOutlet()
        self.lane = TurnLane(frame_for(world, self.outlet), MicrophoneFormat(), reply or ReplyFormat())

    @property
    def microphone(self) -> ScriptedRecognition:
        return self.world.recognitions[0]

    async def until(self, kind: type[object], count: int = 1) -> None:
        async with asyncio.timeout(300):
            while sum(isinstance(event, kind) for event in self.outlet.events) < count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def talk(world: World, reply: ReplyFormat | None = None) -> AsyncIterator[Talk]:
    talk = Talk(world, reply)
    async with asyncio.TaskGroup() as group:
        group.create_task(talk.lane.run())
        yield talk
        talk.lane.end()


def step(step_id: str, action: str, *depends_on: str, executor: str = "os", **parameters: object) -> Step:
    return Step(step_id, executor, action, dict(parameters), depends_on, action)


def plan(*steps: Step, goal: str = "goal") -> Plan:
    return Plan("p", goal, steps, "x")


def risky(words: str = "Delete it") -> World:
    asked = Step("s1", "os", "rm", {"args": ["-r", "demo"]}, (), words)
    return World(plans={"go": plan(asked)}, verdicts={"rm": Verdict("confirm", "medium", ("it deletes",))})
