"""Recognition as items and events of the input audio buffer. One per microphone lane, as its Outlet."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Any

from streaming.openai.conversation import Entry, new_id
from streaming.openai.mistakes import MistakeError, failed_with
from streaming.ports import FinalTranscript, SpeechStarted, SpeechStopped
from streaming.unrecorded import UnrecordedOutlet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming.domain import LaneEvent
    from streaming.openai.host import Host
    from streaming.ports import Word

# Audio queued at the recogniser, which cuts off who sends 4 MiB of 16 kHz PCM ahead: these are 3 MiB of it from µ-law, and 16 s of
# 24 kHz PCM. Later events wait until it has taken some.
AHEAD_BYTES = 768 * 1024
MIN_COMMIT_MS = 100  # as in OpenAI's API


LEAST_CONFIDENCE = 1e-6  # its logarithm is finite


def logprobs_of(words: Iterable[Word]) -> list[dict[str, Any]]:
    """The recogniser's confidence in each word, as the API's log probabilities of tokens."""
    return [
        {
            "token": word.text,
            "bytes": list(word.text.encode()),
            "logprob": round(math.log(min(1.0, max(word.confidence, LEAST_CONFIDENCE))), 4),
        }
        for word in words
        if word.confidence is not None
    ]


def commit_item(host: Host, item_id: str) -> Entry:
    """Make the input audio buffer's content an item of the conversation, whose transcript follows."""
    item: dict[str, Any] = {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_audio", "transcript": ""}],
    }
    entry = Entry(item, awaited=True)
    previous = host.conversation.add(entry)
    host.event_queue.say({"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item_id})
    host.event_queue.say({"type": "conversation.item.added", "previous_item_id": previous, "item": item})
    host.event_queue.say({"type": "conversation.item.done", "previous_item_id": previous, "item": item})
    return entry


def transcription_failed(entry: Entry, error: dict[str, Any]) -> dict[str, Any]:
    """The event that an item's transcript will not come."""
    kind = "conversation.item.input_audio_transcription.failed"
    return {"type": kind, "item_id": entry.item["id"], "content_index": 0, "error": error}


class Hearing(UnrecordedOutlet):
    """`base_ms`: audio taken by earlier lanes of the session; times count from the start of the session."""

    ahead_bytes = AHEAD_BYTES

    def __init__(self, host: Host, base_ms: float, *, detects: bool, transcribes: bool) -> None:
        self._host = host
        self._base_ms = base_ms
        self._detects = detects
        self._transcribes = transcribes
        self._current: str | None = None  # the item of the current utterance
        # committed items still without a Final; if turn detection committed them; and milliseconds of their audio
        self._awaiting: deque[tuple[Entry, bool, float]] = deque()
        self._started_ms = 0  # of the current utterance, with its padding
        self._free_from_ms = round(base_ms)  # the audio after the last utterance
        self._covered_ms = 0.0  # audio that the client committed before it was recognised: its speech begins no item
        self.fed_ms = 0.0
        self._uncommitted_ms = 0.0
        self._waiting_bytes = 0
        self._took = asyncio.Event()  # the recogniser has taken some, or has ended
        self.ended = False
        self.was_taken = False  # the recogniser took audio
        self.closed = False  # True: ignore further speech

    @property
    def in_speech(self) -> bool:
        """True while the user speaks, as turn detection has it."""
        return self._current is not None

    @property
    def pending(self) -> bool:
        """True while a transcript is outstanding."""
        return bool(self._awaiting)

    # --- what the client sends ---

    def fed(self, n_bytes: int, duration_ms: float) -> bool:
        """A piece of audio goes in. True: wait for `ready` before the next one."""
        self._waiting_bytes += n_bytes
        self.fed_ms += duration_ms
        self._uncommitted_ms += duration_ms
        return self._waiting_bytes > self.ahead_bytes

    async def ready(self) -> None:
        """Wait until the recogniser has taken most of the audio, or has ended."""
        while self._waiting_bytes > self.ahead_bytes and not self.ended:
            self._took.clear()
            await self._took.wait()

    def check_commit(self) -> None:
        """Raises MistakeError if there is nothing to commit."""
        if self._uncommitted_ms < MIN_COMMIT_MS:
            raise MistakeError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer "
                f"only has {self._uncommitted_ms:.2f}ms of audio.",
            )

    def commit(self) -> None:
        """The client ended the utterance."""
        self._covered_ms = self._base_ms + self.fed_ms
        self._commit(self._current or new_id("item"), self._uncommitted_ms, automatic=False)

    def _commit(self, item_id: str, audio_ms: float, *, automatic: bool) -> None:
        self._current = None
        self._uncommitted_ms = 0.0
        self._awaiting.append((commit_item(self._host, item_id), automatic, audio_ms))

    # --- streaming.outlet.Outlet ---

    def tell(self, event: LaneEvent) -> None:
        """Handle a recognition event."""
        if isinstance(event, FinalTranscript):
            self._on_final(event)
        elif self.closed or not self._detects:
            return
        elif isinstance(event, SpeechStarted):
            at_ms = round(self._base_ms + event.at_ms)
            if not self._awaiting or at_ms >= self._covered_ms:
                self._on_started(at_ms)
        elif isinstance(event, SpeechStopped) and self._current is not None:
            at_ms = self._free_from_ms = round(self._base_ms + event.at_ms)
            self._host.event_queue.say(
                {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": at_ms, "item_id": self._current}
            )
            self._commit(self._current, at_ms - self._started_ms, automatic=True)
        self._host.wake()

    def _on_started(self, at_ms: int) -> None:
        """The audio of an utterance begins `prefix_padding_ms` before its speech, but not in the utterance before."""
        detection = self._host.settings["audio"]["input"].get("turn_detection") or {}
        at_ms = max(at_ms - detection.get("prefix_padding_ms", 0), min(at_ms, self._free_from_ms))
        self._started_ms = at_ms
        self._current = new_id("item")
        self._host.event_queue.say(
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": at_ms, "item_id": self._current}
        )
        self._host.on_speech()

    def _on_final(self, event: FinalTranscript) -> None:
        if not self._awaiting:
            if self.closed or not event.text:
                return
            self._commit(self._current or new_id("item"), event.end_ms - event.start_ms, automatic=True)
        entry, automatic, audio_ms = self._awaiting.popleft()
        entry.awaited = False
        entry.heard(event.text)
        if self._transcribes:
            self._tell_transcript(entry, event, audio_ms)
        if not entry.text:
            entry.answered = True
        self._host.on_words(entry, automatic=automatic)

    def _is_told(self, entry: Entry) -> bool:
        """True if the client knows the item: not one of a response's own input, nor one that it has deleted."""
        return entry.item["id"] in self._host.conversation.entries

    def _tell_transcript(self, entry: Entry, event: FinalTranscript, audio_ms: float, part: int = 0) -> None:
        if not self._is_told(entry):
            return
        kind = "conversation.item.input_audio_transcription"
        where = {"item_id": entry.item["id"], "content_index": part}
        sureness = {"logprobs": logprobs_of(event.words)} if self._host.settings.get("include") else {}
        if event.text:
            self._host.event_queue.say({"type": f"{kind}.delta", **where, "delta": event.text, **sureness})
        usage = {"type": "duration", "seconds": round(max(0.0, audio_ms) / 1000, 3)}
        self._host.event_queue.say(
            {"type": f"{kind}.completed", **where, "transcript": event.text, "usage": usage, **sureness}
        )

    def broke(self, code: str, message: str) -> None:
        """The recogniser failed: no more transcripts will come."""
        self.closed = self.ended = True
        self._took.set()
        for entry, automatic, _audio_ms in self._awaiting:
            entry.awaited, entry.answered = False, True
            if self._is_told(entry):
                self._host.event_queue.say(transcription_failed(entry, failed_with(code, message)))
            self._host.on_words(entry, automatic=automatic)
        self._awaiting.clear()

    def taken(self, n_bytes: int) -> None:
        """The recogniser took that many bytes."""
        self._waiting_bytes -= n_bytes
        self.was_taken = True
        self._took.set()
