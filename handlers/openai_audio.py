"""OpenAI's audio endpoints over HTTP, and the other parts of its API that we serve."""

from __future__ import annotations

import contextlib
import math
import re
import time
from base64 import b64encode
from contextlib import aclosing
from typing import IO, TYPE_CHECKING, Any

from pydantic_core import to_json

from handlers.events import WaitingEvents, relayed
from handlers.operation import OperationHandler
from handlers.problem import as_api_error
from handlers.uploads import Upload
from handlers.voice import TranscribeHandler
from server.operations import openai
from server.operations.openai import OpenAiSpeechRequest, OpenAiTranscriptionRequest
from server.operations.openai_errors import error_of
from server.operations.operation import Streaming
from server.operations.validation import validated
from server.routes import operation_routes
from streaming.openai.recognition import MAX_KEYWORDS, MAX_LANGUAGES, MAX_PROMPT_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.audio.transcription import FileTranscript
    from server.operations import Caller, Operation
    from server.operations.operation import RequestModel
    from server.shared.rate_limits import Decision
    from streaming.ports import FinalTranscript

_LISTS = tuple(
    name + end for name in ("timestamp_granularities", "include", "keywords", "languages") for end in ("[]", "")
)
_CHUNKING = "chunking_strategy"  # without effect: the recogniser finds the utterances
_IGNORED = tuple(f"{_CHUNKING}[{name}]" for name in ("type", "threshold", "prefix_padding_ms", "silence_duration_ms"))
_SINGLE = ("model", "language", "prompt", "response_format", "temperature", "stream", _CHUNKING, *_IGNORED)
MAX_PARTS = MAX_KEYWORDS + MAX_LANGUAGES + 32  # of a form: OpenAI's clients send one for each keyword and language
MAX_FIELD_BYTES = 4 * MAX_PROMPT_CHARS  # of a prompt: UTF-8 has up to four bytes for a character
_EXPOSED = (
    "X-RateLimit-Limit-Requests, X-RateLimit-Remaining-Requests, X-RateLimit-Reset-Requests, OpenAI-Processing-MS, "
    "OpenAI-Version"
)
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")  # RFC 9110 section 5.1
_TEXT_TYPES = {
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


VERSION = "2020-10-01"  # of the API, as OpenAI's own server says


def data_event(fields: dict[str, Any]) -> bytes:
    """A Server-Sent Event as in OpenAI's API: data only."""
    return b"data: " + to_json(fields, inf_nan_mode="null") + b"\n\n"


class OpenAiHandler(OperationHandler):
    """JSON in, JSON out. OpenAI's clients send an `Accept` that they do not mean."""

    exposed_headers = f"{OperationHandler.exposed_headers}, {_EXPOSED}"

    @property
    def allowed_headers(self) -> str:
        """OpenAI's clients in browsers send many headers of their own, so those that are asked for."""
        asked = self.request.headers.get("Access-Control-Request-Headers", "")
        return asked if _HEADER_NAMES.fullmatch(asked) else super().allowed_headers

    def finish_whole(self, body: bytes) -> None:
        """Write the whole answer."""
        self._tell_version()
        super().finish_whole(body)

    def _tell_version(self) -> None:
        """Set the headers that OpenAI's API has."""
        self._headers["OpenAI-Version"] = VERSION
        self._headers["OpenAI-Processing-MS"] = str(round(self.request.request_time() * 1000))

    def body(self, taken: dict[str, Any]) -> dict[str, Any]:
        """The body's JSON object. No body is an empty object: a client secret needs no field. Raises ApiError."""
        return super().body(taken) if self.request.body else {}

    def check_acceptable(self, _operation: Operation) -> None:
        """Accept anything: there is only one form of the answer."""

    def _tell_limit(self, decision: Decision, window_s: int) -> None:
        """Set the limit's headers under OpenAI's names too."""
        super()._tell_limit(decision, window_s)
        left_s = max(0, math.ceil(decision.reset_at - time.time()))
        self._headers["X-RateLimit-Limit-Requests"] = str(decision.limit)
        self._headers["X-RateLimit-Remaining-Requests"] = str(decision.remaining)
        self._headers["X-RateLimit-Reset-Requests"] = f"{left_s}s"


class OpenAiSpeechHandler(OpenAiHandler):
    """`POST /v1/audio/speech`. A client that leaves cancels the synthesis."""

    async def run(self, _operation: Operation, caller: Caller, request: RequestModel) -> None:
        """Send audio as it is made, bare or as events."""
        assert isinstance(request, OpenAiSpeechRequest), "the operation's model"
        self.leaving_cancels()
        as_events = request.stream_format == "sse"
        async with aclosing(openai.spoken(self.gateway, caller, request)) as pieces:
            async for piece in pieces:
                if not self.answer_begun:
                    self._tell_version()
                if as_events:
                    event = {"type": "speech.audio.delta", "audio": b64encode(piece).decode()}
                    await self.send_events(data_event(event))
                    continue
                if not self.answer_begun:
                    self._headers["Content-Type"] = openai.speech_type(request)
                await self.send(piece)
        if as_events:
            words = len(request.input.split())
            usage = {"input_tokens": words, "output_tokens": 0, "total_tokens": words}
            await self.send_events(data_event({"type": "speech.audio.done", "usage": usage}))
        self.end()


class OpenAiTranscriptionHandler(OpenAiHandler, TranscribeHandler):
    """`POST /v1/audio/transcriptions`."""

    async def serve(self, *_path: str) -> None:
        """Admit the client, take the upload and transcribe it."""
        identity = await self.admit(self.operation)
        self.check_upload()
        content_type = self.request.headers.get("Content-Type", "")
        upload = Upload(content_type, "file", _SINGLE, _LISTS, max_parts=MAX_PARTS, max_field_bytes=MAX_FIELD_BYTES)
        self._take(upload)
        await self._complete
        if self._broken is not None:
            raise self._broken
        file = upload.complete()
        request = validated(self.operation, _values(upload))
        assert isinstance(request, OpenAiTranscriptionRequest), "the operation's model"
        self.leaving_cancels()
        caller = self.caller(identity, request)
        if request.stream:
            await self._stream(caller, request, file)
            return
        body = openai.transcript_body(await openai.transcribed(self.gateway, caller, request, file), request)
        if isinstance(body, str):
            await self.reply(200, body.encode(), _TEXT_TYPES[request.response_format])
        else:
            await self.reply(200, to_json(body))

    async def _stream(self, caller: Caller, request: OpenAiTranscriptionRequest, file: IO[bytes]) -> None:
        """Send utterances as they are heard, then the whole text. A refusal before the first event keeps its status."""
        self._tell_version()
        waiting = WaitingEvents(drops=False)
        begun = False

        def heard(spoken: FinalTranscript) -> None:
            nonlocal begun
            if spoken.text:
                waiting.put_event(data_event(openai.delta_event(spoken, request, first=not begun)))
                begun = True

        work = self._heard(caller, request, file, heard)
        ended = await relayed(work, "transcription", waiting, self.send_events)
        if isinstance(ended, Exception):
            if not self.answer_begun:
                raise ended
            await self.send_events(data_event(error_of(as_api_error(ended))))
        else:
            await self.send_events(data_event(openai.done_event(ended, request)))
        self.end()

    async def _heard(
        self,
        caller: Caller,
        request: OpenAiTranscriptionRequest,
        file: IO[bytes],
        heard: Callable[[FinalTranscript], None],
    ) -> FileTranscript | Exception:
        try:
            return await openai.transcribed(self.gateway, caller, request, file, heard)
        except Exception as error:  # noqa: BLE001 - the caller answers it
            return error


def _values(upload: Upload) -> dict[str, Any]:
    """The form's fields with the model's types. In a form, everything is text."""
    values: dict[str, Any] = {name: value for name, value in upload.fields.items() if name not in _IGNORED}
    for name, given in upload.lists.items():
        values.setdefault(name.removesuffix("[]"), []).extend(given)
    if "stream" in values:
        values["stream"] = {"true": True, "false": False}.get(values["stream"].lower(), values["stream"])
    if "temperature" in values:
        with contextlib.suppress(ValueError):  # the model reports the mistake
            values["temperature"] = float(values["temperature"])
    return values


_HANDLERS = {Streaming.AUDIO_IN: OpenAiTranscriptionHandler, Streaming.AUDIO_OUT: OpenAiSpeechHandler}

routes = [
    route
    for operation in openai.OPERATIONS
    for route in operation_routes([operation], _HANDLERS.get(operation.streaming, OpenAiHandler))
]
