"""Recognises a microphone over as many streams as it takes.

Audio that is not recognised yet is kept (`kept`). When a stream fails or hangs, a new one gets that audio again, so that no word is lost
or told twice. What the client was told of the current utterance is not repeated.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

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

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from streaming.ports import RecognitionEvent
    from streaming.sound.kept import KeptAudio
    from streaming.sound.trail import Trail

    HeardEvent = RecognitionEvent | RecognitionProgress

EventT = TypeVar("EventT", bound="RecognitionEvent | RecognitionProgress")

# Possibly the fault of the stream or service, so that another stream may do better. Refusals of the request are not.
BROKEN = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "INTERNAL", "UNKNOWN"})
PAUSES_S = (0.0, 0.5, 1.5, 2.5)  # before each attempt: a restarted recogniser is back within these


def _nobody(_told: object) -> None:
    """Replaces the callback of a microphone that has ended."""


class Listening:
    """The events of audio that goes into `kept`. `on_lost` is called once per outage."""

    def __init__(self, kept: KeptAudio, on_lost: Callable[[ServiceError], None]) -> None:
        self._kept = kept
        self._on_lost = on_lost
        self._told = ToldUtterance()

    def save(self) -> list[str]:
        """What was told of the current utterance, for another replica."""
        return self._told.save()

    def let_go(self) -> None:
        """Drop the callbacks, whose owners refer to this object: cycles would wait for the collector."""
        self._on_lost = _nobody
        self._kept.let_go()

    async def events(self) -> AsyncIterator[HeardEvent]:
        """Events, with times since the first audio. Raises ServiceError if no stream could be opened."""
        kept, failures, first, enough_at_ms = self._kept, 0, None, 0.0
        while True:
            try:
                begins_ms = kept.begins_ms
                async for event in kept.stream:
                    moved = moved_by(event, begins_ms)
                    if isinstance(moved, FinalTranscript) or (
                        isinstance(moved, RecognitionProgress) and moved.at_ms > enough_at_ms
                    ):
                        failures, first = 0, None
                    for told in self._told.admit(moved):
                        yield told
                        if isinstance(told, FinalTranscript):
                            kept.answered()
                    kept.trim()
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
            if kept.cancelled:
                return
            failures += 1
            enough_at_ms = kept.received_ms
            kept.open_again()
            for told in self._told.begin_again(round(enough_at_ms)):
                yield told
            kept.send_again()

    def _may_try_again(self, broken: ServiceError, failures: int) -> bool:
        circuit_opened = bool(failures) and broken.code == "CIRCUIT_OPEN"  # opened by others who lost their streams too
        return not self._kept.cancelled and failures < len(PAUSES_S) and (broken.code in BROKEN or circuit_opened)


async def along_trail(listening: Listening, trail: Trail) -> AsyncIterator[RecognitionEvent]:
    """The events, moved by where the trail begins, which learns what they say of the audio. Raises ServiceError."""
    try:
        async for event in listening.events():
            if isinstance(event, RecognitionProgress):
                trail.listened(event.at_ms + trail.base_ms)
                continue
            moved = moved_by(event, round(trail.base_ms))
            if isinstance(moved, SpeechStarted):
                trail.speech_started(moved.at_ms)
            elif isinstance(moved, FinalTranscript):
                trail.utterance_ended(moved.end_ms)
            yield moved
    finally:
        listening.let_go()


class ToldUtterance:
    """What was told of the current utterance, so that a new stream that hears it again adds only what is new."""

    def __init__(self) -> None:
        self._over()
        self._heard_again_ms: float | None = None  # once a new stream has listened this far, it has caught up

    def _over(self) -> None:
        self._started_ms: int | None = None
        self._eager = self._stopped = False

    def save(self) -> list[str]:
        """The events of the utterance that are told once, for another replica."""
        started = ["started"] if self._started_ms is not None else []
        return [*started, "stopped"] if self._stopped else started

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


class ToldElsewhere:
    """What another replica told of an utterance that is heard again here, from its beginning."""

    def __init__(self, told: list[str]) -> None:
        self.told = set(told)

    def includes(self, event: RecognitionEvent) -> bool:
        """True if the client has this event."""
        match event:
            case SpeechStarted():
                return "started" in self.told
            case SpeechStopped():
                return "stopped" in self.told
            case FinalTranscript():
                self.told.clear()
        return False


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
