"""Whether the client knows where it can resume: it confirms by answering a ping behind the message that says so."""

from __future__ import annotations

from streaming.flag import Flag
from streaming.protocol.messages import ServerPing

GREETING = '{"type":"session.re'  # prefix of session.ready and session.resumed, which come first


class ResumeNotices:
    """`known` is set once the client has confirmed the newest message. A socket may be dead, so sending it is not enough.

    The pings have half numbers, which tells them from those of the core.
    """

    def __init__(self) -> None:
        self.known = Flag()
        self.unsent: list[str] = []  # messages of the socket that are sent before the next batch
        self._asked = 0

    def ask(self) -> ServerPing:
        """The ping to send behind the message."""
        self._asked += 1
        self.known.clear()
        return ServerPing(t=-(self._asked + 0.5))

    def ahead_of(self, batch: list[str | bytes]) -> list[str | bytes]:
        """The batch to send, preceded by notices that the client must see first."""
        if not self.unsent:
            return batch
        greeting = 1 if isinstance(batch[0], str) and batch[0].startswith(GREETING) else 0
        told = [*batch[:greeting], *self.unsent, *batch[greeting:]]
        self.unsent.clear()
        return told

    def ponged(self, t: float) -> None:
        """The client has answered the ping `t`."""
        if t == -(self._asked + 0.5):
            self.known.set()
