"""One utterance: turns pieces of text into audio in small chunks, each with the words that begin in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protos import tts_pb2
from server.embedded.tts.level import with_soft_edges
from server.embedded.tts.tempo import Tempo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.embedded.tts.engine import Spoken
    from server.embedded.tts.manner import Manner
    from server.embedded.tts.pieces import Piece

CHUNK_MS = 60
BYTES_PER_SAMPLE = 2

_TOKEN = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as written, with its times in milliseconds of the engine's audio of its piece."""

    text: str
    start_ms: float
    end_ms: float


def timed_words(text: str, spoken: Spoken, duration_ms: float) -> list[TimedWord]:
    """The whitespace-separated words. Each ends where the engine says, or at the next one; without marks, times are shared by letters.

    Whatever an engine tells, they lie within the audio, in order, and none ends before it begins.
    """
    tokens = [(match.start(), match.end(), match[0]) for match in _TOKEN.finditer(text)]
    timed: list[tuple[str, float, float | None]] = []
    marks = iter(spoken.marks)
    mark = next(marks, None)
    begun_ms = 0.0
    for _, end, token in tokens:
        first_ms = end_ms = None
        while mark is not None and mark.position < end:
            first_ms, end_ms = (mark.at_ms if first_ms is None else first_ms), mark.end_ms
            mark = next(marks, None)
        if first_ms is not None:
            begun_ms = min(max(begun_ms, first_ms), duration_ms)
            timed.append((token, begun_ms, end_ms))
    if not timed:
        return _shared_out(tokens, duration_ms)
    nexts = [start_ms for _, start_ms, _ in timed[1:]] + [duration_ms]
    return [
        TimedWord(token, start_ms, max(start_ms, next_ms if end_ms is None else min(end_ms, next_ms)))
        for (token, start_ms, end_ms), next_ms in zip(timed, nexts, strict=True)
    ]


def _shared_out(tokens: list[tuple[int, int, str]], duration_ms: float) -> list[TimedWord]:
    total = sum(len(token) for _, _, token in tokens)
    words, position_ms = [], 0.0
    for _, _, token in tokens:
        end_ms = position_ms + duration_ms * len(token) / total
        words.append(TimedWord(token, position_ms, end_ms))
        position_ms = end_ms
    return words


class Speech:
    """Audio position and tempo of one call."""

    def __init__(self, manner: Manner, rate_hz: int) -> None:
        self._manner = manner
        self._rate_hz = rate_hz
        self._tempo = Tempo(manner.tempo, rate_hz)
        self._taken_bytes = self._sent_bytes = 0  # of the engine's audio; of the caller's
        self._pause_ms = 0.0

    @property
    def silent(self) -> bool:
        """True if nothing has been said yet."""
        return self._taken_bytes == 0

    def responses(self, piece: Piece, spoken: Spoken) -> Iterator[tts_pb2.SynthesizeResponse]:
        """Words and audio of a piece, alternating."""
        if not spoken.pcm:
            return
        yield from self._audio(bytes(self._n_bytes(self._pause_ms)))
        began_ms = self._ms(self._taken_bytes)
        duration_ms = self._ms(len(spoken.pcm))
        waiting = timed_words(piece.text, spoken, duration_ms)
        pcm, step = with_soft_edges(spoken.pcm, self._rate_hz), self._n_bytes(CHUNK_MS)
        for start in range(0, len(pcm), step):
            chunk_end_ms = self._ms(start + step)
            last = start + step >= len(pcm)
            begun = [word for word in waiting if last or word.start_ms < chunk_end_ms]
            if begun:
                waiting = waiting[len(begun) :]
                yield self._words(begun, began_ms)
            yield from self._audio(pcm[start : start + step])
        self._pause_ms = piece.boundary.value / self._manner.engine_speed

    def finish(self) -> Iterator[tts_pb2.SynthesizeResponse]:
        """The rest of the tempo filter's audio, and the end."""
        yield from self._sent(self._tempo.drain())
        missing_ms = self._ms(self._taken_bytes) / self._manner.tempo - self._ms(self._sent_bytes)
        yield from self._sent(bytes(self._n_bytes(max(0.0, missing_ms))))  # the filter drops its last window
        yield tts_pb2.SynthesizeResponse(done=tts_pb2.Done(duration_ms=round(self._ms(self._sent_bytes))))

    def _audio(self, pcm: bytes) -> Iterator[tts_pb2.SynthesizeResponse]:
        self._taken_bytes += len(pcm)
        yield from self._sent(self._tempo.feed(pcm))

    def _sent(self, pcm: bytes) -> Iterator[tts_pb2.SynthesizeResponse]:
        if pcm:
            self._sent_bytes += len(pcm)
            yield tts_pb2.SynthesizeResponse(audio=pcm)

    def _words(self, words: list[TimedWord], began_ms: float) -> tts_pb2.SynthesizeResponse:
        tempo = self._manner.tempo
        timed = [
            tts_pb2.Word(
                text=word.text,
                start_ms=int((began_ms + word.start_ms) / tempo),  # rounded up, a word could end after the audio
                end_ms=int((began_ms + word.end_ms) / tempo),
            )
            for word in words
        ]
        return tts_pb2.SynthesizeResponse(words=tts_pb2.Words(words=timed))

    def _ms(self, n_bytes: int) -> float:
        return n_bytes * 1000 / (BYTES_PER_SAMPLE * self._rate_hz)

    def _n_bytes(self, ms: float) -> int:
        return round(ms * self._rate_hz / 1000) * BYTES_PER_SAMPLE
