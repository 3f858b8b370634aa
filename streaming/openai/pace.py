"""How fast a client may send events. Sound has limits of its own, and does not count here."""

from __future__ import annotations

from streaming.openai.mistakes import MistakeError
from streaming.rate import TokenBucket

EVENTS_PER_S = 100.0
BURST = 1_500.0  # a client that restores a conversation of a thousand items sends them at once
WORK_PRICE = 10.0  # of events that start work or change the whole session
# An append of fewer has less than 10 ms of sound, and counts; others may be as many as there is sound.
SOUND_CHARS = 128
PRICED_CHARS = 4096  # an event counts once more for each
REFUSALS = 200.0  # that are answered before the socket is closed; one is forgiven per second
_WORK = frozenset({"session.update", "response.create", "session.start"})


class FloodError(MistakeError):
    """The client goes on although it was told: close its socket."""


class EventPace:
    """Counts one session's events. Times are on the loop's clock."""

    def __init__(self, append_kind: str, now: float) -> None:
        self._append_kind = append_kind
        self._rate = TokenBucket(EVENTS_PER_S, BURST, now)
        self._patience = TokenBucket(1.0, REFUSALS, now)

    def count(self, kind: str, n_chars: int, arrived_at: float) -> None:
        """Count one event; `kind` is empty if it could not be read. Raises MistakeError, or FloodError in the end."""
        if kind == self._append_kind and n_chars >= SOUND_CHARS:
            return
        price = (WORK_PRICE if kind in _WORK else 1.0) + n_chars // PRICED_CHARS
        if self._rate.take(min(price, BURST), arrived_at):
            return
        refusal = FloodError if not self._patience.take(1.0, arrived_at) else MistakeError
        raise refusal("rate_limit_exceeded", "Too many events.", kind="rate_limit_error")
