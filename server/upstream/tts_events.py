"""A synthesiser's answers as the port's events. An async generator: mypyc compiles none, so it stands apart from its stream."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from streaming.ports import ServiceError, SynthesisAudio, SynthesisDone, SynthesisStarted, SynthesisWords, Word

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from protos import tts_pb2
    from streaming.ports import SynthesisEvent

log = logging.getLogger(__name__)

# Before each attempt after the trunk broke: a restarted service is back within these.
PAUSES_S = (0.0, 0.5, 1.5, 2.5)


class RepeatedStream(Protocol):
    """A stream that can begin again."""

    async def next_event(self) -> SynthesisEvent | None:
        """The next event; None at the end. Raises ServiceError."""

    def may_repeat(self, broken: ServiceError) -> bool:
        """True if another stream may do better."""

    def begin_again(self) -> None:
        """Ask for the whole text again."""

    def cancel(self) -> None:
        """Stop."""


async def events_of(stream: RepeatedStream) -> AsyncGenerator[SynthesisEvent, None]:
    """Events in order, none fetched before it is asked for. Raises ServiceError."""
    pauses_s = iter(PAUSES_S)
    try:
        while True:
            try:
                event = await stream.next_event()
            except ServiceError as broken:
                if not stream.may_repeat(broken) or (pause_s := next(pauses_s, None)) is None:
                    raise
                log.info("speech goes on over another stream: %s", broken.code)
                await asyncio.sleep(pause_s)
                stream.begin_again()
                continue
            if event is None:
                return
            yield event
    finally:
        stream.cancel()


def event_of(response: tts_pb2.SynthesizeResponse) -> SynthesisEvent | None:
    """The event in our types; None for an unknown event of a newer service."""
    match response.WhichOneof("event"):
        case "audio":
            return SynthesisAudio(response.audio)
        case "words":
            return SynthesisWords(tuple(Word(word.text, word.start_ms, word.end_ms) for word in response.words.words))
        case "started":
            return SynthesisStarted(response.started.sample_rate_hz, response.started.voice)
        case "done":
            return SynthesisDone(response.done.duration_ms)
    return None
