"""A second socket of a Live session: it sees what the session's own socket gets, with the user's sound, and may steer the session.

The session never waits for it: one that does not read in time is closed.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Protocol

from streaming.openai.commands import UnreadableError, read
from streaming.openai.mistakes import MistakeError

if TYPE_CHECKING:
    from streaming.openai.duplex import Duplex

MAX_WAITING_BYTES = 4 * 1024 * 1024
NORMAL, POLICY = 1000, 1008
PRIMARY_ONLY = ("session.start", "session.input_audio.append")
_APPEND = '"session.input_audio.append"'
_DELTA = '{"type":"session.output_audio.delta","delta":"'


class Socket(Protocol):
    """The narrow way to its WebSocket."""

    def wake(self) -> None:
        """There may be something to send."""

    def end(self, code: int, farewell: str, reason: str) -> None:
        """Send what waits, then close."""


class Sideband:
    """A tap on the session, and what its socket's writer takes from."""

    def __init__(self, live: Duplex, socket: Socket) -> None:
        self._live = live
        self._socket = socket
        self._waiting: deque[str] = deque()
        self._bytes = 0
        live.taps.append(self)

    def detach(self) -> None:
        """Its socket is gone."""
        if self in self._live.taps:
            self._live.taps.remove(self)

    # --- Tap ---

    def received(self, data: str | bytes, at_s: float) -> None:  # noqa: ARG002 - the session's own clock counts
        """The user's sound is reflected, as 24 kHz PCM; in other formats it is not."""
        if isinstance(data, str) and _APPEND in data and self._reflects:
            try:
                audio = read(data, PRIMARY_ONLY).text("audio")
            except (UnreadableError, MistakeError):
                return  # the session's own socket is told
            self._put(json.dumps({"type": "session.input_audio.append", "audio": audio}))

    def sent(self, batch: list[str | bytes], at_s: float) -> None:  # noqa: ARG002 - the session's own clock counts
        """What the session's own socket gets; sound with its place on the timeline."""
        for text in batch:
            assert isinstance(text, str), "the dialect has text messages only"
            if not text.startswith(_DELTA):
                self._put(text)
            elif self._reflects:
                start_ms = self._live.event_queue.now_ms
                length_ms = (len(text) - len(_DELTA)) * 3 // 4 / self._live.event_queue.bytes_per_ms
                self._put(f'{text[:-1]},"start_ms":{start_ms},"end_ms":{round(start_ms + length_ms)}}}')

    def ended(self) -> None:
        """The session is over."""
        self._socket.end(NORMAL, "", "")

    @property
    def _reflects(self) -> bool:
        return bool(self._live.resource["audio"]["format"] == {"type": "audio/pcm", "rate": 24_000})

    def _put(self, text: str) -> None:
        if self._bytes > MAX_WAITING_BYTES:
            self.detach()
            self._socket.end(POLICY, "", "events were not read in time")
            return
        self._waiting.append(text)
        self._bytes += len(text)
        self._socket.wake()

    # --- what its socket does ---

    def receive(self, data: str | bytes) -> None:
        """A command. What it comes to, mistakes too, goes to the session's own socket as well."""
        self._live.receive_beside(data, PRIMARY_ONLY)

    def data_to_send(self) -> list[str | bytes]:
        """What leaves now, in order."""
        batch: list[str | bytes] = [*self._waiting]
        self._waiting.clear()
        self._bytes = 0
        return batch

    def must_be_saved(self, batch: list[str | bytes]) -> bool:  # noqa: ARG002 - as the writer asks any source
        """No record is kept of it."""
        return False

    async def saved(self, batch: list[str | bytes]) -> list[str | bytes]:
        """It leaves as it is."""
        return batch
