"""Counts the data on a session's wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.long_text import LongText


@dataclass(slots=True)
class Traffic:
    """Traffic of one session. `texts` are control messages, `frames` are audio."""

    bytes_received: int = 0
    bytes_sent: int = 0
    texts_received: int = 0
    texts_sent: int = 0
    frames_received: int = 0
    frames_sent: int = 0

    def received(self, data: str | bytes | LongText) -> None:
        """Count a received message."""
        self.bytes_received += len(data)
        if type(data) is bytes:
            self.frames_received += 1
        else:
            self.texts_received += 1

    def sent(self, batch: list[str | bytes]) -> None:
        """Count a sent batch."""
        for item in batch:
            if type(item) is bytes:
                self.frames_sent += 1
            else:
                self.texts_sent += 1
            self.bytes_sent += len(item)

    def add(self, other: Traffic) -> None:
        """Add another session's counts."""
        self.bytes_received += other.bytes_received
        self.bytes_sent += other.bytes_sent
        self.texts_received += other.texts_received
        self.texts_sent += other.texts_sent
        self.frames_received += other.frames_received
        self.frames_sent += other.frames_sent

    def since(self, before: Traffic) -> Traffic:
        """The traffic after `before`, an earlier copy."""
        return Traffic(
            self.bytes_received - before.bytes_received,
            self.bytes_sent - before.bytes_sent,
            self.texts_received - before.texts_received,
            self.texts_sent - before.texts_sent,
            self.frames_received - before.frames_received,
            self.frames_sent - before.frames_sent,
        )
