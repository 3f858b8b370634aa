"""What a turn has told its client: another replica that goes on with it says nothing twice and leaves nothing open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.domain import TaskEnded, TaskStarted, TurnChecked, TurnDone, TurnIntent, TurnPlanned, TurnReply

if TYPE_CHECKING:
    from streaming.outlet import Outlet

_ONCE = {kind.__name__: kind for kind in (TurnIntent, TurnPlanned, TurnChecked, TurnReply)}


class TurnLedger:
    """An outlet before an outlet: it passes everything on, but for what was told elsewhere already.

    `acted`: has any step begun, so that nobody knows what it has brought about? `running`: steps that began and did not end.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._told: set[str] = set()
        self._told_elsewhere: set[str] = set()
        self.running: list[str] = []
        self.acted = False
        self.over = False

    # --- on another replica ---

    def carry(self) -> dict[str, Any]:
        """As JSON."""
        told = sorted(self._told | self._told_elsewhere)
        return {"told": told, "running": self.running, "acted": self.acted}

    def take_up(self, carried: dict[str, Any]) -> None:
        """Another replica's."""
        self._told_elsewhere = set(carried["told"])
        self.running = carried["running"]
        self.acted = carried["acted"]

    def has_told(self, kind: type[object]) -> bool:
        """Here or there."""
        return kind.__name__ in self._told | self._told_elsewhere

    # --- as Outlet ---

    @property
    def generation(self) -> int:
        """As Outlet."""
        return self._outlet.generation

    def tell(self, event: object) -> None:
        """As Outlet."""
        name = type(event).__name__
        if name in self._told_elsewhere:
            self._told_elsewhere.discard(name)
            self._told.add(name)
            return
        self._note(name, event)
        self._outlet.tell(event)

    def _note(self, name: str, event: object) -> None:
        if name in _ONCE:
            self._told.add(name)
        elif isinstance(event, TaskStarted):
            self.acted = True
            self.running.append(event.step_id or "")
        elif isinstance(event, TaskEnded) and event.step_id in self.running:
            self.running.remove(event.step_id)
        elif isinstance(event, TurnDone):
            self.over = True

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        """As Outlet."""
        self._outlet.play(frame, pts_ms, last=last)

    async def room(self, n_bytes: int) -> None:
        """As Outlet."""
        await self._outlet.room(n_bytes)

    async def caught_up(self) -> None:
        """As Outlet."""
        await self._outlet.caught_up()

    def taken(self, n_bytes: int) -> None:
        """As Outlet."""
        self._outlet.taken(n_bytes)

    def interrupt(self) -> int:
        """As Outlet."""
        return self._outlet.interrupt()
