"""A second socket of a Live session. It gets a copy of all events and of the user's audio, and may send most of the client's.

The session never waits for it. If it does not read in time, it is closed.
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from typing import TYPE_CHECKING, Protocol

from streaming.openai.closing import parting
from streaming.rfc6455 import NORMAL, POLICY_VIOLATION

if TYPE_CHECKING:
    from streaming.openai.duplex import Duplex
    from streaming.openai.mistakes import MistakeError

MAX_WAITING_BYTES = 4 * 1024 * 1024
PRIMARY_ONLY = ("session.start", "session.input_audio.append")
_DELTA = '{"type":"session.output_audio.delta","delta":"'


class SidebandSocket(Protocol):
    """A sideband's interface to its WebSocket."""

    def wake(self) -> None:
        """There may be something to send."""

    def end(self, code: int, reason: str) -> None:
        """Send what waits, then close."""


class Sideband:
    """A tap on the session; the socket's writer takes the copied events from here."""

    def __init__(self, live: Duplex, socket: SidebandSocket) -> None:
        self._live = live
        self._socket = socket
        self._waiting: deque[str] = deque()
        self._bytes = 0
        live.taps.append(self)
        live.reflections.append(self._reflect)

    def detach(self) -> None:
        """Remove the tap, because the socket is closed."""
        if self in self._live.taps:
            self._live.taps.remove(self)
        if self._reflect in self._live.reflections:
            self._live.reflections.remove(self._reflect)

    # --- Tap ---

    def received(self, data: str | bytes, at_s: float) -> None:
        """Does nothing: client events are seen by what comes of them, audio by `_reflect`."""

    def sent(self, batch: list[str | bytes], at_s: float) -> None:  # noqa: ARG002 - the session's own clock counts
        """Copy what the session's own socket gets. Audio also gets its position on the timeline."""
        for text in batch:
            assert isinstance(text, str), "the dialect has text messages only"
            if not text.startswith(_DELTA):
                self._put(text)
            elif self._reflects:
                start_ms = self._live.event_queue.now_ms
                length_ms = (len(text) - len(_DELTA)) * 3 // 4 / self._live.event_queue.bytes_per_ms
                self._put(f'{text[:-1]},"start_ms":{start_ms},"end_ms":{round(start_ms + length_ms)}}}')

    def ended(self) -> None:
        """Close the socket, because the session has ended."""
        self._socket.end(NORMAL, "")

    def _reflect(self, audio: bytes) -> None:
        """Copy the user's audio if it is 24 kHz PCM, as the API does. Audio in other formats is not copied."""
        if self._reflects:
            self._put(f'{{"type":"session.input_audio.append","audio":"{b64encode(audio).decode()}"}}')

    @property
    def _reflects(self) -> bool:
        return bool(self._live.resource["audio"]["format"] == {"type": "audio/pcm", "rate": 24_000})

    def _put(self, text: str) -> None:
        if self._bytes > MAX_WAITING_BYTES:
            self.detach()
            self._socket.end(POLICY_VIOLATION, "events were not read in time")
            return
        self._waiting.append(text)
        self._bytes += len(text)
        self._socket.wake()

    # --- called by the socket ---

    def receive(self, data: str | bytes, arrived_at: float | None = None) -> None:
        """Handle a client event. The events that answer it, errors included, go to the session's own socket and are copied from there."""
        self._live.receive_beside(data, PRIMARY_ONLY, arrived_at)

    def data_to_send(self) -> list[str | bytes]:
        """The events to send now, in order."""
        batch: list[str | bytes] = [*self._waiting]
        self._waiting.clear()
        self._bytes = 0
        return batch

    def must_be_saved(self, batch: list[str | bytes]) -> bool:  # noqa: ARG002 - part of the writer's interface
        """False: there is no record."""
        return False

    async def saved(self, batch: list[str | bytes]) -> list[str | bytes]:
        """The batch, unchanged."""
        return batch

    def last_words(self, _socket: SidebandSocket, mistake: MistakeError) -> list[str | bytes]:
        """What waits, and why the socket closes by itself."""
        return [*self.data_to_send(), parting(mistake)]

    def said(self, text: str) -> None:
        """Does nothing: nobody watches a second socket."""
