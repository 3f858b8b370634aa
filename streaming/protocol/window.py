"""Credit: how many payload bytes one side may send before it must wait. After h2's windows, without their overflow arithmetic."""

from __future__ import annotations

from streaming.protocol.errors import LocalProtocolError

MAX_CREDIT_BYTES = 2**31 - 1  # RFC 9113 section 6.9.1; grants saturate here


class SendWindow:
    """The sender's half: spends the credit that the other side grants."""

    __slots__ = ("available",)

    def __init__(self, initial_bytes: int = 0) -> None:
        self.available = initial_bytes

    def grant(self, n_bytes: int) -> None:
        """The other side granted more bytes."""
        self.available = min(MAX_CREDIT_BYTES, self.available + n_bytes)

    def consume(self, n_bytes: int) -> None:
        """Spend credit for bytes sent now. Raises LocalProtocolError if there is too little."""
        if n_bytes > self.available:
            raise LocalProtocolError(f"{n_bytes} bytes on {self.available} bytes of credit")
        self.available -= n_bytes


class ReceiveWindow:
    """The receiver's half: counts what the other side may still send, and returns credit as audio is taken.

    Credit is returned when half the window was taken: often enough never to stall a sender, seldom enough to cost nothing.
    No frame may exceed half the window, or the last bytes could be too few to use and too many to return. `early` (0 to 1): the first
    credit comes so much of that half earlier. Otherwise a thousand microphones that begin together would all be due together.
    """

    __slots__ = ("available", "due_bytes", "repaid_bytes", "size", "taken_bytes")

    def __init__(self, size: int, early: float = 0.0) -> None:
        self.size = size
        self.due_bytes = max(1, round(_half(size) * (1 - early)))  # taken, at which credit is returned
        self.available = size  # what the sender may still send
        self.taken_bytes = 0  # taken, but not yet returned as credit
        self.repaid_bytes = 0  # to be taken once more, but already returned

    @property
    def held_bytes(self) -> int:
        """Received but not yet taken."""
        return self.size + self.repaid_bytes - self.available - self.taken_bytes

    def receive(self, n_bytes: int) -> bool:
        """Count received bytes. False if they were never granted; they are not counted then."""
        if n_bytes > self.available:
            return False
        self.available -= n_bytes
        return True

    def take(self, n_bytes: int) -> int:
        """Count bytes passed on to their consumer. Returns the credit to grant now, 0 if it can wait.

        Raises LocalProtocolError if more is taken than was received.
        """
        if n_bytes > self.size + self.repaid_bytes - self.available - self.taken_bytes:
            raise LocalProtocolError(f"{n_bytes} bytes taken of {self.held_bytes} received")
        if self.repaid_bytes:
            repaid = min(n_bytes, self.repaid_bytes)
            self.repaid_bytes -= repaid
            n_bytes -= repaid
        self.taken_bytes += n_bytes
        if self.taken_bytes < self.due_bytes:
            return 0
        grant, self.taken_bytes, self.due_bytes = self.taken_bytes, 0, max(1, _half(self.size))
        self.available += grant
        return grant

    @property
    def grant_due_bytes(self) -> int:
        """So many more have to be taken before `take` grants anything; at least 1."""
        return max(1, self.due_bytes - self.taken_bytes + self.repaid_bytes)

    def rewind(self, n_bytes: int) -> None:
        """The newest `n_bytes` received will come once more, without costing the sender credit again.

        Credit for bytes received but not yet returned is returned now, or when they are taken; none is returned twice.
        """
        self.available += n_bytes
        self.repaid_bytes = max(0, self.available - self.size)
        self.taken_bytes = max(0, self.size - self.available)


def _half(size: int) -> int:
    return -(-size // 2)
