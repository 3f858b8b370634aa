"""How fast a telephone call may send messages. Twilio sends 50 of sound a second, a mark for each 200 ms of ours, and keys."""

from __future__ import annotations

from streaming.rate import TokenBucket

MESSAGES_PER_S = 100.0
BURST = 3_000.0  # after a network pause, Twilio sends what it kept: this is most of a minute
KEY_PRICE = 10.0  # a key interrupts the reply, and may begin a turn; nobody presses ten a second
PRICED_CHARS = 512  # a message counts once more for each; 20 ms of sound have some 350 with the names around it


class MessagePace:
    """Counts one socket's messages. Times are on the loop's clock."""

    def __init__(self, now: float) -> None:
        self._rate = TokenBucket(MESSAGES_PER_S, BURST, now)

    def takes(self, message: str | bytes, arrived_at: float) -> bool:
        """Count one message. False if there are too many: end the socket, because the protocol has no errors."""
        is_key = isinstance(message, str) and '"dtmf"' in message
        return self._rate.take((KEY_PRICE if is_key else 1.0) + len(message) // PRICED_CHARS, arrived_at)
