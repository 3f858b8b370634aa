"""Audio files: an upload streamed to the recogniser, speech streamed out while it is made."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from tornado.web import stream_request_body

from handlers.negotiation import accepts
from handlers.operation import OperationHandler
from handlers.uploads import Upload
from server.audio.encode import AUDIO_FORMATS
from server.errors import ApiError
from server.operations import voice
from server.operations.operation import Streaming
from server.operations.validation import from_text, validated
from server.operations.voice import SpeakRequest, TranscribeRequest
from server.routes import operation_routes

if TYPE_CHECKING:
    from server.auth import Principal
    from server.operations import Caller, Operation
    from server.operations.operation import RequestModel


@stream_request_body
class TranscribeHandler(OperationHandler):
    """`POST /api/v1/voice/stt`. Who may not come in is refused before the upload is read."""

    _upload: Upload | None = None
    _principal: Principal | None = None
    _broken: ApiError | None = None
    _whole = False

    async def prepare(self) -> None:
        """On the headers."""
        if self.request.method != "POST":
            return
        try:
            self.check_acceptable(self.operation)
            self._principal = await self.admit(self.operation)
            content_type = self.request.headers.get("Content-Type", "")
            self._upload = Upload(content_type, "audio", tuple(TranscribeRequest.model_fields))
        except Exception as error:  # noqa: BLE001 - `_guarded` does not run when `prepare` has answered
            self._headers["Connection"] = "close"  # the upload is not read
            await self.fail(error)

    def data_received(self, chunk: bytes) -> None:
        """A piece of the upload; a form that is broken is read to its end and then refused."""
        if self._upload is None or self._broken is not None:
            return
        try:
            self._upload.feed(chunk)
        except ApiError as broken:
            self._broken = broken

    async def serve(self, *_path: str) -> None:
        """The upload is complete."""
        assert self._upload is not None
        assert self._principal is not None
        if self._broken is not None:
            raise self._broken
        self._whole = True
        file = self._upload.complete()
        request = validated(self.operation, from_text(self.operation, self._upload.fields))
        assert isinstance(request, TranscribeRequest)
        self.leaving_cancels()
        transcript = await voice.transcribe(self.gateway, self.caller(self._principal, request), request, file)
        await self.answer(self.operation.status, transcript)

    def on_connection_close(self) -> None:
        """In the middle of the upload nobody else ends the request; what is too large or broken the intake answers."""
        super().on_connection_close()
        if not self._whole:
            self._status_code = 499
            self.overruled = self.request.overruled
            self.on_finish()

    def on_finish(self) -> None:
        """The file goes with the request."""
        super().on_finish()
        if self._upload is not None:
            self._upload.close()


class SpeakHandler(OperationHandler):
    """`POST /api/v1/voice/tts`. A client that leaves cancels the synthesis."""

    def check_acceptable(self, _operation: Operation) -> None:
        """Which format it will be stands in the body: any audio will do here."""
        accept = self.request.headers.get("Accept")
        if not any(accepts(accept, audio_format.content_type) for audio_format in AUDIO_FORMATS.values()):
            raise ApiError("NOT_ACCEPTABLE", "the answer is audio")

    async def run(self, _operation: Operation, caller: Caller, request: RequestModel) -> None:
        """Audio, as it is made."""
        assert isinstance(request, SpeakRequest)
        self.leaving_cancels()
        async with aclosing(voice.speak(self.gateway, caller, request)) as pieces:
            async for rate_hz, piece in pieces:
                if not self._headers_written:
                    self._describe(request.format, rate_hz)
                await self.send(piece)
        self.end()

    def _describe(self, name: str, rate_hz: int) -> None:
        content_type = AUDIO_FORMATS[name].content_type
        self._headers["Content-Type"] = f"audio/pcm; rate={rate_hz}; channels=1" if name == "pcm" else content_type
        self._headers["X-Audio-Sample-Rate"] = str(rate_hz)


_HANDLERS = {Streaming.AUDIO_IN: TranscribeHandler, Streaming.AUDIO_OUT: SpeakHandler}

routes = [
    route
    for operation in voice.OPERATIONS
    for route in operation_routes([operation], _HANDLERS.get(operation.streaming, OperationHandler))
]
