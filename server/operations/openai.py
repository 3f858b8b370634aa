"""OpenAI's audio endpoints, models and client secrets: the operations of `voice` in the form of OpenAI's API."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from server.audio.formats import AUDIO_FORMATS
from server.errors import ApiError
from server.operations.operation import KIB, Access, NoParameters, Operation, RequestModel, ResponseModel, Streaming
from server.operations.validation import invalid
from server.operations.voice import SpeakRequest, listen_to, speak
from streaming.openai import settings as realtime
from streaming.openai.conversation import new_id
from streaming.openai.hearing import logprobs_of
from streaming.openai.mistakes import MistakeError, one_of, wrong
from streaming.openai.recognition import MAX_KEYWORDS, MAX_LANGUAGES, MAX_PROMPT_CHARS, Expected, expected
from streaming.openai.schema import LanguageTag  # noqa: TC001 - pydantic reads it
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from server.audio.transcription import FileTranscript
    from server.gateway import Gateway
    from server.operations.operation import Caller
    from streaming.ports import FinalTranscript

UPLOAD_BYTES = 25 * 1024 * KIB  # OpenAI's limit
SPEECH_RATE_HZ = 24_000  # of `pcm` and `wav`, as in OpenAI's API
AGENT, RECOGNISER, VOICE = "the whole agent", "speech to text", "text to speech"
MODELS = {
    "jarvis": AGENT,
    "gpt-realtime": AGENT,
    "gpt-realtime-2025-08-28": AGENT,
    "gpt-realtime-mini": AGENT,
    "gpt-realtime-mini-2025-10-06": AGENT,
    "gpt-realtime-mini-2025-12-15": AGENT,
    "gpt-realtime-1.5": AGENT,
    "gpt-realtime-2": AGENT,
    "gpt-realtime-2.1": AGENT,
    "gpt-realtime-2.1-mini": AGENT,
    "gpt-4o-realtime-preview": AGENT,
    "gpt-4o-realtime-preview-2024-10-01": AGENT,
    "gpt-4o-realtime-preview-2024-12-17": AGENT,
    "gpt-4o-realtime-preview-2025-06-03": AGENT,
    "gpt-4o-mini-realtime-preview": AGENT,
    "gpt-4o-mini-realtime-preview-2024-12-17": AGENT,
    "gpt-audio-1.5": AGENT,
    "gpt-audio-mini": AGENT,
    "gpt-audio-mini-2025-10-06": AGENT,
    "gpt-audio-mini-2025-12-15": AGENT,
    "gpt-live-1": AGENT,
    "gpt-live-1.1": AGENT,
    "gpt-transcribe": RECOGNISER,
    "gpt-live-transcribe": RECOGNISER,
    "gpt-realtime-whisper": RECOGNISER,
    "whisper-1": RECOGNISER,
    "gpt-4o-transcribe": RECOGNISER,
    "gpt-4o-mini-transcribe": RECOGNISER,
    "gpt-4o-mini-transcribe-2025-12-15": RECOGNISER,
    "tts-1": VOICE,
    "tts-1-hd": VOICE,
    "gpt-4o-mini-tts": VOICE,
    "gpt-4o-mini-tts-2025-12-15": VOICE,
}
"""Model names that are listed, and what serves them: all that OpenAI's clients name, but the one that tells speakers apart.

Other names are accepted too: there is only one model of each kind.
"""

MIN_SECRET_S, MAX_SECRET_S = 10, 7_200  # OpenAI's limits
MAX_INPUT_CHARS = 4_096  # of a text to speak: OpenAI's limit

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class OpenAiTranscriptionRequest(RequestModel):
    """The form fields beside `file`. `prompt` and `keywords` are words to expect; `temperature` is ignored."""

    model: ModelName
    language: LanguageTag | None = None
    languages: list[LanguageTag] = Field(default=[], max_length=MAX_LANGUAGES)
    prompt: str | None = Field(default=None, max_length=MAX_PROMPT_CHARS)
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    temperature: float = Field(default=0.0, ge=0, le=1)
    stream: bool = False
    timestamp_granularities: list[Literal["word", "segment"]] = Field(default=["segment"])
    include: list[Literal["logprobs"]] = Field(default=[])
    keywords: list[str] = Field(default=[], max_length=MAX_KEYWORDS)
    chunking_strategy: str | None = None


class OpenAiTranscription(ResponseModel):
    """`json`; `verbose_json` adds language, duration, segments and words."""

    model_config = ConfigDict(extra="allow")

    text: str


async def transcribed(
    gateway: Gateway,
    caller: Caller,
    request: OpenAiTranscriptionRequest,
    file: IO[bytes],
    heard: Callable[[FinalTranscript], None] | None = None,
) -> FileTranscript:
    """Transcribe the whole file; `heard` gets each utterance. Raises ApiError (413, 422) and ServiceError."""
    wanted = _expected(request)
    try:
        return await listen_to(gateway, caller, wanted.language, file, wanted.vocabulary, heard)
    except ServiceError as refused:
        if wanted.param and refused.code == "INVALID_ARGUMENT":
            raise invalid(((wanted.param,), refused.message)) from None
        raise


def _expected(request: OpenAiTranscriptionRequest) -> Expected:
    return expected(
        language=request.language, languages=request.languages, prompt=request.prompt, keywords=request.keywords
    )


def transcript_body(heard: FileTranscript, request: OpenAiTranscriptionRequest) -> str | dict[str, Any]:
    """The answer in the requested format: plain text, or an object."""
    usage = {"type": "duration", "seconds": heard.duration_ms / 1000}
    match request.response_format:
        case "text":
            return heard.text + "\n"
        case "srt":
            return "".join(
                f"{number}\n{_clock(one.start_ms, ',')} --> {_clock(one.end_ms, ',')}\n{one.text}\n\n"
                for number, one in enumerate(_said(heard), 1)
            )
        case "vtt":
            cues = (
                f"{_clock(one.start_ms, '.')} --> {_clock(one.end_ms, '.')}\n{one.text}\n\n" for one in _said(heard)
            )
            return "WEBVTT\n\n" + "".join(cues)
        case "verbose_json":
            return _verbose(heard, request, usage)
    logprobs = {"logprobs": logprobs_of(heard.words)} if request.include else {}
    return {"text": heard.text, **logprobs, "usage": usage}


def delta_event(spoken: FinalTranscript, request: OpenAiTranscriptionRequest, *, first: bool) -> dict[str, Any]:
    """A recognised utterance as `transcript.text.delta`. Clients join all deltas as they are."""
    logprobs = {"logprobs": logprobs_of(spoken.words)} if request.include else {}
    return {"type": "transcript.text.delta", "delta": spoken.text if first else f" {spoken.text}", **logprobs}


def done_event(heard: FileTranscript, request: OpenAiTranscriptionRequest) -> dict[str, Any]:
    """`transcript.text.done`. Its `usage` can only be in tokens: words are counted."""
    logprobs = {"logprobs": logprobs_of(heard.words)} if request.include else {}
    n_words = len(heard.text.split())
    usage = {"type": "tokens", "input_tokens": 0, "output_tokens": n_words, "total_tokens": n_words}
    return {"type": "transcript.text.done", "text": heard.text, **logprobs, "usage": usage}


def _said(heard: FileTranscript) -> list[Any]:
    return [spoken for spoken in heard.utterances if spoken.text]


def _verbose(heard: FileTranscript, request: OpenAiTranscriptionRequest, usage: dict[str, Any]) -> dict[str, Any]:
    language = _expected(request).language
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": "english" if language.lower().partition("-")[0] == "en" else language,
        "duration": heard.duration_ms / 1000,
        "text": heard.text,
        "usage": usage,
    }
    if "segment" in request.timestamp_granularities:
        body["segments"] = [
            {
                "id": number,
                "seek": 0,
                "start": one.start_ms / 1000,
                "end": one.end_ms / 1000,
                "text": one.text,
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": 0.0,
                "compression_ratio": 1.0,
                "no_speech_prob": 0.0,
            }
            for number, one in enumerate(_said(heard))
        ]
    if "word" in request.timestamp_granularities:
        body["words"] = [
            {"word": word.text, "start": word.start_ms / 1000, "end": word.end_ms / 1000} for word in heard.words
        ]
    return body


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


class OpenAiVoiceId(RequestModel):
    """A voice by its id."""

    id: str = Field(max_length=128)


class OpenAiSpeechRequest(RequestModel):
    """Text to speak. `instructions` is ignored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "tts-1", "voice": "alloy", "input": "Good morning."}]}
    )

    model: ModelName
    input: Annotated[str, StringConstraints(min_length=1, max_length=MAX_INPUT_CHARS)]
    voice: Annotated[str, StringConstraints(min_length=1, max_length=128)] | OpenAiVoiceId
    instructions: str | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"


async def spoken(gateway: Gateway, caller: Caller, request: OpenAiSpeechRequest) -> AsyncGenerator[bytes, None]:
    """The file in pieces, as they are made. Raises ApiError (400, 422) and ServiceError."""
    voices = realtime.Voices(tuple(voice.id for voice in await gateway.services.tts.voices("", caller.context)))
    name = request.voice if isinstance(request.voice, str) else request.voice.id
    try:
        voice = voices.ours(name, "voice")
    except MistakeError as unknown:
        raise _refused(unknown) from None
    rate_hz = SPEECH_RATE_HZ if request.response_format in {"pcm", "wav"} else None
    asked = SpeakRequest(
        text=request.input,
        voice=voice or None,
        speed=request.speed,
        format=request.response_format,
        sample_rate=rate_hz,
    )
    try:
        async with aclosing(speak(gateway, caller, asked)) as pieces:
            async for _, piece in pieces:
                yield piece
    except ApiError as refused:
        if refused.code == "VALIDATION_ERROR":  # the same text is a field of another name there
            raise invalid((("input",), refused.detail)) from None
        raise


def speech_type(request: OpenAiSpeechRequest) -> str:
    """Content type of the answer."""
    return "audio/pcm" if request.response_format == "pcm" else AUDIO_FORMATS[request.response_format].content_type


class OpenAiModel(ResponseModel):
    """One model."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "jarvis"


class OpenAiModels(ResponseModel):
    """All models."""

    object: str = "list"
    data: list[OpenAiModel]


class OpenAiModelRequest(RequestModel):
    """A model by its name."""

    model: ModelName


def _model(gateway: Gateway, name: str) -> OpenAiModel:
    return OpenAiModel(id=name, created=int(gateway.started_at))


async def list_models(gateway: Gateway, _caller: Caller, _request: NoParameters) -> OpenAiModels:
    """List the models."""
    return OpenAiModels(data=[_model(gateway, name) for name in MODELS])


async def get_model(gateway: Gateway, _caller: Caller, request: OpenAiModelRequest) -> OpenAiModel:
    """One of the listed models. Raises ApiError (404)."""
    if request.model not in MODELS:
        where = {"code": "model_not_found", "param": "model"}
        raise ApiError("NOT_FOUND", f"The model '{request.model}' does not exist", extra=where)
    return _model(gateway, request.model)


class OpenAiVoice(ResponseModel):
    """One voice."""

    id: str
    object: str = "audio.voice"
    name: str
    language: str


class OpenAiVoices(ResponseModel):
    """All voices."""

    object: str = "list"
    data: list[OpenAiVoice]


async def list_voices(gateway: Gateway, caller: Caller, _request: NoParameters) -> OpenAiVoices:
    """The service's own voices, and OpenAI's names, for which the default voice speaks."""
    found = await gateway.services.tts.voices("", caller.context)
    own = [OpenAiVoice(id=voice.id, name=voice.name, language=voice.language) for voice in found]
    known = {voice.id for voice in found}
    alias = [OpenAiVoice(id=name, name=name, language="en-US") for name in realtime.ALIASES if name not in known]
    return OpenAiVoices(data=own + alias)


class OpenAiSecretExpiry(RequestModel):
    """How long a secret can open a session: seconds from its creation."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(default=600, ge=MIN_SECRET_S, le=MAX_SECRET_S)


class OpenAiSecretRequest(RequestModel):
    """The session's settings, as in `session.update`."""

    expires_after: OpenAiSecretExpiry | None = None
    session: dict[str, Any] | None = None


class OpenAiSecretAnswer(ResponseModel):
    """A client secret. `expires_at`: Unix seconds."""

    value: str
    expires_at: int
    session: dict[str, Any]


def _refused(mistake: MistakeError) -> ApiError:
    """The same mistake as an HTTP error."""
    return ApiError("VALIDATION_ERROR", mistake.message, extra={"code": mistake.code, "param": mistake.param})


async def issue_secret(gateway: Gateway, caller: Caller, request: OpenAiSecretRequest) -> OpenAiSecretAnswer:
    """A key for one session of this user, for a browser or a phone."""
    voices = realtime.Voices(tuple(voice.id for voice in await gateway.services.tts.voices("", caller.context)))
    asked = {"type": "realtime"} if request.session is None else request.session
    if "type" in asked and not one_of(asked["type"], ("realtime", "transcription")):
        raise _refused(wrong("session.type", "Supported values are: 'realtime' and 'transcription'."))
    model = asked.get("model")
    fresh = realtime.new_session(
        new_id("sess"),
        model if isinstance(model, str) else "",
        caller.identity.expires_at,
        transcription=asked.get("type") == "transcription",
    )
    try:
        session = realtime.merged(fresh, asked, voices)
        await realtime.check_language(gateway.services.stt, session, caller.context)
    except MistakeError as mistake:
        raise _refused(mistake) from None
    life_s = (request.expires_after or OpenAiSecretExpiry()).seconds
    value = await gateway.authenticator.issue_client_secret(caller.identity, life_s, session)
    return OpenAiSecretAnswer(value=value, expires_at=int(time.time()) + life_s, session=session)


OPERATIONS = (
    Operation(
        name="openai.transcriptions",
        method="POST",
        path="/v1/audio/transcriptions",
        summary="Transcribe an audio file, as OpenAI's API does",
        description="Up to 25 MiB. `stream=true` answers with Server-Sent Events.",
        access=Access.USER,
        request=OpenAiTranscriptionRequest,
        response=OpenAiTranscription,
        service="stt",
        streaming=Streaming.AUDIO_IN,
        body_limit_bytes=UPLOAD_BYTES,
        refusals=("AUDIO_TOO_LONG", "UNREADABLE_AUDIO", "OVERLOADED"),
    ),
    Operation(
        name="openai.speech",
        method="POST",
        path="/v1/audio/speech",
        summary="Speak a text, as OpenAI's API does",
        description="`stream_format: sse` answers with Server-Sent Events.",
        access=Access.USER,
        request=OpenAiSpeechRequest,
        service="tts",
        streaming=Streaming.AUDIO_OUT,
        content_type="audio/mpeg",
    ),
    Operation(
        name="openai.voices",
        method="GET",
        path="/v1/audio/voices",
        summary="List the voices by the names that OpenAI's dialect takes",
        access=Access.USER,
        response=OpenAiVoices,
        run=list_voices,
        service="tts",
        callable=False,
    ),
    Operation(
        name="openai.models",
        method="GET",
        path="/v1/models",
        summary="List the models",
        access=Access.SIGNED_IN,
        response=OpenAiModels,
        run=list_models,
        callable=False,
    ),
    Operation(
        name="openai.model",
        method="GET",
        path="/v1/models/{model}",
        summary="Get one model",
        access=Access.SIGNED_IN,
        request=OpenAiModelRequest,
        response=OpenAiModel,
        run=get_model,
        refusals=("NOT_FOUND",),
        callable=False,
    ),
    Operation(
        name="openai.client_secret",
        method="POST",
        path="/v1/realtime/client_secrets",
        summary="Get a key that opens one live session",
        access=Access.USER,
        request=OpenAiSecretRequest,
        response=OpenAiSecretAnswer,
        run=issue_secret,
        service="tts",
        callable=False,
    ),
)
