"""Messages sent but not acknowledged: kept for a client that resumes, limited in bytes and age."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streaming.protocol.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sent(NamedTuple):
    """A sent message. `at`: monotonic seconds; `size`: bytes on the wire; `serial`: a text's serial number (see SendQueue)."""

    seq: int
    data: str | bytes
    size: int
    at: float
    serial: int = 0


class UnacknowledgedBuffer:
    """The newest unacknowledged messages, with consecutive sequence numbers.

    They are in a dict by number, the oldest first: an idle session's costs 64 bytes, while a deque is never smaller than 760.
    """

    __slots__ = ("_max_age_s", "_max_bytes", "_sent", "bytes", "floor", "last_seq")

    def __init__(self, max_bytes: int, max_age_s: float, last_seq: int = 0) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._sent: dict[int, Sent] = {}  # the numbers after `floor`, up to `last_seq`
        self.bytes = 0
        self.last_seq = last_seq
        self.floor = last_seq  # the highest number that is no longer kept

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent.values())

    def push(self, data: str | bytes, size: int, now: float, serial: int = 0) -> None:
        """Add the message with number `last_seq + 1`."""
        seq = self.last_seq = self.last_seq + 1
        self._sent[seq] = Sent(seq, data, size, now, serial)
        self.bytes += size
        while self.bytes > self._max_bytes and len(self._sent) > 1:  # the newest is kept, however long it is
            self._forget()

    def acknowledge(self, seq: int) -> Sent | None:
        """Everything up to `seq` arrived; returns the newest frame among it, if it was kept.

        Raises LocalProtocolError if `seq` was never sent: check the peer's value first.
        """
        if seq > self.last_seq:
            raise LocalProtocolError(f"{seq} was never sent")
        newest = None
        n_bytes = 0
        for number in range(self.floor + 1, seq + 1):  # many frames of speech at once, so without a call for each
            sent = self._sent.pop(number)
            n_bytes += sent.size
            if type(sent.data) is bytes:
                newest = sent
        self.bytes -= n_bytes
        self.floor = max(self.floor, seq)
        return newest

    def expire(self, now: float) -> None:
        """Drop messages that are too old."""
        while self._sent and self._sent[self.floor + 1].at + self._max_age_s <= now:
            self._forget()

    def since(self, last_seq: int) -> list[Sent] | None:
        """Everything sent after `last_seq`, in order; None if a part is gone or the number was never sent."""
        if not self.floor <= last_seq <= self.last_seq:
            return None
        return [self._sent[seq] for seq in range(last_seq + 1, self.last_seq + 1)]

    @property
    def next_expiry(self) -> float | None:
        """When the oldest message expires."""
        return self._sent[self.floor + 1].at + self._max_age_s if self._sent else None

    def clear(self) -> None:
        """Drop everything."""
        while self._sent:
            self._forget()

    def _forget(self) -> None:
        self.floor += 1
        self.bytes -= self._sent.pop(self.floor).size
