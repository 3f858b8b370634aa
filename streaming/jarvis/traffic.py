"""What crossed the wire, counted."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from operator import sub


@dataclass(slots=True)
class Traffic:
    """One for each session and one for all of them. `texts` are control messages, `frames` audio."""

    bytes_received: int = 0
    bytes_sent: int = 0
    texts_received: int = 0
    texts_sent: int = 0
    frames_received: int = 0
    frames_sent: int = 0

    def received(self, data: str | bytes) -> None:
        """One message came in."""
        self.bytes_received += len(data)
        if type(data) is bytes:
            self.frames_received += 1
        else:
            self.texts_received += 1

    def sent(self, batch: list[str | bytes]) -> None:
        """A batch went out."""
        frames = sum(type(item) is bytes for item in batch)
        self.frames_sent += frames
        self.texts_sent += len(batch) - frames
        self.bytes_sent += sum(map(len, batch))

    def since(self, before: Traffic) -> Traffic:
        """What was counted after `before` was."""
        return Traffic(*map(sub, astuple(self), astuple(before)))
