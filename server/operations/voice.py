"""M2 speech-to-text and M3 text-to-speech for whole files; live audio uses the socket's channels."""

from __future__ import annotations

import asyncio
import unicodedata
from contextlib import aclosing
from typing import IO, TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from server.audio.errors import AudioTooLongError, UnreadableAudioError
from server.audio.formats import AUDIO_FORMATS, MAX_RATE_HZ, MIN_RATE_HZ
from server.audio.speech import speech_file
from server.audio.transcription import transcribe as transcribe_upload
from server.audio.upload import UploadDecoder
from server.errors import ApiError
from server.operations.fields import AS_WHOLE, MAX_SPEECH_CHARS, Language
from server.operations.operation import (
    KIB,
    Access,
    Operation,
    RequestModel,
    ResponseModel,
    Streaming,
)
from server.operations.validation import invalid
from streaming.ports import SynthesisConfig

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from server.audio.transcription import FileTranscript
    from server.gateway import Gateway
    from server.operations.operation import Caller
    from streaming.ports import FinalTranscript

LIMIT_S = 600.0  # for a whole upload, its wait too: so long our examples of proxies wait for an answer
UPLOAD_BYTES = 32 * 1024 * KIB  # ten minutes of 16-bit mono at 24 kHz, hours of Opus


class TranscribeRequest(RequestModel):
    """The form fields beside the file `audio`."""

    language: Language = "en-US"


class WordAnswer(ResponseModel):
    """A word and its position in the file."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


class TranscriptAnswer(ResponseModel):
    """All utterances of the file. `confidence`: mean weighted by words; 0 if nothing was said."""

    text: str
    language: str
    confidence: float = Field(ge=0, le=1)
    duration_ms: int
    words: list[WordAnswer]


def _transcript_answer(transcript: FileTranscript, language: str) -> TranscriptAnswer:
    words = [
        WordAnswer(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms, confidence=word.confidence)
        for word in transcript.words
    ]
    return TranscriptAnswer(
        text=transcript.text,
        language=language,
        confidence=transcript.confidence,
        duration_ms=transcript.duration_ms,
        words=words,
    )


class SpeakRequest(RequestModel):
    """Text to speak."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Good morning.", "format": "mp3"}]})

    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_SPEECH_CHARS)]
    voice: str | None = Field(default=None, min_length=1, max_length=128, description="An id of voice.voices")
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    language: Language | None = Field(default=None, description="Chooses a voice when none is named")
    format: Literal["wav", "mp3", "opus", "aac", "flac", "pcm"] = "wav"
    sample_rate: Annotated[int, Field(ge=MIN_RATE_HZ, le=MAX_RATE_HZ), AS_WHOLE] | None = Field(
        default=None, description="Hz; left out: the voice's own"
    )


async def speak(gateway: Gateway, caller: Caller, request: SpeakRequest) -> AsyncGenerator[tuple[int, bytes], None]:
    """The file in pieces as they are made, each with the sample rate; at least one.

    Raises ApiError (422), also for text without anything to say, and ServiceError.
    """
    nothing = invalid((("text",), "there is nothing in it to say"))
    if not sayable(request.text):
        raise nothing
    if request.sample_rate is not None and not AUDIO_FORMATS[request.format].takes(request.sample_rate):
        rates = ", ".join(str(rate) for rate in AUDIO_FORMATS[request.format].rates_hz)
        raise invalid((("sample_rate",), f"{request.format} can be written at {rates} Hz"))
    config = SynthesisConfig(request.voice or "", request.speed, request.language or "")
    stream = gateway.services.tts.synthesize(config, caller.context)
    stream.send_text(request.text)
    stream.end()
    said = False
    async with aclosing(speech_file(stream, request.format, request.sample_rate)) as pieces:
        async for rate_hz, piece in pieces:
            if piece:
                said = True
                yield rate_hz, piece
    if not said:  # the service succeeded without any sound
        raise nothing


def sayable(text: str) -> bool:
    """True if the text has a letter, a digit or a symbol. Punctuation and white space alone have no sound."""
    return any(char.isalnum() or unicodedata.category(char).startswith("S") for char in text)


async def transcribe(gateway: Gateway, caller: Caller, request: TranscribeRequest, file: IO[bytes]) -> TranscriptAnswer:
    """Transcribe the whole file. Raises ApiError (413, 422) and ServiceError."""
    return _transcript_answer(await listen_to(gateway, caller, request.language, file), request.language)


async def listen_to(
    gateway: Gateway,
    caller: Caller,
    language: str,
    file: IO[bytes],
    vocabulary: tuple[str, ...] = (),
    heard: Callable[[FinalTranscript], None] | None = None,
) -> FileTranscript:
    """All utterances of the file; `vocabulary`: words to expect. Raises ApiError (413, 422), ServiceError, and TimeoutError.

    `heard` gets each utterance as soon as it is recognised.
    """
    decoder = UploadDecoder(file)
    try:
        async with asyncio.timeout(LIMIT_S), gateway.uploads.turn(caller.context.user_id):
            return await transcribe_upload(
                decoder, language, gateway.services.stt, caller.context, caller.progress, vocabulary, heard
            )
    except UnreadableAudioError as wrong:
        raise ApiError("UNREADABLE_AUDIO", str(wrong)) from None
    except AudioTooLongError as wrong:
        raise ApiError("AUDIO_TOO_LONG", str(wrong)) from None
    finally:
        decoder.close()


class VoicesRequest(RequestModel):
    """The language whose voices are listed; all if omitted. If no voice has the whole tag, it is shortened: de-DE, then de."""

    language: Language | None = None


class VoiceAnswer(ResponseModel):
    """A voice. `sample_rate` in Hz. `engine`: hibari, espeak or piper; null if the service does not report it."""

    id: str
    name: str
    language: str
    gender: str
    sample_rate: int
    engine: str | None


class VoicesAnswer(ResponseModel):
    """The available voices."""

    voices: list[VoiceAnswer]


async def list_voices(gateway: Gateway, caller: Caller, request: VoicesRequest) -> VoicesAnswer:
    """List M3's voices."""
    voices = await gateway.services.tts.voices(request.language or "", caller.context)
    return VoicesAnswer(
        voices=[
            VoiceAnswer(
                id=voice.id,
                name=voice.name,
                language=voice.language,
                gender=voice.gender,
                sample_rate=voice.sample_rate_hz,
                engine=voice.engine or None,
            )
            for voice in voices
        ]
    )


OPERATIONS = (
    Operation(
        name="voice.stt",
        method="POST",
        path="/api/v1/voice/stt",
        summary="Transcribe an audio file",
        description="wav, mp3, ogg, webm, flac or mp4; up to 32 MiB and ten minutes. `Accept: text/event-stream` tells what is heard as it is. Live audio: the socket's `stt` channel.",
        access=Access.USER,
        request=TranscribeRequest,
        response=TranscriptAnswer,
        service="stt",
        streaming=Streaming.AUDIO_IN,
        body_limit_bytes=UPLOAD_BYTES,
        refusals=(
            "AUDIO_TOO_LONG",
            "UNREADABLE_AUDIO",
            "OVERLOADED",
        ),
    ),
    Operation(
        name="voice.tts",
        method="POST",
        path="/api/v1/voice/tts",
        summary="Speak a text",
        description="The audio's first bytes leave before the last are made. Live audio: the socket's `tts` channel.",
        access=Access.USER,
        request=SpeakRequest,
        service="tts",
        streaming=Streaming.AUDIO_OUT,
        content_type="audio/wav",
        refusals=("VALIDATION_ERROR",),
    ),
    Operation(
        name="voice.voices",
        method="GET",
        path="/api/v1/voice/voices",
        summary="List the voices",
        access=Access.USER,
        request=VoicesRequest,
        response=VoicesAnswer,
        run=list_voices,
        service="tts",
    ),
)
