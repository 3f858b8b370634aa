"""Transcribes a whole file with the streaming recogniser that live microphones use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server.audio.decode import PCM_RATE_HZ
from server.audio.formats import BYTES_PER_SAMPLE
from streaming.ports import FinalTranscript, RecognitionConfig, TaskProgress

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.audio.upload import UploadDecoder
    from streaming.ports import CallContext, RecognitionStream, SpeechToText, Word

# Two seconds sent ahead of the service, which sets the pace.
WINDOW_BYTES = 2 * PCM_RATE_HZ * BYTES_PER_SAMPLE

PROGRESS_STEP_PERCENT = 5


@dataclass(slots=True)
class FileTranscript:
    """All utterances. `confidence` is their mean, weighted by their number of words."""

    utterances: list[FinalTranscript] = field(default_factory=list)
    duration_ms: int = 0

    @property
    def text(self) -> str:
        """The whole text."""
        return " ".join(spoken.text for spoken in self.utterances if spoken.text)

    @property
    def confidence(self) -> float:
        """0 to 1; 0 if nothing was said."""
        weights = [len(spoken.text.split()) for spoken in self.utterances]
        total = sum(weights)
        if not total:
            return 0.0
        return sum(spoken.confidence * weight for spoken, weight in zip(self.utterances, weights, strict=True)) / total

    @property
    def words(self) -> list[Word]:
        """All words, with their times in the file."""
        return [word for spoken in self.utterances for word in spoken.words]


class _Feed:
    """Sends PCM to the recogniser, at most WINDOW_BYTES ahead of what the service has taken."""

    def __init__(self, decoder: UploadDecoder, progress: Callable[[TaskProgress], None]) -> None:
        self._decoder = decoder
        self._progress = progress
        self._told_percent = 0
        self._ahead_bytes = 0
        self._taken = asyncio.Event()

    def taken(self, n_bytes: int) -> None:
        """The service has taken that many bytes."""
        self._ahead_bytes -= n_bytes
        self._taken.set()

    async def run(self, first: bytes, stream: RecognitionStream) -> None:
        """Send all pieces, then the end."""
        piece: bytes | None = first
        while piece is not None:
            await self._room()
            self._ahead_bytes += len(piece)
            stream.send_audio(piece)
            self._tell()
            piece = await self._decoder.next_piece()
        stream.end()

    def _tell(self) -> None:
        percent = self._decoder.read_percent
        if percent >= self._told_percent + PROGRESS_STEP_PERCENT:
            self._told_percent = percent
            self._progress(TaskProgress("listening", percent))

    async def _room(self) -> None:
        while self._ahead_bytes >= WINDOW_BYTES:
            self._taken.clear()
            await self._taken.wait()


async def transcribe(
    decoder: UploadDecoder,
    language: str,
    speech_to_text: SpeechToText,
    context: CallContext,
    progress: Callable[[TaskProgress], None],
    vocabulary: tuple[str, ...] = (),
    heard: Callable[[FinalTranscript], None] | None = None,
) -> FileTranscript:
    """All utterances of the file. Raises UnreadableAudioError, AudioTooLongError and ServiceError.

    `progress` is told each utterance as it is heard, and how much of the file has been read. `heard` gets the utterances whole.
    """
    first = await decoder.next_piece()  # decode before opening a stream: the file may be unreadable
    if first is None:
        return FileTranscript()
    feed = _Feed(decoder, progress)
    config = RecognitionConfig(language=language, sample_rate_hz=PCM_RATE_HZ, interim=False, vocabulary=vocabulary)
    stream = speech_to_text.recognize(config, context, feed.taken)
    try:
        utterances = await _recognized(feed, first, stream, progress, heard)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None  # reading and recognising do not fail together; report the first failure
    finally:
        stream.cancel()
    return FileTranscript(utterances, decoder.duration_ms)


async def _recognized(
    feed: _Feed,
    first: bytes,
    stream: RecognitionStream,
    progress: Callable[[TaskProgress], None],
    heard: Callable[[FinalTranscript], None] | None,
) -> list[FinalTranscript]:
    utterances: list[FinalTranscript] = []
    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(feed.run(first, stream), name="upload to speech-to-text")
        async for event in stream:
            if isinstance(event, FinalTranscript):
                utterances.append(event)
                progress(TaskProgress(f"heard until {event.end_ms} ms", data=event.text))
                if heard is not None:
                    heard(event)
        feeding.cancel()  # the service ended early
    return utterances
