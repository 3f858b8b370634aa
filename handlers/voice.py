"""Audio files: uploads streamed to the recogniser, and speech sent while it is made."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from pydantic_core import to_json
from tornado.iostream import StreamClosedError

from handlers.events import WaitingEvents, relayed, server_sent_event
from handlers.negotiation import preferred
from handlers.operation import OperationHandler
from handlers.problem import as_api_error, problem_json
from handlers.uploads import Upload
from server.audio.formats import AUDIO_FORMATS
from server.errors import ApiError, without_frames
from server.operations import voice
from server.operations.operation import Streaming
from server.operations.validation import from_text, validated
from server.operations.voice import SpeakRequest, TranscribeRequest
from server.routes import operation_routes

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders, RequestStartLine, ResponseStartLine

    from server.operations import Caller, Operation
    from server.operations.operation import RequestModel
    from server.operations.voice import TranscriptAnswer


class TranscribeHandler(OperationHandler):
    """`POST /api/v1/voice/stt`. Clients are refused before the upload is read."""

    _upload: Upload | None = None
    _broken: ApiError | None = None
    _has_room = False

    # --- reading ---

    def headers_received(
        self,
        start_line: RequestStartLine | ResponseStartLine,  # noqa: ARG002 - the request has them
        headers: HTTPHeaders,  # noqa: ARG002
    ) -> asyncio.Future[None]:
        """Begin to serve; the upload comes once the client is admitted."""
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._complete: asyncio.Future[None] = loop.create_future()
        self.start()
        return self._ready

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of the upload. A broken form is read to its end, then refused."""
        if self._upload is None or self._broken is not None:
            return
        try:
            self._upload.feed(chunk)
        except ApiError as broken:
            self._broken = without_frames(broken)  # else they refer to us

    def finish(self) -> None:
        """The upload is complete."""
        if not self._complete.done():
            self._complete.set_result(None)

    def on_connection_close(self) -> None:
        """The client left. If the upload was incomplete, or refused and answered elsewhere, stop waiting for it."""
        super().on_connection_close()
        if not self._complete.done():
            self.status = 499
            self._complete.set_exception(StreamClosedError())
            self._complete.exception()  # mark it as retrieved: perhaps nobody awaits it

    # --- serving ---

    async def respond(self) -> None:
        """Respond, then let the reader continue with the upload, whatever the outcome."""
        try:
            await super().respond()
        finally:
            self._let_come()
            if self._has_room:
                self.gateway.upload_room.leave(self.user_id)

    def _take(self, upload: Upload) -> None:
        """Let the upload come, if there is room for one more. Raises ApiError."""
        self.gateway.upload_room.enter(self.user_id)
        self._has_room, self._upload = True, upload
        self._let_come()

    def _let_come(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    async def serve(self, *_path: str) -> None:
        """Admit the client, take the upload and transcribe it."""
        self.check_acceptable(self.operation)
        identity = await self.admit(self.operation)
        self.check_upload()
        content_type = self.request.headers.get("Content-Type", "")
        upload = Upload(content_type, "audio", tuple(TranscribeRequest.model_fields))
        self._take(upload)
        await self._complete
        if self._broken is not None:
            raise self._broken
        file = upload.complete()
        request = validated(self.operation, from_text(self.operation, upload.fields))
        assert isinstance(request, TranscribeRequest)
        self.leaving_cancels()
        caller = self.caller(identity, request)
        if self.wants_events():
            await self._transcribe_with_events(caller, request, file)
            return
        await self.answer(self.operation.status, await voice.transcribe(self.gateway, caller, request, file))

    async def _transcribe_with_events(self, caller: Caller, request: TranscribeRequest, file: IO[bytes]) -> None:
        """Send utterances as they are heard, then the transcript. A refusal before the first event keeps its status."""
        waiting = WaitingEvents(drops=False)
        work = self._transcribed(replace(caller, progress=waiting.put), request, file)
        ended = await relayed(work, "transcription", waiting, self.send_events)
        if isinstance(ended, Exception):
            if not self.answer_begun:
                raise ended
            refusal = as_api_error(ended)
            problem = problem_json(refusal, self.request.path, self.request_id)
            await self.send_events(server_sent_event("error", problem))
        else:
            await self.send_events(server_sent_event("result", to_json(ended, inf_nan_mode="null")))
        self.end()

    async def _transcribed(
        self, caller: Caller, request: TranscribeRequest, file: IO[bytes]
    ) -> TranscriptAnswer | Exception:
        try:
            return await voice.transcribe(self.gateway, caller, request, file)
        except Exception as error:  # noqa: BLE001 - the caller answers it
            return error

    def finish_whole(self, body: bytes) -> None:
        """Write the whole answer. If the upload has not ended, its rest is not read."""
        if not self._complete.done():
            self._headers["Connection"] = "close"
        super().finish_whole(body)

    def on_finish(self) -> None:
        """Delete the upload's file at the end of the request."""
        super().on_finish()
        if self._upload is not None:
            self._upload.close()


class SpeakHandler(OperationHandler):
    """`POST /api/v1/voice/tts`. A client that leaves cancels the synthesis."""

    def check_acceptable(self, _operation: Operation) -> None:
        """Any audio type will do: the body may name the format."""
        if preferred(self.request.headers.get("Accept"), _AUDIO_TYPES) is None:
            raise ApiError("NOT_ACCEPTABLE", "the answer is audio")

    def body(self, taken: dict[str, Any]) -> dict[str, Any]:
        """The request; without a format, the one that `Accept` prefers."""
        values = super().body(taken)
        wanted = preferred(self.request.headers.get("Accept"), _AUDIO_TYPES)
        return values if "format" in values or wanted is None else values | {"format": wanted}

    async def run(self, _operation: Operation, caller: Caller, request: RequestModel) -> None:
        """Send audio as it is made."""
        assert isinstance(request, SpeakRequest)
        self.leaving_cancels()
        async with aclosing(voice.speak(self.gateway, caller, request)) as pieces:
            async for rate_hz, piece in pieces:
                if not self.answer_begun:
                    self._describe(request.format, rate_hz)
                await self.send(piece)
        self.end()

    def _describe(self, name: str, rate_hz: int) -> None:
        content_type = AUDIO_FORMATS[name].content_type
        self._headers["Content-Type"] = f"audio/pcm; rate={rate_hz}; channels=1" if name == "pcm" else content_type
        self._headers["X-Audio-Sample-Rate"] = str(rate_hz)


_AUDIO_TYPES = tuple((name, (known.content_type, *known.also_called)) for name, known in AUDIO_FORMATS.items())
_HANDLERS = {Streaming.AUDIO_IN: TranscribeHandler, Streaming.AUDIO_OUT: SpeakHandler}

routes = [
    route
    for operation in voice.OPERATIONS
    for route in operation_routes([operation], _HANDLERS.get(operation.streaming, OperationHandler))
]
