"""Records what a turn has told its client, so that a replica that continues it repeats nothing and leaves nothing open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.domain import TaskEnded, TaskStarted, TurnChecked, TurnDone, TurnIntent, TurnPlanned, TurnReply

if TYPE_CHECKING:
    from streaming.domain import LaneEvent

_ONCE = (TurnIntent, TurnPlanned, TurnChecked, TurnReply)  # told at most once in a turn


class TurnLedger:
    """`admit` sees every event of the turn and its steps before it is told.

    `acted`: a step has started, so its effects are unknown if the turn is cut off here. `running`: ids of steps that have started
    but not ended. `over`: the turn is done.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._told_elsewhere: set[str] = set()
        self.running: list[str] = []
        self.acted = False
        self.over = False

    def admit(self, event: LaneEvent) -> bool:
        """Record the event. False: another replica has already told it, so it must not be repeated."""
        name = type(event).__name__
        if name in self._told_elsewhere:
            self._told_elsewhere.discard(name)
            self._told.add(name)
            return False
        if isinstance(event, _ONCE):
            self._told.add(name)
        elif isinstance(event, TaskStarted):
            self.acted = True
            self.running.append(event.step_id or "")
        elif isinstance(event, TaskEnded) and event.step_id in self.running:
            self.running.remove(event.step_id)
        elif isinstance(event, TurnDone):
            self.over = True
        return True

    def has_told(self, kind: type[LaneEvent]) -> bool:
        """True if an event of this kind was told, here or by another replica."""
        return kind.__name__ in self._told | self._told_elsewhere

    # --- moving to another replica ---

    def save(self) -> dict[str, Any]:
        """The ledger as JSON."""
        told = sorted(self._told | self._told_elsewhere)
        return {"told": told, "running": self.running, "acted": self.acted}

    def restore(self, saved: dict[str, Any]) -> None:
        """Restore a ledger saved by another replica."""
        self._told_elsewhere = set(saved["told"])
        self.running = saved["running"]
        self.acted = saved["acted"]
