"""The client's record of received messages: sequence numbers without gaps, and when to acknowledge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.protocol.close_codes import CloseCode
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.messages import Ack

if TYPE_CHECKING:
    from streaming.protocol.client_outbox import ClientOutbox
    from streaming.protocol.limits import ClientLimits


class Acknowledger:
    """Received messages. `due_at`: latest time of the next `ack`, in monotonic seconds."""

    __slots__ = ("_bytes", "_count", "_limits", "due_at", "last_seq")

    def __init__(self, limits: ClientLimits) -> None:
        self._limits = limits
        self.start()

    def start(self) -> None:
        """Start a new epoch."""
        self.last_seq = 0
        self.settle()

    def settle(self) -> None:
        """Forget pending acknowledgements: a resume acknowledges by itself."""
        self._count = self._bytes = 0
        self.due_at: float | None = None

    def received(self, seq: int, size: int, now: float, out: ClientOutbox) -> bool:
        """Count a numbered message. False if it is a repetition. Raises RemoteProtocolError for a gap."""
        if seq <= self.last_seq:
            return False
        if seq != self.last_seq + 1:
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, f"message {seq} came after {self.last_seq}")
        self.last_seq = seq
        self._count += 1
        self._bytes += size
        if self._count >= self._limits.acknowledge_every or self._bytes >= self._limits.acknowledge_bytes:
            self._acknowledge(out)
        elif self.due_at is None:
            self.due_at = now + self._limits.acknowledge_s
        return True

    def handle_timeout(self, now: float, out: ClientOutbox) -> None:
        """Acknowledge if it is due."""
        if self.due_at is not None and now >= self.due_at:
            self._acknowledge(out)

    def _acknowledge(self, out: ClientOutbox) -> None:
        out.put_for_socket(Ack(seq=self.last_seq))
        self.settle()
