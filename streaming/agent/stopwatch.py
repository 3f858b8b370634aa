"""How long the stages of a turn took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Stopwatch:
    """When each stage was done, in milliseconds since the user had finished."""

    clock: Callable[[], float]
    began_at: float
    stages: dict[str, int] = field(default_factory=dict)

    def mark(self, stage: str) -> None:
        """The stage is done now; the first mark of a stage counts."""
        self.stages.setdefault(stage, self._ms(self.clock()))

    def began_early(self, stage: str, at: float) -> None:
        """The stage was done at that time already: it comes first."""
        self.stages = {stage: max(0, self._ms(at)), **self.stages}

    def save(self) -> dict[str, Any]:
        """As JSON: clocks differ between machines."""
        return {"elapsed_ms": self._ms(self.clock()), "stages": self.stages}

    @classmethod
    def restore(cls, saved: dict[str, Any], clock: Callable[[], float]) -> Stopwatch:
        """Another replica's."""
        return cls(clock, clock() - saved["elapsed_ms"] / 1000, saved["stages"])

    def _ms(self, at: float) -> int:
        return round((at - self.began_at) * 1000)
