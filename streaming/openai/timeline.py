"""Converts server events of the Realtime API to those of the Live API, which has one timeline instead of turns and items."""

from __future__ import annotations

import asyncio
from typing import Any

from pybase64 import b64encode_as_string

from streaming.openai.event_queue import EventQueue

AHEAD_S = 0.3  # how early audio is sent. Little, because in this API no event stops audio that a client already has
_PASSED_ON = ("session.", "error", "info")


class Timeline(EventQueue):
    """The event queue of a Live session. Times are milliseconds since it began. `bytes_per_ms`: of the audio sent."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._clock = asyncio.get_running_loop().time
        self._started_s = self._clock()
        self.bytes_per_ms = 48.0
        self._due_ms = 0.0  # when all audio sent so far will have been played
        self._words: tuple[str, int] | None = None  # the words being spoken, and when they began
        self._begun: dict[str, int] = {}  # by item: when the user's utterance began
        self._ended: dict[str, int] = {}
        self._said_before = (
            False  # True: put a space before the next words, because clients join all deltas as they are
        )

    @property
    def now_ms(self) -> int:
        """The session's position on the timeline, in milliseconds."""
        return round((self._clock() - self._started_s) * 1000)

    def say(self, event: dict[str, Any]) -> None:
        """Queue the Live API's event for this one, if there is one."""
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
        self._put(f'{{"type":"session.output_audio.delta","delta":"{b64encode_as_string(frame)}"}}', response_id)

    def drop_audio(self, response_id: str) -> None:
        """Drop audio that was not sent yet, because the user interrupted."""
        super().drop_audio(response_id)
        self._due_ms = min(self._due_ms, self.now_ms)

    @property
    def has_room(self) -> bool:
        """True if all audio sent so far has been played, and the queue is short: some 300 ms of speech may then be sent at once."""
        return super().has_room and self._due_ms <= self.now_ms

    async def room(self) -> None:
        """Wait until nearly all audio sent so far has been played."""
        await super().room()
        early_s = (self._due_ms - self.now_ms) / 1000 - AHEAD_S
        if early_s > 0:
            await asyncio.sleep(early_s)


def _as_error(event: dict[str, Any]) -> dict[str, Any]:
    """The same `error` event, with the client's `event_id` as `client_event_id`."""
    error = dict(event["error"])
    client_event_id = error.pop("event_id", None)
    told = {"client_event_id": client_event_id} if client_event_id else {}
    return {"type": "error", "error": {**error, **told}, **told}
