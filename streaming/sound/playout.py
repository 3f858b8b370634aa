"""How far a client has played an utterance, for pacing and barge-in. Pure: time is an argument, in seconds.

A client's reports (`playback{played_ms}`) are trusted. A client that never reports is assumed to play in real time from the
first frame on, so that a ten-line client is paced too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.ports import Word

LEAD_MS = 3_000  # sent ahead of playout: enough for a bad second of Wi-Fi, and little is wasted on barge-in
# Once a client has the whole lead, this much of it is played before more is sent: several frames then leave in one write, behind one
# timer. The client still holds more than two seconds.
REFILL_MS = 400
REPORT_TRUST_MS = 500  # how long playout is assumed to continue after a report; then it may have stalled
STALLED_PLAYOUT_MS = 5_000  # how much longer than the audio to wait for a client that stopped reporting


class PlayoutCursor:
    """Position of the client's loudspeaker in one utterance."""

    def __init__(self, lead_ms: int = LEAD_MS) -> None:
        self.sent_ms = 0.0
        self.safe_ms = float(lead_ms)  # there is room up to this position, whatever the time
        self._lead_ms = lead_ms
        self._started_at: float | None = None
        self._reported_ms: float | None = None
        self._reported_at = 0.0

    def sent(self, duration_ms: float, now: float) -> None:
        """A frame was sent to the client."""
        if self._started_at is None:
            self._started_at = now
        self.sent_ms += duration_ms

    @property
    def reported(self) -> bool:
        """True if the client reports playback."""
        return self._reported_ms is not None

    def went_on(self, played_ms: float, now: float, *, reported: bool) -> None:
        """Continue an utterance that was begun on another replica and played this far."""
        self._started_at = now - played_ms / 1000
        if reported:
            self._reported_ms, self._reported_at = played_ms, now
            self.safe_ms = self._lead_ms + played_ms

    def report(self, played_ms: float, now: float) -> None:
        """The client reports how much it has played, limited to what was sent and never less than before."""
        self._reported_ms = max(self._reported_ms or 0.0, min(played_ms, self.sent_ms))
        self._reported_at = now
        self.safe_ms = self._lead_ms + self._reported_ms

    def played_ms(self, now: float) -> float:
        """The best estimate of what was heard so far."""
        if self._started_at is None:
            return 0.0
        if self._reported_ms is None:
            return self.by_clock_ms(now)
        since_report_ms = min((now - self._reported_at) * 1000, REPORT_TRUST_MS)
        return min(self.sent_ms, self._reported_ms + since_report_ms)

    def by_clock_ms(self, now: float) -> float:
        """What a client would have played that plays all it gets at once, whatever it reports."""
        return 0.0 if self._started_at is None else min(self.sent_ms, (now - self._started_at) * 1000)

    def known_ms(self, now: float) -> float:
        """Like `played_ms`, but for a client that reports, without the estimate since its last report."""
        return self.played_ms(now) if self._reported_ms is None else self._reported_ms

    def has_room(self, duration_ms: float, now: float) -> bool:
        """True if so much more may be sent now."""
        return self.sent_ms + duration_ms - self._lead_ms <= self._paced_ms(now)

    def wait_s(self, now: float, spare_ms: float = 0.0) -> float:
        """How long to hold back the next frame to stay within the lead, less `spare_ms`; 0: send it now."""
        ahead_ms = self.sent_ms + spare_ms - self._paced_ms(now) - self._lead_ms
        return max(0.0, ahead_ms / 1000)

    def _paced_ms(self, now: float) -> float:
        """Like `played_ms`, but time goes by for a client that stopped reporting when it should have played the whole lead.

        So it gets the rest of the speech, within its credit, and the utterance ends. What it heard is still what it reported.
        """
        played_ms = self.played_ms(now)
        if self._reported_ms is None:
            return played_ms
        silent_ms = (now - self._reported_at) * 1000 - self._lead_ms - STALLED_PLAYOUT_MS
        return max(played_ms, min(self.sent_ms, self._reported_ms + silent_ms))

    def remaining_s(self, now: float) -> float:
        """Time until everything sent has been played."""
        return (self.sent_ms - self.played_ms(now)) / 1000


def heard_text(text: str, words: list[Word], played_ms: float) -> str:
    """The part of a reply that was heard, up to the last word whose middle was played.

    Words have the text as written, in order. Without word times, nothing counts as heard: the share is not guessed.
    """
    position = 0
    for word in words:
        if (word.start_ms + word.end_ms) / 2 > played_ms:
            break
        found = text.find(word.text, position)
        if found >= 0:
            position = found + len(word.text)
    return text[:position]
