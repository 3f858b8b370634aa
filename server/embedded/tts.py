"""M3, text-to-speech: eSpeak NG, sentence by sentence, so that the first is heard while the last is still being written."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import grpc.aio

from protos import tts_pb2, tts_pb2_grpc
from server.embedded.espeak import FASTEST_WPM, NORMAL_WPM, SLOWEST_WPM, Chunk, Espeak, EspeakVoice
from server.embedded.service import EmbeddedConfig, EmbeddedService
from server.embedded.tempo import Tempo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEFAULT_VOICE = "en-us"
MAX_PIECE_CHARS = 300  # of one synthesis: what another speaker may have to wait for, some 20 ms
MAX_TEXT_CHARS = 100_000
MIN_SPEED, MAX_SPEED = 0.25, 4.0
BYTES_PER_SAMPLE = 2

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|\s+")
_GOOGLE_NAME = re.compile(r"([a-z]{2,3}-[A-Z]{2})-(?:[A-Za-z0-9]+-)+?([A-Z])\Z")
# Google's letters tell nothing but which voice it is; of its en-US voices these are men
_MALE_LETTERS = "ABDIJ"


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak: eSpeak's voice and rate, and what is left of the speed beyond eSpeak's own range."""

    voice: str
    wpm: int
    tempo: float


class UnknownVoiceError(Exception):
    """There is no such voice."""


def google_voice(name: str, languages: set[str]) -> str | None:
    """ESpeak's voice for a name such as en-US-Standard-A: the language, and a variant by the letter."""
    found = _GOOGLE_NAME.match(name)
    if found is None:
        return None
    language = found[1].lower()
    base = language if language in languages else language.partition("-")[0]
    if base not in languages:
        return None
    letter = found[2]
    number = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(letter)
    return f"{base}+m{number % 8 + 1}" if letter in _MALE_LETTERS else f"{base}+f{number % 5 + 1}"


def manner(config: tts_pb2.SynthesizeConfig, voices: list[EspeakVoice]) -> Manner:
    """Raises UnknownVoiceError."""
    languages = {voice.language for voice in voices}
    speed = min(MAX_SPEED, max(MIN_SPEED, config.speed or 1.0))
    wpm = round(min(FASTEST_WPM, max(SLOWEST_WPM, NORMAL_WPM * speed)))
    return Manner(_voice(config.voice, config.language.lower(), languages), wpm, NORMAL_WPM * speed / wpm)


def _voice(name: str, language: str, languages: set[str]) -> str:
    if not name:
        for candidate in (language, language.partition("-")[0], DEFAULT_VOICE if not language else ""):
            if candidate in languages:
                return candidate
        raise UnknownVoiceError(f"no voice speaks {language}")
    base = name.partition("+")[0].lower()
    if base in languages:
        return name.lower()
    mapped = google_voice(name, languages)
    if mapped is None:
        raise UnknownVoiceError(f"there is no voice {name}: ListVoices names them")
    return mapped


def pieces(text: str) -> list[str]:
    """Whole sentences, long ones cut at clauses or words; joined again they are the text."""
    sentences = _split(text, _SENTENCE_END)
    return [part for sentence in sentences for part in _cut(sentence)]


def _split(text: str, at: re.Pattern[str]) -> list[str]:
    ends = [match.end() for match in at.finditer(text)]
    starts = [0, *ends]
    return [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True) if text[start:end]]


def _cut(sentence: str) -> list[str]:
    if len(sentence) <= MAX_PIECE_CHARS:
        return [sentence]
    parts: list[str] = []
    for word in _split(sentence, _CLAUSE_END):
        for start in range(0, len(word), MAX_PIECE_CHARS):
            bit = word[start : start + MAX_PIECE_CHARS]
            if parts and len(parts[-1]) + len(bit) <= MAX_PIECE_CHARS:
                parts[-1] += bit
            else:
                parts.append(bit)
    return parts


def speakable(text: str) -> str:
    """Control characters become spaces: positions stay, and eSpeak takes none for a command."""
    return "".join(" " if unicodedata.category(char) in {"Cc", "Cs"} else char for char in text)


class Speaker:
    """One utterance: the text so far, the audio position so far."""

    def __init__(self, service: TextToSpeechService, how: Manner, rate_hz: int) -> None:
        self._service = service
        self._how = how
        self._rate_hz = rate_hz
        self._tempo = Tempo(how.tempo, rate_hz)
        self._spoken_ms = 0.0

    async def say(self, text: str) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        """Audio and words of one piece."""
        began_ms = self._spoken_ms
        clean = speakable(text)
        async for chunk in self._service.synthesise(clean, self._how):
            if chunk.words:
                yield self._words(text, chunk.words, began_ms)
            pcm = self._tempo.feed(chunk.pcm)
            if pcm:
                self._spoken_ms += len(pcm) * 1000 / (BYTES_PER_SAMPLE * self._rate_hz)
                yield tts_pb2.SynthesizeResponse(audio=pcm)

    async def finish(self) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        """What the tempo filter still holds, and the end."""
        pcm = self._tempo.drain()
        if pcm:
            self._spoken_ms += len(pcm) * 1000 / (BYTES_PER_SAMPLE * self._rate_hz)
            yield tts_pb2.SynthesizeResponse(audio=pcm)
        yield tts_pb2.SynthesizeResponse(done=tts_pb2.Done(duration_ms=round(self._spoken_ms)))

    def _words(self, text: str, events: list[tuple[int, int, int]], began_ms: float) -> tts_pb2.SynthesizeResponse:
        """A word lasts until the next begins; the last of a chunk gets a length by its letters."""
        words = []
        for index, (position, length, at_ms) in enumerate(events):
            start_ms = began_ms + at_ms / self._how.tempo
            per_letter_ms = 60_000 / (self._how.wpm * 6) / self._how.tempo
            following = events[index + 1][2] / self._how.tempo + began_ms if index + 1 < len(events) else None
            end_ms = following if following is not None else start_ms + length * per_letter_ms
            written = text[position : position + length].strip()
            words.append(tts_pb2.Word(text=written, start_ms=round(start_ms), end_ms=round(end_ms)))
        return tts_pb2.SynthesizeResponse(words=tts_pb2.Words(words=words))


class TextToSpeechService(EmbeddedService, tts_pb2_grpc.TextToSpeechServicer):
    """See the module."""

    name: ClassVar[str] = "tts"
    full_name: ClassVar[str] = "jarvis.tts.v1.TextToSpeech"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="espeak")
        self._espeak: Espeak | None = None
        self._voices: list[EspeakVoice] = []

    async def start(self) -> None:
        """Load the library. Raises MissingPartError."""
        loop = asyncio.get_running_loop()
        self._espeak = await loop.run_in_executor(self._thread, Espeak)
        self._voices = await loop.run_in_executor(self._thread, self._espeak.voices)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        tts_pb2_grpc.add_TextToSpeechServicer_to_server(self, server)

    async def stop(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def synthesise(self, text: str, how: Manner) -> AsyncIterator[Chunk]:
        """Chunks as they are made in the thread; leaving the loop stops the synthesis."""
        assert self._espeak is not None
        espeak, loop = self._espeak, asyncio.get_running_loop()
        made: asyncio.Queue[Chunk | None] = asyncio.Queue()
        wanted = True

        def take(chunk: Chunk) -> bool:
            loop.call_soon_threadsafe(made.put_nowait, chunk)
            return wanted

        def work() -> None:
            if wanted and espeak.select(how.voice, how.wpm):
                espeak.speak(text, take)
            loop.call_soon_threadsafe(made.put_nowait, None)

        future = loop.run_in_executor(self._thread, work)
        try:
            while (chunk := await made.get()) is not None:
                yield chunk
        finally:
            wanted = False
            await asyncio.shield(future)

    async def ListVoices(  # noqa: N802 - gRPC's name
        self, request: tts_pb2.ListVoicesRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> tts_pb2.ListVoicesResponse:
        """Those whose language begins with the one asked for."""
        wanted = request.language.lower()
        rate_hz = self._espeak.sample_rate_hz if self._espeak else 0
        return tts_pb2.ListVoicesResponse(
            voices=[
                tts_pb2.Voice(
                    id=voice.language,
                    name=voice.name,
                    language=_tag(voice.language),
                    gender=voice.gender,
                    sample_rate_hz=rate_hz,
                )
                for voice in self._voices
                if not wanted or voice.language == wanted or voice.language.startswith(f"{wanted}-")
            ]
        )

    async def Synthesize(  # noqa: N802 - gRPC's name
        self, requests: AsyncIterator[tts_pb2.SynthesizeRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        """Speak what comes, sentence by sentence."""
        how = await self._manner(requests, context)
        assert self._espeak is not None
        rate_hz = self._espeak.sample_rate_hz
        yield tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=rate_hz, voice=how.voice))
        speaker = Speaker(self, how, rate_hz)
        async for piece in self._pieces(requests, context):
            async for response in speaker.say(piece):
                yield response
        async for response in speaker.finish():
            yield response

    async def _manner(
        self, requests: AsyncIterator[tts_pb2.SynthesizeRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> Manner:
        async for first in requests:
            if first.WhichOneof("request") != "config":
                break
            try:
                return manner(first.config, self._voices)
            except UnknownVoiceError as unknown:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(unknown))
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message has to carry config")
        raise AssertionError("abort raises")

    async def _pieces(
        self, requests: AsyncIterator[tts_pb2.SynthesizeRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[str]:
        """Whole sentences as soon as they are complete, the rest at the end."""
        waiting, chars = "", 0
        async for request in requests:
            if request.WhichOneof("request") != "text":
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "config comes first, and once")
            chars += len(request.text)
            if chars > MAX_TEXT_CHARS:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"a text may have {MAX_TEXT_CHARS} characters")
            *complete, waiting = _complete(waiting + request.text)
            for piece in complete:
                yield piece
        for piece in pieces(waiting):
            yield piece


def _complete(text: str) -> list[str]:
    """Pieces, the last of them still open (perhaps empty)."""
    parts = pieces(text)
    ended = bool(parts) and _SENTENCE_END.search(parts[-1] + " x") is not None and parts[-1][-1:].isspace()
    return [*parts, ""] if ended else parts or [""]


def _tag(language: str) -> str:
    """en-us → en-US (BCP 47's usual spelling)."""
    first, *rest = language.split("-")
    return "-".join([first, *(part.upper() if len(part) == 2 else part for part in rest)])
