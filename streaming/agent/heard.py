"""An utterance that waits for its turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streaming.agent.answering import Moment

if TYPE_CHECKING:
    from streaming.agent.eager import EarlyPlan
    from streaming.agent.stopwatch import Stopwatch

MAX_WAITING = 8  # utterances during a turn; users who say more are not waiting for answers


@dataclass(frozen=True, slots=True)
class Heard:
    """An utterance to act on, and the time it has waited. `saved`: its turn, which another replica had begun."""

    text: str
    stopwatch: Stopwatch
    guess: EarlyPlan | None = None
    begun: Moment = field(default_factory=Moment)
    saved: dict[str, Any] | None = None

    def drop_guess(self) -> None:
        """Withdraw the guess, which is not needed any more."""
        if self.guess is not None:
            self.guess.withdraw()
