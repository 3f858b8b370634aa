"""Recognises a microphone over as many streams as it takes.

Audio that is not recognised yet is kept. When a stream fails or hangs, a new one gets that audio again, so that no word is lost
or told twice. What the client was told of the current utterance is not repeated.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from streaming.ports import (
    EagerEnd,
    FinalTranscript,
    InterimTranscript,
    RecognitionProgress,
    ServiceError,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Word,
)
from streaming.sound.codecs import SERVICE_RATE_HZ
from streaming.sound.pcm import BYTES_PER_SAMPLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from streaming.ports import RecognitionEvent, RecognitionStream

    HeardEvent = RecognitionEvent | RecognitionProgress

EventT = TypeVar("EventT", bound="RecognitionEvent | RecognitionProgress")

BYTES_PER_MS = SERVICE_RATE_HZ * BYTES_PER_SAMPLE // 1000
# A second of audio received between two checks of what is still needed.
TRIM_BYTES = 1000 * BYTES_PER_MS
MAX_KEPT_BYTES = 3 * 1024 * 1024  # 98 s, three times the longest utterance; a stream may have 4 MiB queued

# Possibly the fault of the stream or service, so that another stream may do better. Refusals of the request are not.
BROKEN = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED", "INTERNAL", "UNKNOWN"})
PAUSES_S = (0.0, 0.5, 1.5, 2.5)  # before each attempt: a restarted recogniser is back within these


class OpenStream(Protocol):
    """Opens a stream; `on_taken(bytes)` is called when audio leaves for the recogniser."""

    def __call__(self, on_taken: Callable[[int], None]) -> RecognitionStream:
        """Open a stream at once."""


def _nobody(_told: object) -> None:
    """Replaces the callbacks of a microphone that has ended."""


class Listening:
    """Looks like one `RecognitionStream`, but may use several in turn. All positions are bytes of PCM.

    `needed_ms` returns the time from which the audio may be needed again. `on_lost` is called once per outage.
    `commits_only`: utterances end only at commits, so each final answers one commit.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        on_taken: Callable[[int], None],
        needed_ms: Callable[[], float],
        on_lost: Callable[[ServiceError], None],
        *,
        commits_only: bool,
    ) -> None:
        self._open_stream = open_stream
        self._on_taken = on_taken
        self._needed_ms = needed_ms
        self._on_lost = on_lost
        self._commits_only = commits_only
        self._kept: deque[bytes | None] = deque()  # None: a commit
        self._kept_from = self._received = self._taken = 0
        self._look_at = TRIM_BYTES
        self._ended = self._cancelled = False
        self._told = ToldUtterance()
        self._stream = self._fresh()

    # --- what goes in ---

    def send_audio(self, pcm: bytes) -> None:
        """Queue whole samples."""
        self._kept.append(pcm)
        received = self._received = self._received + len(pcm)
        if received >= self._look_at:
            self._trim()
        self._stream.send_audio(pcm)

    def commit(self) -> None:
        """End the utterance."""
        self._kept.append(None)
        self._stream.commit()

    def end(self) -> None:
        """End the audio."""
        self._ended = True
        self._stream.end()

    def cancel(self) -> None:
        """Stop now."""
        self._cancelled = True
        self._stream.cancel()

    def let_go(self) -> None:
        """Drop the callbacks, whose owners refer to this object: cycles would wait for the collector."""
        self._on_taken = self._on_lost = _nobody
        self._needed_ms = float

    # --- what comes out ---

    async def events(self) -> AsyncIterator[HeardEvent]:
        """Events, with times since the first audio. Raises ServiceError if no stream could be opened."""
        failures, first, enough_at_ms = 0, None, 0.0
        while True:
            try:
                begins_ms = self._begins_at // BYTES_PER_MS
                async for event in self._stream:
                    moved = moved_by(event, begins_ms)
                    if isinstance(moved, FinalTranscript) or (
                        isinstance(moved, RecognitionProgress) and moved.at_ms > enough_at_ms
                    ):
                        failures, first = 0, None
                    for told in self._told.admit(moved):
                        yield told
                        if isinstance(told, FinalTranscript):
                            self._answered()
                    self._trim()
            except ServiceError as broken:
                first = first or broken.with_traceback(None)
                if not self._may_try_again(broken, failures):
                    try:
                        raise first from None
                    finally:
                        first = None  # its traceback refers to this frame
                if not failures:
                    self._on_lost(broken)
            else:
                return
            await asyncio.sleep(PAUSES_S[failures])
            if self._cancelled:
                return
            failures += 1
            enough_at_ms = self._received / BYTES_PER_MS
            self._stream = self._fresh()
            for told in self._told.begin_again(round(enough_at_ms)):
                yield told
            self._send_kept()

    def _may_try_again(self, broken: ServiceError, failures: int) -> bool:
        circuit_opened = bool(failures) and broken.code == "CIRCUIT_OPEN"  # opened by others who lost their streams too
        return not self._cancelled and failures < len(PAUSES_S) and (broken.code in BROKEN or circuit_opened)

    # --- streams ---

    def _fresh(self) -> RecognitionStream:
        self._begins_at = self._leaving = self._kept_from
        stream: RecognitionStream | None = None

        def taken(n_bytes: int) -> None:
            """Report credit for audio that was sent, except for audio that is sent a second time."""
            if stream is not None and stream is not self._stream:
                return
            self._leaving += n_bytes
            more = self._leaving - self._taken
            if more > 0:
                self._taken = self._leaving
                self._on_taken(more)

        stream = self._open_stream(taken)
        return stream

    def _send_kept(self) -> None:
        for item in self._kept:
            if item is None:
                self._stream.commit()
            else:
                self._stream.send_audio(item)
        if self._ended:
            self._stream.end()

    # --- what is kept ---

    def _answered(self) -> None:
        """A final was told. With `commits_only` it answers the first commit."""
        if not self._commits_only or None not in self._kept:
            return
        while (item := self._kept.popleft()) is not None:
            self._kept_from += len(item)

    def _trim(self) -> None:
        self._look_at = self._received + TRIM_BYTES
        needed = max(int(self._needed_ms()) * BYTES_PER_MS, self._received - MAX_KEPT_BYTES)
        kept = self._kept
        while kept:
            size = len(kept[0] or b"")
            if self._kept_from + size > needed:
                return
            kept.popleft()
            self._kept_from += size


class ToldUtterance:
    """What was told of the current utterance, so that a new stream that hears it again adds only what is new."""

    def __init__(self) -> None:
        self._over()
        self._heard_again_ms: float | None = None  # once a new stream has listened this far, it has caught up

    def _over(self) -> None:
        self._started_ms: int | None = None
        self._eager = self._stopped = False

    def begin_again(self, received_ms: int) -> Iterator[HeardEvent]:
        """A new stream follows. Yields events that retract what it may hear differently."""
        self._heard_again_ms = received_ms
        if self._eager and not self._stopped:
            yield SpeechResumed(received_ms)
        self._eager = False

    def admit(self, event: HeardEvent) -> Iterator[HeardEvent]:
        """What to tell of an event."""
        match event:
            case SpeechStarted(at_ms=at_ms):
                self._heard_again_ms = None
                if self._started_ms is not None:
                    return
                self._started_ms = at_ms
            case EagerEnd() | SpeechResumed():
                if self._stopped:
                    return
                self._eager = isinstance(event, EagerEnd)
            case SpeechStopped():
                if self._stopped:
                    return
                self._stopped = True
            case FinalTranscript():
                self._over()
            case RecognitionProgress(at_ms=at_ms):
                yield from self._ended_wordless(at_ms)
        yield event

    def _ended_wordless(self, at_ms: int) -> Iterator[HeardEvent]:
        """The new stream heard no speech in all of the audio, so an utterance that was started has to end."""
        if self._heard_again_ms is None or at_ms < self._heard_again_ms:
            return
        self._heard_again_ms = None
        if self._started_ms is None:
            return
        if not self._stopped:
            yield SpeechStopped(at_ms)
        yield FinalTranscript("", 0.0, self._started_ms, at_ms)
        self._over()


def moved_by(event: EventT, ms: int) -> EventT:
    """The same event, later by `ms`."""
    if not ms or isinstance(event, InterimTranscript):
        return event
    if isinstance(event, FinalTranscript):
        words = tuple(_word_moved(word, ms) for word in event.words)
        return replace(event, start_ms=event.start_ms + ms, end_ms=event.end_ms + ms, words=words)
    return replace(event, at_ms=event.at_ms + ms)


def _word_moved(word: Word, ms: int) -> Word:
    return replace(word, start_ms=word.start_ms + ms, end_ms=word.end_ms + ms)
