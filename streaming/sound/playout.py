"""How far a client has played an utterance: what pacing and barge-in go by. Pure: time is an argument, in seconds.

A client that reports (`playback{played_ms}`) is believed. One that never does is taken to play in real time from the
first frame on, so that a ten-line client is paced too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.ports import Word

LEAD_MS = 3_000  # sent ahead of what was played: rides out a bad second of Wi-Fi, and little is thrown away on barge-in
REPORT_TRUST_MS = 500  # playout is taken to go on for so long behind a report; then it may well have stalled


class PlayoutCursor:
    """One utterance's way through the client's loudspeaker."""

    def __init__(self, lead_ms: int = LEAD_MS) -> None:
        self.sent_ms = 0.0
        self._lead_ms = lead_ms
        self._started_at: float | None = None
        self._reported_ms: float | None = None
        self._reported_at = 0.0

    def sent(self, duration_ms: float, now: float) -> None:
        """A frame left for the client."""
        if self._started_at is None:
            self._started_at = now
        self.sent_ms += duration_ms

    @property
    def reported(self) -> bool:
        """Does the client report?"""
        return self._reported_ms is not None

    def went_on(self, played_ms: float, now: float, *, reported: bool) -> None:
        """The utterance was begun elsewhere, and had been played so far."""
        self._started_at = now - played_ms / 1000
        if reported:
            self._reported_ms, self._reported_at = played_ms, now

    def report(self, played_ms: float, now: float) -> None:
        """The client says how much it has played; it can't have played what was not sent, nor unplay anything."""
        self._reported_ms = max(self._reported_ms or 0.0, min(played_ms, self.sent_ms))
        self._reported_at = now

    def played_ms(self, now: float) -> float:
        """The best knowledge of what was heard so far."""
        if self._started_at is None:
            return 0.0
        if self._reported_ms is None:
            return min(self.sent_ms, (now - self._started_at) * 1000)
        since_report_ms = min((now - self._reported_at) * 1000, REPORT_TRUST_MS)
        return min(self.sent_ms, self._reported_ms + since_report_ms)

    def wait_s(self, now: float) -> float:
        """How long to hold the next frame back so as not to run ahead more than the lead; 0: send it."""
        ahead_ms = self.sent_ms - self.played_ms(now) - self._lead_ms
        return max(0.0, ahead_ms / 1000)

    def remaining_s(self, now: float) -> float:
        """How long until everything sent has been played."""
        return (self.sent_ms - self.played_ms(now)) / 1000


def heard_text(text: str, words: list[Word], played_ms: float) -> str:
    """The part of a reply that was heard: up to the end of the last word whose middle was played.

    Words carry the text as written, in order; without word times the share of the text is not guessed: nothing counts.
    """
    position = 0
    for word in words:
        if (word.start_ms + word.end_ms) / 2 > played_ms:
            break
        found = text.find(word.text, position)
        if found >= 0:
            position = found + len(word.text)
    return text[:position]
