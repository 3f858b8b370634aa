"""What waits to be sent, as text. Events are never dropped; audio of a reply that was interrupted is."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections import deque
from typing import Any

MAX_AHEAD_BYTES = 256 * 1024  # some four seconds of 24 kHz audio in base64; lanes wait when more is queued


class Outbox:
    """Numbers events and keeps their order. `sent` is set with every batch that leaves."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._waiting: deque[tuple[str, str]] = deque()  # text, and for audio the response that it belongs to
        self.bytes = 0
        self.audio_bytes_dropped = 0
        self.sent = asyncio.Event()

    def _next_id(self) -> str:
        self._count += 1
        return f"event_{self._name}{self._count}"

    def _put(self, text: str, response_id: str = "") -> None:
        self._waiting.append((text, response_id))
        self.bytes += len(text)

    def say(self, event: dict[str, Any]) -> None:
        """Queue one event; it gets its id here."""
        self._put(json.dumps({"event_id": self._next_id(), **event}, ensure_ascii=False, separators=(",", ":")))

    def audio(self, frame: bytes, response_id: str, item_id: str, output_index: int) -> None:
        """Queue `response.output_audio.delta`. The ids are ours: nothing in them has to be escaped."""
        self._put(
            f'{{"event_id":"{self._next_id()}","type":"response.output_audio.delta","response_id":"{response_id}",'
            f'"item_id":"{item_id}","output_index":{output_index},"content_index":0,"delta":"{b64encode(frame).decode()}"}}',
            response_id,
        )

    def drop_audio(self, response_id: str) -> None:
        """What of this response's audio has not left is stale."""
        kept: deque[tuple[str, str]] = deque()
        for text, owner in self._waiting:
            if owner == response_id:
                self.bytes -= len(text)
                self.audio_bytes_dropped += len(text)
            else:
                kept.append((text, owner))
        self._waiting = kept

    def take(self) -> list[str | bytes]:
        """All that waits."""
        batch: list[str | bytes] = [text for text, _ in self._waiting]
        self._waiting.clear()
        self.bytes = 0
        self.sent.set()
        return batch

    async def room(self) -> None:
        """Wait until not too much is queued."""
        while self.bytes > MAX_AHEAD_BYTES:
            self.sent.clear()
            await self.sent.wait()
