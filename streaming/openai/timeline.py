"""The Live API's server events, made of those of the Realtime API: no turns and no items, sound and words on one timeline."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

from streaming.openai.event_queue import EventQueue

AHEAD_S = 0.3  # sound is sent so long before it is due: a client plays it as it comes, and nothing tells it to stop
_PASSED_ON = ("session.", "error", "info")


class Timeline(EventQueue):
    """Times are milliseconds since the session began. `bytes_per_ms` is that of the sound that is sent."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._clock = asyncio.get_running_loop().time
        self._started_s = self._clock()
        self.bytes_per_ms = 48.0
        self._due_ms = 0.0  # when all that was sent will have sounded
        self._words: tuple[str, int] | None = None  # told, and since when they sound
        self._begun: dict[str, int] = {}  # utterances of the user that are being said
        self._ended: dict[str, int] = {}
        self._said_before = False  # fragments of different utterances are joined as they are

    @property
    def now_ms(self) -> int:
        """The session's position on the timeline, in milliseconds."""
        return round((self._clock() - self._started_s) * 1000)

    def say(self, event: dict[str, Any]) -> None:
        """Queue what this event is here, if it is anything."""
        kind = event["type"]
        if kind.startswith(_PASSED_ON):
            super().say(_as_error(event) if kind == "error" else event)
        elif kind == "input_audio_buffer.speech_started":
            self._begun[event["item_id"]] = event["audio_start_ms"]
        elif kind == "input_audio_buffer.speech_stopped":
            self._ended[event["item_id"]] = event["audio_end_ms"]
        elif kind == "conversation.item.input_audio_transcription.completed":
            self._hear(event["item_id"], event["transcript"])
        elif kind == "response.output_audio_transcript.delta":
            self._flush_words()
            self._words = event["delta"], self._position_ms
        elif kind == "response.output_audio.done":
            self._flush_words()
        elif kind == "response.done" and event["response"]["status"] == "failed":
            super().say({"type": "error", "error": event["response"]["status_details"]["error"]})

    @property
    def _position_ms(self) -> int:
        return round(max(self._due_ms, self.now_ms))

    def _hear(self, item_id: str, text: str) -> None:
        end_ms = self._ended.pop(item_id, self.now_ms)
        start_ms = self._begun.pop(item_id, end_ms)
        if text:
            delta = f" {text}" if self._said_before else text
            self._said_before = True
            super().say(
                {"type": "session.input_transcript.delta", "delta": delta, "start_ms": start_ms, "end_ms": end_ms}
            )

    def _flush_words(self) -> None:
        if self._words is not None:
            (delta, start_ms), self._words = self._words, None
            times = {"start_ms": start_ms, "end_ms": max(start_ms, self._position_ms)}
            super().say({"type": "session.output_transcript.delta", "delta": delta, **times})

    def audio(self, frame: bytes, response_id: str, item_id: str, output_index: int) -> None:  # noqa: ARG002 - there are no items
        """Queue `session.output_audio.delta`."""
        self._due_ms = max(self._due_ms, self.now_ms) + len(frame) / self.bytes_per_ms
        self._next_id()
        self._put(f'{{"type":"session.output_audio.delta","delta":"{b64encode(frame).decode()}"}}', response_id)

    def drop_audio(self, response_id: str) -> None:
        """Somebody spoke into it: what has not left is never heard."""
        super().drop_audio(response_id)
        self._due_ms = min(self._due_ms, self.now_ms)

    async def room(self) -> None:
        """Wait until what was sent has nearly sounded."""
        await super().room()
        early_s = (self._due_ms - self.now_ms) / 1000 - AHEAD_S
        if early_s > 0:
            await asyncio.sleep(early_s)


def _as_error(event: dict[str, Any]) -> dict[str, Any]:
    """The client's `event_id` is `client_event_id` here."""
    error = dict(event["error"])
    client_event_id = error.pop("event_id", None)
    told = {"client_event_id": client_event_id} if client_event_id else {}
    return {"type": "error", "error": {**error, **told}, **told}
