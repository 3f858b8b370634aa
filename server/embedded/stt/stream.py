"""One Recognize call. One task hears (checks, resamples, finds utterances), one decodes and answers; a queue between them.

The queue is bounded: a caller who sends faster than the decoders work waits in gRPC's flow control.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protos import stt_pb2
from server.embedded.stt.audio import BYTES_PER_SAMPLE, Resampler
from server.embedded.stt.endpoint import (
    FRAME_MS,
    EndpointEvent,
    SpeechBegan,
    SpeechEnded,
    SpeechEndpointer,
    SpeechWent,
    SpeechWentOn,
)
from server.embedded.stt.growing import GrowingTranscript
from server.embedded.stt.transcript import confidence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from server.embedded.stt.config import RecognizeSettings
    from server.embedded.stt.pool import DecoderPool
    from server.embedded.stt.process import DecodingUtterance
    from server.embedded.stt.transcript import HeardWord

    Send = Callable[[stt_pb2.RecognizeResponse], Awaitable[None]]

MAX_WAITING_EVENTS = 15_000 // FRAME_MS  # 15 s of speech
MAX_FEED_FRAMES = 7  # 0.2 s of audio to a decoder at once: what another utterance in the same process may wait for
HEARD_AT_ONCE_MS = 1000  # of a large message, before other calls get their turn on the event loop
IDLE_S = 10.0  # a microphone that falls silent in mid-word (a dead network, silence suppression) gives its decoder back
LEARN_FROM_MS = 1000  # shorter utterances tell too little of the voice


class InvalidRequestError(Exception):
    """The caller's fault; the text says what was wrong."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The caller wants the transcript of what was said. `answered`: an utterance before it ends right there."""

    at_ms: int
    answered: bool = False


class Recognition:
    """See the module. Raises InvalidRequestError, and DecoderDiedError when the utterance's decoder is lost."""

    def __init__(self, settings: RecognizeSettings, pool: DecoderPool, send: Send) -> None:
        self._settings = settings
        self._pool = pool
        self._send = send
        self._resampler = Resampler(settings.sample_rate_hz)
        self._endpointer = SpeechEndpointer()
        self._events: asyncio.Queue[EndpointEvent | Committed | None] = asyncio.Queue(MAX_WAITING_EVENTS)
        self._mean = ""  # of the voice, once known
        self._uncommitted = False  # push-to-talk: audio has come that no commit has ended yet
        self._held: list[HeardWord] = []  # push-to-talk: what was said before a pause, for the Final at the commit
        self._held_span: tuple[int, int] | None = None

    async def run(self, requests: AsyncIterator[stt_pb2.RecognizeRequest]) -> None:
        """Until the caller has closed his side and everything is answered."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear(requests), name="stt: hear")
            group.create_task(self._decode(), name="stt: decode")

    # --- hearing ---

    async def _hear(self, requests: AsyncIterator[stt_pb2.RecognizeRequest]) -> None:
        async for request in requests:
            match request.WhichOneof("request"):
                case "audio":
                    await self._audio(request.audio)
                case "commit":
                    await self._commit()
                case "config":
                    raise InvalidRequestError("config was sent twice: it belongs into the first message only")
                case _:
                    raise InvalidRequestError("a message carried neither audio nor commit")
        await self._put(self._endpointer.feed(self._resampler.flush()))
        if self._uncommitted:
            await self._commit()
        await self._put(self._endpointer.flush())
        await self._events.put(None)

    async def _audio(self, pcm: bytes) -> None:
        if len(pcm) % BYTES_PER_SAMPLE:
            raise InvalidRequestError(f"{len(pcm)} bytes of audio: 16-bit samples take an even number")
        self._uncommitted = not self._settings.endpointing and (self._uncommitted or bool(pcm))
        step = self._settings.sample_rate_hz * HEARD_AT_ONCE_MS // 1000 * BYTES_PER_SAMPLE
        for start in range(0, len(pcm), step):
            await self._put(self._endpointer.feed(self._resampler.feed(pcm[start : start + step])))
            if start:
                await asyncio.sleep(0)  # the others' turn

    async def _commit(self) -> None:
        events = self._endpointer.flush()
        await self._put(events)
        await self._events.put(Committed(self._endpointer.now_ms, answered=bool(events)))
        self._uncommitted = False

    async def _put(self, events: list[EndpointEvent]) -> None:
        for event in events:
            await self._events.put(event)

    # --- decoding ---

    async def _decode(self) -> None:
        while (event := await self._events.get()) is not None:
            if isinstance(event, SpeechBegan):
                await self._utterance(event)
            elif isinstance(event, Committed):
                await self._answer_commit(event)

    async def _answer_commit(self, commit: Committed) -> None:
        """Every commit has its Final, be it empty."""
        if self._settings.endpointing:
            if not commit.answered:
                await self._final([], commit.at_ms, commit.at_ms)
            return
        start_ms, end_ms = self._held_span or (commit.at_ms, commit.at_ms)
        if self._held_span:
            await self._send(stt_pb2.RecognizeResponse(speech_stopped=stt_pb2.SpeechStopped(at_ms=end_ms)))
        words, self._held, self._held_span = self._held, [], None
        await self._final(words, start_ms, end_ms)

    async def _utterance(self, began: SpeechBegan) -> None:
        if self._held_span is None:
            await self._send(stt_pb2.RecognizeResponse(speech_started=stt_pb2.SpeechStarted(at_ms=began.at_ms)))
        async with self._pool.utterance(self._settings.vocabulary, self._mean) as decoding:
            growing = GrowingTranscript(began.pcm_from_ms, tuple(self._held), may_promise=not self._pool.redecodes)
            end_ms = await self._grow(decoding, growing, began)
            await self._end(decoding, growing, began.at_ms, end_ms)

    async def _grow(self, decoding: DecodingUtterance, growing: GrowingTranscript, began: SpeechBegan) -> int:
        """Decode as audio comes; returns when the speech ended."""
        pcm, pause_ms = began.pcm, None
        while True:
            if pcm:
                growing.update(await decoding.feed(pcm, paused=pause_ms is not None), len(pcm))
                await self._tell(growing, pause_ms)
            pcm, pause_ms, then = await self._next_piece()
            if isinstance(then, SpeechWentOn) and growing.resume():
                await self._send(stt_pb2.RecognizeResponse(speech_resumed=stt_pb2.SpeechResumed(at_ms=then.at_ms)))
            elif isinstance(then, SpeechEnded):
                if pcm:
                    growing.update(await decoding.feed(pcm), len(pcm))
                return then.at_ms

    async def _next_piece(self) -> tuple[bytes, int | None, EndpointEvent | None]:
        """Audio that waits, its pause if it ends in one, and the event after it if one waits already."""
        parts: list[bytes] = []
        pause_ms = None
        while len(parts) < MAX_FEED_FRAMES and not (parts and self._events.empty()):
            event = await self._next_event()
            if not isinstance(event, SpeechWent):
                return b"".join(parts), pause_ms, event
            parts.append(event.pcm)
            pause_ms = event.spoken_until_ms if event.paused else None
        return b"".join(parts), pause_ms, None

    async def _next_event(self) -> EndpointEvent:
        try:
            async with asyncio.timeout(IDLE_S):
                event = await self._events.get()
        except TimeoutError:
            *_, event = self._endpointer.flush()
        assert isinstance(event, SpeechWent | SpeechWentOn | SpeechEnded), "an utterance ends before all else"
        return event

    async def _tell(self, growing: GrowingTranscript, pause_ms: int | None) -> None:
        partial = growing.partial() if self._settings.interim_results else None
        if partial is not None:
            text, stable_chars = partial
            await self._send(stt_pb2.RecognizeResponse(partial=stt_pb2.Partial(text=text, stable_chars=stable_chars)))
        if pause_ms is not None and self._settings.endpointing and (text := growing.eager_text()):
            await self._send(stt_pb2.RecognizeResponse(eager_end=stt_pb2.EagerEnd(at_ms=pause_ms, text=text)))

    async def _end(self, decoding: DecodingUtterance, growing: GrowingTranscript, start_ms: int, end_ms: int) -> None:
        if self._settings.endpointing:
            await self._send(stt_pb2.RecognizeResponse(speech_stopped=stt_pb2.SpeechStopped(at_ms=end_ms)))
        words = list(growing.final(await decoding.finish()))
        if self._settings.endpointing:
            await self._final(words, start_ms, end_ms)
        else:
            self._held += words
            self._held_span = (self._held_span[0] if self._held_span else start_ms, end_ms)
        if words and end_ms - start_ms >= LEARN_FROM_MS:
            self._mean = await decoding.learn()

    async def _final(self, words: list[HeardWord], start_ms: int, end_ms: int) -> None:
        final = stt_pb2.Final(
            text=" ".join(word.text for word in words),
            confidence=confidence(tuple(words)),
            start_ms=start_ms,
            end_ms=end_ms,
            words=[
                stt_pb2.Word(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms, confidence=word.confidence)
                for word in words
            ],
        )
        await self._send(stt_pb2.RecognizeResponse(final=final))
