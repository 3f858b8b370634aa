"""What was sent and not acknowledged: kept for a client that comes back, bounded in bytes and age."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from streaming.protocol.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sent(NamedTuple):
    """A message as it went out. `at` is monotonic seconds, `size` its bytes on the wire, `serial` of a text: see the queue."""

    seq: int
    data: str | bytes
    size: int
    at: float
    serial: int = 0


class ReplayBuffer:
    """Consecutive sequence numbers: the newest ones that are not acknowledged, as far as the bounds allow."""

    __slots__ = ("_max_age_s", "_max_bytes", "_sent", "bytes", "floor", "last_seq")

    def __init__(self, max_bytes: int, max_age_s: float, last_seq: int = 0) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._sent: deque[Sent] = deque()
        self.bytes = 0
        self.last_seq = last_seq
        self.floor = last_seq  # the highest number that is not kept any more

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent)

    def push(self, data: str | bytes, size: int, now: float, serial: int = 0) -> None:
        """The message of number `last_seq + 1` goes out."""
        self.last_seq += 1
        self._sent.append(Sent(self.last_seq, data, size, now, serial))
        self.bytes += size
        while self.bytes > self._max_bytes:
            self._forget()

    def acknowledge(self, seq: int) -> None:
        """Everything up to `seq` arrived. Raises LocalProtocolError for what was never sent: check the remote's word first."""
        if seq > self.last_seq:
            raise LocalProtocolError(f"{seq} was never sent")
        while self._sent and self._sent[0].seq <= seq:
            self._forget()

    def expire(self, now: float) -> None:
        """Forget what is older than the bound."""
        while self._sent and self._sent[0].at + self._max_age_s <= now:
            self._forget()

    def since(self, last_seq: int) -> list[Sent] | None:
        """Everything sent after `last_seq`, in order; None when a part is gone, or the number was never sent."""
        if not self.floor <= last_seq <= self.last_seq:
            return None
        return [sent for sent in self._sent if sent.seq > last_seq]

    @property
    def next_expiry(self) -> float | None:
        """When the oldest message is to be forgotten."""
        return self._sent[0].at + self._max_age_s if self._sent else None

    def clear(self) -> None:
        """Forget everything."""
        while self._sent:
            self._forget()

    def _forget(self) -> None:
        sent = self._sent.popleft()
        self.bytes -= sent.size
        self.floor = sent.seq
