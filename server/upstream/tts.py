"""M3, text-to-speech: sends text in pieces, and receives audio as fast as it is read."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from protos import tts_pb2
from server.upstream.convert import asking
from server.upstream.speech_trunk import SPEECH, SpeechStream
from server.upstream.stream import BidiMethod, BidiStream
from server.upstream.trunk import Trunk, Trunks
from server.upstream.tts_stream import TtsStream
from streaming.ports import ServiceError, Voice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protos.tts_pb2_grpc import TextToSpeechAsyncStub
    from server.upstream.background import Background
    from server.upstream.call import ServiceLine
    from server.upstream.tts_stream import SpokenStream, TextSource
    from streaming.ports import CallContext, SynthesisConfig

_SYNTHESIZE: BidiMethod[TextToSpeechAsyncStub, tts_pb2.SynthesizeRequest, tts_pb2.SynthesizeResponse] = BidiMethod(
    "Synthesize", lambda stub: stub.Synthesize, guard_writes=False
)


class TtsClient:
    """Implements `streaming.ports.TextToSpeech`."""

    def __init__(self, line: ServiceLine[TextToSpeechAsyncStub], background: Background) -> None:
        self._line = line
        self._background = background
        self._trunks = Trunks(line, partial(Trunk, line, SPEECH, background), line.endpoint.pool_size)

    def open_trunks(self) -> None:
        """Open the trunks before the first utterance. Call it when the service is up."""
        if self._trunks.enabled:
            self._trunks.open()

    def without_trunks(self) -> None:
        """Use a separate call per utterance. Only then are the service's spans part of the caller's trace."""
        self._trunks.enabled = False

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> TtsStream:
        """Start an utterance at once."""

        def open_stream(source: TextSource) -> SpokenStream:
            trunk = self._trunks.pick()
            if trunk is not None:
                with suppress(ServiceError):  # refused: the separate call below fails with the reason when it is read
                    return trunk.open(_config_message(config), partial(SpeechStream, source), context)
            return BidiStream(
                self._line, _SYNTHESIZE, lambda: _config_message(config), source, context, self._background
            )

        return TtsStream(open_stream)

    async def voices(self, language: str, context: CallContext) -> Sequence[Voice]:
        """The voices of a language; all if it is empty."""
        with asking("tts"):
            request = tts_pb2.ListVoicesRequest(language=language)
        answer = await self._line.unary("ListVoices", lambda stub: stub.ListVoices, request, context, idempotent=True)
        return [
            Voice(voice.id, voice.name, voice.language, voice.gender, voice.sample_rate_hz, voice.engine)
            for voice in answer.voices
        ]


def _config_message(config: SynthesisConfig) -> tts_pb2.SynthesizeRequest:
    message = tts_pb2.SynthesizeConfig(voice=config.voice, speed=config.speed, language=config.language)
    return tts_pb2.SynthesizeRequest(config=message)
