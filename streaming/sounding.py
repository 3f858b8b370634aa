"""Tracks whether a session's client plays speech on any channel. Pure: time is an argument, in seconds."""

from __future__ import annotations

ECHO_S = 0.2  # delay until played audio reaches a microphone, through jitter buffer, room and radio link


class Sounding:
    """Utterances report when they start and stop to sound, on the session's listening clock."""

    def __init__(self) -> None:
        self._sounding: set[object] = set()
        self._silent_since = float("-inf")

    def begins(self, utterance: object) -> None:
        """The utterance starts to sound."""
        self._sounding.add(utterance)

    def ends(self, utterance: object, now: float) -> None:
        """The utterance was played or stopped. Further calls have no effect."""
        if utterance in self._sounding:
            self._sounding.discard(utterance)
            self._silent_since = now

    def sounded_at(self, at: float) -> bool:
        """True if a microphone could have heard the gateway at that recent time, or since."""
        return bool(self._sounding) or at < self._silent_since + ECHO_S
