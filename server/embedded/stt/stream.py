"""One Recognize call. One task takes the caller's input; another listens, decodes and answers; a queue connects them.

The queue is bounded: a caller that sends faster than the decoders work is held back by gRPC's flow control.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from protos import stt_pb2
from server.embedded.service import InvalidRequestError
from server.embedded.stt.answers import Answers
from server.embedded.stt.audio import BYTES_PER_SAMPLE, Resampler
from server.embedded.stt.endpoint import (
    DEFAULT_SILENCE_MS,
    EndpointEvent,
    SpeechBegan,
    SpeechEnded,
    SpeechEndpointer,
    SpeechPaused,
    SpeechWent,
    SpeechWentOn,
)
from server.embedded.stt.pause import COMPLETE_MS, OPEN_MS, UNSURE_MS, silence_needed_ms
from server.embedded.stt.process import DecoderDiedError
from server.embedded.stt.transcript import begins_with, confidence
from server.embedded.stt.utterance import BYTES_PER_MS, HeardUtterance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.embedded.stt.answers import Send
    from server.embedded.stt.config import RecognizeSettings
    from server.embedded.stt.engine import Detectors
    from server.embedded.stt.pool import DecoderPool
    from server.embedded.stt.transcript import HeardWord, Job, Transcript
    from server.embedded.stt.turn_model import TurnModel


MAX_WAITING_PIECES = 400  # 8 s in 20 ms frames; large messages are split by HEARD_AT_ONCE_MS
HEARD_AT_ONCE_MS = 1000  # of a large message, before other calls run
BEHIND_MS = 200  # of audio that waits; a microphone's does not
PARTIAL_WAIT_S = 0.15  # how long listening waits for a partial if audio waits too; a later one is sent when it comes
OVERHEAR_S = 0.03  # between two looks at the audio that comes while a pause is decoded: the detector's frame
PROGRESS_MS = 400  # a message costs some 60 µs on each side
LIFE_S = 0.5  # interval of signs of life while an answer is owed, as promised in stt.proto
IDLE_S = 10.0  # a microphone that stops in mid-word (a dead network, silence suppression) ends its utterance


@dataclass(frozen=True, slots=True)
class Ears:
    """What all streams of the service share."""

    pool: DecoderPool
    detectors: Detectors
    turn_model: TurnModel | None = None


class Committed:
    """The caller committed: the utterance ends here."""


class Recognition:
    """One Recognize call. Raises InvalidRequestError, and DecoderDiedError if an utterance cannot be decoded."""

    def __init__(self, settings: RecognizeSettings, ears: Ears, send: Send) -> None:
        self._settings = settings
        self._pool = ears.pool
        self._turn_model = ears.turn_model
        self._answers = Answers(send)
        self._silent = True  # since the last check for a sign of life
        self._unanswered = self._at_work = False
        self._resampler = Resampler(settings.sample_rate_hz)
        self._endpointer = SpeechEndpointer(
            ears.detectors.stream(), settings.threshold, settings.silence_ms(DEFAULT_SILENCE_MS)
        )
        self._backlog_bytes = 0  # audio that waits in `_pieces`
        self._pieces: asyncio.Queue[bytes | Committed | None] = asyncio.Queue(MAX_WAITING_PIECES)
        self._unheard: list[Committed | None] = []  # the one that was taken out of `_pieces` before its turn
        self._utterance: HeardUtterance | None = None
        self._partial: asyncio.Task[Transcript | None] | None = None
        self._uncommitted = False  # push-to-talk: there is audio after the last commit
        self._told_ms = 0  # how far the caller knows that we have listened
        self._held: list[HeardWord] = []  # push-to-talk: words before a pause, for the Final at the commit
        self._held_span: tuple[int, int] | None = None

    async def run(self, requests: AsyncIterator[stt_pb2.RecognizeRequest]) -> None:
        """Run until the caller has closed its side and everything is answered."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._take(requests), name="stt: take")
            listening = group.create_task(self._listen(), name="stt: listen")
            if self._settings.progress:
                alive = group.create_task(self._show_life(), name="stt: show life")
                listening.add_done_callback(lambda _: alive.cancel())

    async def _send(self, response: stt_pb2.RecognizeResponse) -> None:
        self._silent = self._unanswered = False
        await self._answers.tell(response)

    async def _show_life(self) -> None:
        """Send signs of life, so that a long decode or speech without partials is not taken for a hang."""
        while True:
            await asyncio.sleep(LIFE_S)
            if self._silent and (
                self._unanswered or self._at_work or self._endpointer.in_speech or self._held or self._uncommitted
            ):
                await self._answers.tell_now(stt_pb2.RecognizeResponse(progress=stt_pb2.Progress(at_ms=self._told_ms)))
            self._silent = True

    # --- taking ---

    async def _take(self, requests: AsyncIterator[stt_pb2.RecognizeRequest]) -> None:
        async for request in requests:
            self._unanswered = True
            match request.WhichOneof("request"):
                case "audio":
                    await self._audio(request.audio)
                case "commit":
                    await self._pieces.put(Committed())
                    self._uncommitted = False
                case "config":
                    raise InvalidRequestError("config was sent twice: it belongs into the first message only")
                case _:
                    raise InvalidRequestError("a message carried neither audio nor commit")
        await self._put(self._resampler.flush())
        if self._uncommitted:
            await self._pieces.put(Committed())
        await self._pieces.put(None)

    async def _put(self, pcm: bytes) -> None:
        self._backlog_bytes += len(pcm)
        await self._pieces.put(pcm)

    async def _audio(self, pcm: bytes) -> None:
        if len(pcm) % BYTES_PER_SAMPLE:
            raise InvalidRequestError(f"{len(pcm)} bytes of audio: 16-bit samples take an even number")
        self._uncommitted = not self._settings.endpointing and (self._uncommitted or bool(pcm))
        step = self._settings.sample_rate_hz * HEARD_AT_ONCE_MS // 1000 * BYTES_PER_SAMPLE
        for start in range(0, len(pcm), step):
            await self._put(self._resampler.feed(pcm[start : start + step]))
            if start:
                await asyncio.sleep(0)  # let others run

    # --- listening ---

    async def _listen(self) -> None:
        while (piece := await self._next_piece()) is not None:
            self._at_work = True
            if isinstance(piece, Committed):
                await self._answer_commit()
            else:
                await self._hear(piece)
            self._at_work = False
        self._at_work = True
        for event in self._endpointer.flush():
            await self._on(event)

    async def _hear(self, piece: bytes) -> None:
        self._endpointer.push(piece)
        while (event := self._endpointer.next()) is not None:
            await self._on(event)
        self._look_ahead()
        await self._look()
        await self._tell_progress()

    async def _tell_progress(self) -> None:
        """Report progress now and then during silence, so that the caller can drop the audio before it."""
        now_ms = self._endpointer.now_ms
        nothing_open = not self._endpointer.in_speech and not self._held
        if self._settings.progress and nothing_open and now_ms - self._told_ms >= PROGRESS_MS:
            self._told_ms = now_ms
            await self._send(stt_pb2.RecognizeResponse(progress=stt_pb2.Progress(at_ms=now_ms)))

    async def _next_piece(self) -> bytes | Committed | None:
        if self._unheard:
            return self._unheard.pop()
        try:
            async with asyncio.timeout(IDLE_S if self._endpointer.in_speech else None):
                piece = await self._pieces.get()
        except TimeoutError:
            for event in self._endpointer.flush():
                await self._on(event)
            return b""
        if isinstance(piece, bytes):
            self._backlog_bytes -= len(piece)
        return piece

    @property
    def _is_file(self) -> bool:
        """Whether audio comes faster than it is heard, to somebody who waits for finals only."""
        wants_more = self._settings.interim_results or self._settings.progress
        return not wants_more and self._backlog_bytes > UNSURE_MS * BYTES_PER_MS

    async def _on(self, event: EndpointEvent) -> None:
        if isinstance(event, SpeechBegan):
            await self._begin(event)
            return
        utterance = self._utterance
        assert utterance is not None, "an utterance begins before all else"
        match event:
            case SpeechWent():
                utterance.add(event.pcm)
            case SpeechPaused():
                await self._pause(utterance, event.at_ms)
            case SpeechWentOn():
                await self._go_on(utterance, event.at_ms)
            case SpeechEnded():
                await self._end(utterance, event.at_ms)

    async def _begin(self, began: SpeechBegan) -> None:
        if self._held_span is None:
            await self._send(stt_pb2.RecognizeResponse(speech_started=stt_pb2.SpeechStarted(at_ms=began.at_ms)))
        self._utterance = HeardUtterance(began, self._settings.vocabulary, _text(self._held))

    async def _pause(self, utterance: HeardUtterance, at_ms: int) -> None:
        """Decode what was said; its words determine how long the pause may be."""
        if not self._settings.endpointing:
            return
        if self._is_file:  # the silence alone tells: what follows is cut while this is decoded
            self._endpointer.silence_needed_ms = self._settings.silence_ms(UNSURE_MS)
            return
        self._drop_partial()
        job = self._pause_job(utterance)
        decoding = self._group.create_task(self._pause_seen(utterance, job), name="stt: look at a pause")
        self._endpointer.silence_needed_ms = self._settings.silence_ms(COMPLETE_MS)  # no words end a turn sooner
        if await self._goes_on(decoding):
            decoding.cancel()  # what is said now will be decoded with what follows
            return
        seen, complete = await decoding
        utterance.at_pause = seen
        if seen.doubtful:  # the pause is long enough for it, mostly
            look = self._pool.glance(replace(job, closer=True))
            utterance.closer = self._group.create_task(look, name="stt: look closer")
        if self._settings.interim_results:
            await self._show(utterance, seen)  # the partial under way was dropped, so send this one
        text = seen.text
        needed_ms = silence_needed_ms(text, complete)
        self._endpointer.silence_needed_ms = self._settings.silence_ms(needed_ms)
        if text and needed_ms < OPEN_MS:
            utterance.eager_told = True
            await self._send(stt_pb2.RecognizeResponse(eager_end=stt_pb2.EagerEnd(at_ms=at_ms, text=text)))

    async def _goes_on(self, decoding: asyncio.Task[tuple[Transcript, float | None]]) -> bool:
        """Listen until a pause is decoded. True at once if speech goes on before the pause could end the utterance."""
        while not decoding.done():
            goes_on = self._endpointer.goes_on_within(self._endpointer.silence_needed_ms)
            if goes_on:
                return True
            if goes_on is None and self._overhear():
                continue
            await asyncio.wait({decoding}, timeout=OVERHEAR_S if goes_on is None and not self._unheard else None)
        return False

    def _overhear(self) -> bool:
        """Let the detector hear the next audio, if there is some. A commit, or the end, waits for its turn."""
        if self._unheard or self._pieces.empty():
            return False
        piece = self._pieces.get_nowait()
        if not isinstance(piece, bytes):
            self._unheard.append(piece)
            return False
        self._backlog_bytes -= len(piece)
        self._endpointer.push(piece)
        return True

    async def _pause_seen(self, utterance: HeardUtterance, job: Job) -> tuple[Transcript, float | None]:
        return await asyncio.gather(self._seen(utterance, job), self._judged(utterance.pcm))

    def _look_ahead(self) -> None:
        """Ask for the decode of a pause before it is certain. What comes until then is silence."""
        utterance, silence = self._utterance, self._endpointer.silence
        if self._backlog_bytes:
            return  # what waits tells more, and is heard at once
        if utterance is None or not self._settings.endpointing or utterance.at_pause is not None or self._is_file:
            return
        if utterance.ahead is not None and utterance.ahead_in != silence:
            utterance.drop_ahead()
        if utterance.ahead is None and self._endpointer.falling_silent:
            utterance.ahead_in = silence
            work = self._decode_ahead(self._pause_job(utterance))
            utterance.ahead = self._group.create_task(work, name="stt: look ahead")

    def _pause_job(self, utterance: HeardUtterance) -> Job:
        return utterance.final_job(self._endpointer.spoken_until_ms)

    async def _decode_ahead(self, job: Job) -> Transcript | None:
        try:
            return await self._pool.glance(job)
        except DecoderDiedError:
            return None  # decoded again at the pause, which will report it

    async def _seen(self, utterance: HeardUtterance, job: Job) -> Transcript:
        """What was said until this pause, perhaps decoded ahead of it."""
        ahead, utterance.ahead = utterance.ahead, None
        if ahead is not None and utterance.ahead_in == self._endpointer.silence:
            early = await ahead
            # a partial may have promised more meanwhile
            if early is not None and (early.doubtful or begins_with(early.text, job.promised)):
                return early
        elif ahead is not None:
            ahead.cancel()
        return await self._pool.glance(job)

    async def _judged(self, pcm: bytes) -> float | None:
        """How probably the turn is complete, if a model for that is configured."""
        return None if self._turn_model is None else await asyncio.to_thread(self._turn_model.complete, pcm)

    async def _go_on(self, utterance: HeardUtterance, at_ms: int) -> None:
        utterance.forget_pause()
        if utterance.eager_told:
            utterance.eager_told = False
            await self._send(stt_pb2.RecognizeResponse(speech_resumed=stt_pb2.SpeechResumed(at_ms=at_ms)))

    # --- partials ---

    async def _look(self) -> None:
        """Decode what was said so far, if it is time. After a late partial it may be time for the next one at once."""
        utterance = self._utterance
        if not self._settings.interim_results or utterance is None or utterance.at_pause is not None:
            return
        while self._partial is not None or utterance.partial_due():
            if self._partial is None:
                if self._endpointer.falling_silent:
                    return
                self._partial = self._group.create_task(self._decode_partial(utterance), name="stt: partial")
                self._partial.add_done_callback(self._wake)
                # a microphone's next audio tells whether the voice has ended, so it is heard at once
                behind = self._backlog_bytes >= BEHIND_MS * BYTES_PER_MS
                await asyncio.wait({self._partial}, timeout=PARTIAL_WAIT_S if behind else 0)
            if not self._partial.done():
                return
            transcript, self._partial = self._partial.result(), None
            if transcript is not None:
                await self._show(utterance, transcript)

    async def _show(self, utterance: HeardUtterance, transcript: Transcript) -> None:
        """Send a partial if its text is new."""
        partial = utterance.partial(transcript)
        if partial is not None:
            message = stt_pb2.Partial(text=partial[0], stable_chars=partial[1])
            await self._send(stt_pb2.RecognizeResponse(partial=message))

    def _wake(self, _partial: object) -> None:
        """Check for a late partial although no audio comes."""
        if self._pieces.empty():
            self._pieces.put_nowait(b"")

    async def _decode_partial(self, utterance: HeardUtterance) -> Transcript | None:
        began_s = time.monotonic()
        try:
            # where the voice has just ended, the pause is decoded in a moment, and a partial would be in its way
            transcript = await self._pool.glance(
                utterance.partial_job(),
                lambda: self._endpointer.falling_silent,
                utterance.partial_job,
            )
        except DecoderDiedError:
            return None  # the final will report it
        # without words there is nothing to show yet, and the first words are not to wait
        utterance.partial_took((time.monotonic() - began_s) * 1000 if transcript.text else 0.0)
        return transcript

    def _drop_partial(self) -> None:
        if self._partial is not None:
            self._partial.cancel()
            self._partial = None

    # --- ends ---

    async def _end(self, utterance: HeardUtterance, end_ms: int) -> None:
        self._drop_partial()
        utterance.drop_ahead()
        self._utterance = None
        if self._settings.endpointing:
            await self._send(stt_pb2.RecognizeResponse(speech_stopped=stt_pb2.SpeechStopped(at_ms=end_ms)))
        if self._is_file and self._settings.endpointing:
            answer = self._group.create_task(self._decoded(utterance, end_ms), name="stt: final")
            await self._answers.owe(answer, self._group)
        elif self._settings.endpointing:
            await self._send(await self._decoded(utterance, end_ms))
        else:
            self._held += await self._words(utterance, end_ms)
            self._held_span = (self._held_span[0] if self._held_span else utterance.at_ms, end_ms)

    async def _decoded(self, utterance: HeardUtterance, end_ms: int) -> stt_pb2.RecognizeResponse:
        return _final(await self._words(utterance, end_ms), utterance.at_ms, end_ms)

    async def _words(self, utterance: HeardUtterance, end_ms: int) -> list[HeardWord]:
        transcript = utterance.at_pause
        if utterance.closer is not None:
            transcript = await utterance.closer
        elif transcript is None:
            transcript = await self._pool.decode(utterance.final_job(end_ms))
        return list(utterance.in_stream(transcript))

    async def _answer_commit(self) -> None:
        """Answer a commit with a Final, even if it is empty."""
        events = self._endpointer.flush()
        for event in events:
            await self._on(event)
        now_ms = self._endpointer.now_ms
        if self._settings.endpointing:
            if not events:
                await self._send(_final([], now_ms, now_ms))
            return
        start_ms, end_ms = self._held_span or (now_ms, now_ms)
        if self._held_span:
            await self._send(stt_pb2.RecognizeResponse(speech_stopped=stt_pb2.SpeechStopped(at_ms=end_ms)))
        words, self._held, self._held_span = self._held, [], None
        await self._send(_final(words, start_ms, end_ms))


def _final(words: list[HeardWord], start_ms: int, end_ms: int) -> stt_pb2.RecognizeResponse:
    final = stt_pb2.Final(
        text=_text(words),
        confidence=confidence(tuple(words)),
        start_ms=start_ms,
        end_ms=end_ms,
        words=[
            stt_pb2.Word(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms, confidence=word.confidence)
            for word in words
        ],
    )
    return stt_pb2.RecognizeResponse(final=final)


def _text(words: list[HeardWord]) -> str:
    return " ".join(word.text for word in words)
