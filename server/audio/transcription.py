"""A whole file to one transcript, through the same streaming recogniser that live microphones use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server.audio.decode import BYTES_PER_SAMPLE, PCM_RATE_HZ
from server.workers import in_codec_thread
from streaming.ports import FinalTranscript, RecognitionConfig

if TYPE_CHECKING:
    from server.audio.decode import UploadDecoder
    from streaming.ports import CallContext, RecognitionStream, SpeechToText, Word

WINDOW_BYTES = (
    2 * PCM_RATE_HZ * BYTES_PER_SAMPLE
)  # two seconds handed over and not yet taken: the service sets the pace


@dataclass(slots=True)
class Transcript:
    """Utterances joined. `confidence` is their mean, each weighing as many words as it has."""

    utterances: list[FinalTranscript] = field(default_factory=list)
    duration_ms: int = 0

    @property
    def text(self) -> str:
        """Everything said."""
        return " ".join(spoken.text for spoken in self.utterances if spoken.text)

    @property
    def confidence(self) -> float:
        """0 to 1; 0 when nothing was said."""
        weights = [len(spoken.text.split()) for spoken in self.utterances]
        total = sum(weights)
        if not total:
            return 0.0
        return sum(spoken.confidence * weight for spoken, weight in zip(self.utterances, weights, strict=True)) / total

    @property
    def words(self) -> list[Word]:
        """With times in the file."""
        return [word for spoken in self.utterances for word in spoken.words]


class _Feed:
    """Hands PCM to the recogniser, at most WINDOW_BYTES ahead of what has left for the service."""

    def __init__(self, decoder: UploadDecoder) -> None:
        self._decoder = decoder
        self._ahead_bytes = 0
        self._taken = asyncio.Event()

    def taken(self, n_bytes: int) -> None:
        """So much has left for the service."""
        self._ahead_bytes -= n_bytes
        self._taken.set()

    async def run(self, first: bytes, stream: RecognitionStream) -> None:
        """All pieces, then the end."""
        piece: bytes | None = first
        while piece is not None:
            await self._room()
            self._ahead_bytes += len(piece)
            stream.send_audio(piece)
            piece = await in_codec_thread(self._decoder.next_piece)
        stream.end()

    async def _room(self) -> None:
        while self._ahead_bytes >= WINDOW_BYTES:
            self._taken.clear()
            await self._taken.wait()


async def transcribe(
    decoder: UploadDecoder, language: str, speech_to_text: SpeechToText, context: CallContext
) -> Transcript:
    """All utterances of the file. Raises UnreadableAudioError, AudioTooLongError and ServiceError."""
    first = await in_codec_thread(decoder.next_piece)  # an unreadable file never opens a stream
    if first is None:
        return Transcript()
    feed = _Feed(decoder)
    config = RecognitionConfig(language=language, sample_rate_hz=PCM_RATE_HZ, interim=False)
    stream = speech_to_text.recognize(config, context, feed.taken)
    try:
        utterances = await _recognized(feed, first, stream)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None  # reading and hearing fail one at a time: whichever was first
    finally:
        stream.cancel()
    return Transcript(utterances, decoder.duration_ms)


async def _recognized(feed: _Feed, first: bytes, stream: RecognitionStream) -> list[FinalTranscript]:
    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(feed.run(first, stream), name="upload to speech-to-text")
        utterances = [event async for event in stream if isinstance(event, FinalTranscript)]
        feeding.cancel()  # a service that ended early leaves nobody to feed
    return utterances
