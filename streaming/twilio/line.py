"""What a turn lane plays to the telephone, as its Outlet: sound, marks that come back as it is played, and `clear`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from streaming import domain
from streaming.twilio import wire
from streaming.unrecorded import UnrecordedOutlet

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.domain import LaneEvent

BYTES_PER_MS = 8  # µ-law at 8 kHz
MARK_MS = 200  # sound between two marks: shorter than a word
MAX_AHEAD_BYTES = 64 * 1024  # of messages that wait for the socket: some five seconds of sound


class PhoneOutlet(UnrecordedOutlet):
    """`playback` gets how much of the current utterance was played, in milliseconds. `wake`: there is something to send."""

    def __init__(self, stream_sid: str, playback: Callable[[int], None], wake: Callable[[], None]) -> None:
        self._stream_sid = stream_sid
        self._playback = playback
        self._wake = wake
        self._waiting: deque[str] = deque()
        self.bytes = 0
        self.audio_bytes_dropped = 0
        self._sent = asyncio.Event()  # set with every batch, and by interruptions
        self._utterance = 0
        self._stale = True  # nothing is being said, or what is said was interrupted
        self._unmarked_ms = 0.0

    # --- Twilio's side ---

    def take(self) -> list[str | bytes]:
        """All messages that wait, in order."""
        batch: list[str | bytes] = [*self._waiting]
        self._waiting.clear()
        self.bytes = 0
        self._sent.set()
        return batch

    def forget(self) -> None:
        """The call is over: drop the callbacks, whose owners refer to this object."""
        del self._playback, self._wake

    def played(self, name: str) -> None:
        """A mark came back. Those of interrupted utterances come back too, because `clear` returns all of them."""
        utterance, _, at_ms = name.partition(":")
        if not self._stale and utterance == str(self._utterance) and at_ms.isascii() and at_ms.isdigit():
            self._playback(int(at_ms[:9]))

    # --- streaming.outlet.Outlet ---

    def tell(self, event: LaneEvent) -> None:
        """Note where utterances begin; nothing else reaches a telephone."""
        if isinstance(event, domain.SpeechBegins):
            self._utterance += 1
            self._stale, self._unmarked_ms = False, 0.0

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        """Send one frame of sound, and now and then a mark."""
        if self._stale:
            return
        if frame:
            self._put(wire.media(self._stream_sid, frame))
        length_ms = len(frame) / BYTES_PER_MS
        self._unmarked_ms += length_ms
        if self._unmarked_ms and (last or self._unmarked_ms >= MARK_MS):
            self._unmarked_ms = 0.0
            self._put(wire.mark(self._stream_sid, f"{self._utterance}:{round(pts_ms + length_ms)}"))
        self._wake()

    def interrupt(self) -> None:
        """Drop the sound that waits here and at Twilio."""
        self._stale = True
        self.audio_bytes_dropped += self.bytes
        self._waiting.clear()
        self.bytes = 0
        self._put(wire.clear(self._stream_sid))
        self._sent.set()
        self._wake()

    def _put(self, message: str) -> None:
        self._waiting.append(message)
        self.bytes += len(message)

    def has_room(self, n_bytes: int) -> bool:  # noqa: ARG002 - frames are small
        """True if the queue is short."""
        return self.bytes <= MAX_AHEAD_BYTES

    async def room(self, n_bytes: int) -> None:
        """Wait until the queue is short, or the sound is interrupted."""
        while not self.has_room(n_bytes) and not self._stale:
            self._sent.clear()
            await self._sent.wait()
