"""Credit: how many payload bytes one side may send before it must wait. After h2's windows, without its arithmetic of overflow."""

from __future__ import annotations

from streaming.protocol.errors import LocalProtocolError

MAX_CREDIT_BYTES = 2**31 - 1  # RFC 9113 section 6.9.1; more is no limit any more, so grants saturate here


class SendWindow:
    """The sender's half: spends what the other side grants."""

    __slots__ = ("available",)

    def __init__(self, initial_bytes: int = 0) -> None:
        self.available = initial_bytes

    def grant(self, n_bytes: int) -> None:
        """The other side allows so many more."""
        self.available = min(MAX_CREDIT_BYTES, self.available + n_bytes)

    def consume(self, n_bytes: int) -> None:
        """So many leave now. Raises LocalProtocolError beyond the credit."""
        if n_bytes > self.available:
            raise LocalProtocolError(f"{n_bytes} bytes on {self.available} bytes of credit")
        self.available -= n_bytes


class ReceiveWindow:
    """The receiver's half: counts what the other side may still send, and gives it back as it is taken.

    Credit is given back when half the window was taken: often enough never to stall a sender, seldom enough to cost nothing.
    No frame may be larger than half the window, else the last bytes could be too few to use and too many to give back.
    """

    __slots__ = ("available", "repaid_bytes", "size", "taken_bytes")

    def __init__(self, size: int) -> None:
        self.size = size
        self.available = size  # the sender may still send so much
        self.taken_bytes = 0  # taken, and not given back yet
        self.repaid_bytes = 0  # to be taken once more, and given back already

    @property
    def held_bytes(self) -> int:
        """Received and not taken yet."""
        return self.size + self.repaid_bytes - self.available - self.taken_bytes

    def receive(self, n_bytes: int) -> bool:
        """So many arrived; False when they were never granted (they are not counted then)."""
        if n_bytes > self.available:
            return False
        self.available -= n_bytes
        return True

    def take(self, n_bytes: int) -> int:
        """So many went on to their consumer. Returns the credit to grant now, 0 while that can wait.

        Raises LocalProtocolError when more is taken than arrived.
        """
        if n_bytes > self.size + self.repaid_bytes - self.available - self.taken_bytes:
            raise LocalProtocolError(f"{n_bytes} bytes taken of {self.held_bytes} received")
        if self.repaid_bytes:
            repaid = min(n_bytes, self.repaid_bytes)
            self.repaid_bytes -= repaid
            n_bytes -= repaid
        self.taken_bytes += n_bytes
        if self.taken_bytes * 2 < self.size or self.taken_bytes == 0:
            return 0
        grant, self.taken_bytes = self.taken_bytes, 0
        self.available += grant
        return grant

    def rewind(self, n_bytes: int) -> None:
        """The newest `n_bytes` that arrived come once more, without the sender spending credit on them again.

        What was received and not given back is given back now, or as they are taken; nothing is given back twice.
        """
        self.available += n_bytes
        self.repaid_bytes = max(0, self.available - self.size)
        self.taken_bytes = max(0, self.size - self.available)
