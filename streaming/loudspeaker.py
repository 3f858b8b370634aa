"""What a session's client plays, on whichever channels: is the gateway itself to be heard? Pure: time is an argument, in seconds."""

from __future__ import annotations

ECHO_S = (
    0.2  # what was played comes back into a microphone so much later: through a jitter buffer, a room, a radio link
)


class Loudspeaker:
    """Utterances report when they begin to sound and when they fall silent, on the session's listening clock."""

    def __init__(self) -> None:
        self._sounding: set[object] = set()
        self._silent_since = float("-inf")

    def begins(self, utterance: object) -> None:
        """It sounds."""
        self._sounding.add(utterance)

    def ends(self, utterance: object, now: float) -> None:
        """It was played, or cut; more than once does no harm."""
        if utterance in self._sounding:
            self._sounding.discard(utterance)
            self._silent_since = now

    def sounded_at(self, at: float) -> bool:
        """Could a microphone have heard the gateway at that time, which is not long ago, or since?"""
        return bool(self._sounding) or at < self._silent_since + ECHO_S
