"""How fast a client may send events. Sound has limits of its own, and does not count here."""

from __future__ import annotations

from streaming.openai.mistakes import MistakeError
from streaming.rate import TokenBucket

EVENTS_PER_S = 100.0
BURST = 1_500.0  # a client that restores a conversation of a thousand items sends them at once
WORK_PRICE = 10.0  # of events that start work or change the whole session
# An append of fewer has less than 10 ms of sound, and counts; others may be as many as there is sound.
SOUND_CHARS = 128
SOUND_COMMAS = 8  # base64 has none
PRICED_CHARS = 4096  # an event counts once more for each
PRICED_COMMAS = 256  # and for each: a reader spends more on values than on plain text
REFUSALS = 200.0  # that are answered before the socket is closed; one is forgiven per second
DEAREST_REFUSAL = REFUSALS / 4  # long events count more there too
_WORK = frozenset({"session.update", "response.create", "session.start"})


class FloodError(MistakeError):
    """The client goes on although it was told: close its socket."""


class EventPace:
    """Counts one session's events. Times are on the loop's clock."""

    def __init__(self, append_kind: str, now: float) -> None:
        self._append_kind = append_kind
        self._rate = TokenBucket(EVENTS_PER_S, BURST, now)
        self._patience = TokenBucket(1.0, REFUSALS, now)

    def count(self, kind: str, n_chars: int, n_commas: int, arrived_at: float) -> None:
        """Count one event; `kind` is empty if it was not read, or its sound not taken. Raises MistakeError, or FloodError in the end."""
        if kind == self._append_kind and n_chars >= SOUND_CHARS and n_commas <= SOUND_COMMAS:
            return
        units = n_chars // PRICED_CHARS + n_commas // PRICED_COMMAS
        price = (WORK_PRICE if kind in _WORK else 1.0) + units
        if self._rate.take(min(price, BURST), arrived_at):
            return
        patient = self._patience.take(min(1.0 + units, DEAREST_REFUSAL), arrived_at)
        refusal = MistakeError if patient else FloodError
        raise refusal("rate_limit_exceeded", "Too many events.", kind="rate_limit_error")
