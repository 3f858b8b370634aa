"""Measures how long the stages of a turn take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Stopwatch:
    """When each stage was done, in milliseconds since the user finished."""

    clock: Callable[[], float]
    began_at: float
    stages: dict[str, int] = field(default_factory=dict)

    def mark(self, stage: str) -> None:
        """Mark the stage as done now; only its first mark counts."""
        self.stages.setdefault(stage, self._ms(self.clock()))

    def began_early(self, stage: str, at: float) -> None:
        """Mark the stage as done at an earlier time; it comes first."""
        self.stages = {stage: max(0, self._ms(at)), **self.stages}

    def save(self) -> dict[str, Any]:
        """The stopwatch as JSON, with durations only, because clocks differ between machines."""
        return {"elapsed_ms": self._ms(self.clock()), "stages": self.stages}

    @classmethod
    def restore(cls, saved: dict[str, Any], clock: Callable[[], float]) -> Stopwatch:
        """A stopwatch saved by another replica."""
        return cls(clock, clock() - saved["elapsed_ms"] / 1000, saved["stages"])

    def _ms(self, at: float) -> int:
        return round((at - self.began_at) * 1000)
