"""An outlet that records what a lane sends to its client."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from streaming.outlet import LaneSetup
from streaming.ports import CallContext, LaneServices

if TYPE_CHECKING:
    from streaming.domain import LaneEvent
    from tests.support.world import World

Event = TypeVar("Event")


@dataclass
class RecordingOutlet:
    events: list[LaneEvent] = field(default_factory=list)
    told_in: list[int] = field(default_factory=list)  # the generation of each event
    frames: list[tuple[int, int, bytes, bool]] = field(default_factory=list)  # generation, pts, payload, last
    given_back: int = 0
    generation: int = 0

    def tell(self, event: LaneEvent) -> None:
        self.events.append(event)
        self.told_in.append(self.generation)

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        self.frames.append((self.generation, pts_ms, frame, last))

    def play_at_once(self, frame: bytes, pts_ms: int) -> bool:
        return False

    def has_room(self, n_bytes: int) -> bool:
        return True

    async def room(self, n_bytes: int) -> None:
        await asyncio.sleep(0)

    def receipt(self) -> None:
        return None

    async def recorded(self) -> bool:
        return True

    async def caught_up(self) -> None:
        await asyncio.sleep(0)

    def taken(self, n_bytes: int) -> None:
        self.given_back += n_bytes

    def interrupt(self) -> None:
        self.generation += 1

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def generations(self, kind: type[object]) -> list[int]:
        return [told_in for event, told_in in zip(self.events, self.told_in, strict=True) if isinstance(event, kind)]

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def frame_for(world: World, outlet: RecordingOutlet) -> LaneSetup:
    lent: Any = world
    provided = LaneServices(world.services(), lent, lent, lent, lent, lent)
    context = CallContext(user_id="u1", roles=("admin",), session_id="s1", request_id="r1")
    clock = asyncio.get_running_loop().time
    return LaneSetup(outlet, provided, context, clock, clock, world.sounding, world.open_questions)
