"""M2, speech-to-text: one stream per microphone, in a trunk or as a call of its own."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from protos import stt_pb2
from server.upstream.hangs import HangWatch
from server.upstream.microphone_trunk import MICROPHONES, MicrophoneStream
from server.upstream.stream import BidiMethod, BidiStream
from server.upstream.stt_stream import AudioSource, SttStream
from server.upstream.trunk import Trunk, Trunks
from streaming.ports import Endpointing, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from protos.stt_pb2_grpc import SpeechToTextAsyncStub
    from server.upstream.background import Background
    from server.upstream.call import ServiceLine
    from streaming.ports import CallContext, RecognitionConfig

# A message costs grpc.aio some 40 to 80 µs however short it is. With a few microphones, frames never wait. With more, they
# accumulate for 0.2 ms per open microphone, so that messages per second, and the CPU they take, stop growing.
FREE_STREAMS = 32
LINGER_PER_STREAM_S = 0.000_2
MAX_LINGER_S = 0.1  # five frames of 20 ms

_RECOGNIZE: BidiMethod[SpeechToTextAsyncStub, stt_pb2.RecognizeRequest, stt_pb2.RecognizeResponse] = BidiMethod(
    "Recognize", lambda stub: stub.Recognize, guard_writes=True
)


class SttClient:
    """Implements `streaming.ports.SpeechToText`."""

    def __init__(self, line: ServiceLine[SpeechToTextAsyncStub], background: Background) -> None:
        self._line = line
        self._background = background
        self._trunks = Trunks(line, partial(Trunk, line, MICROPHONES, background), line.endpoint.pool_size)
        self._watch = HangWatch(lambda: self._trunks.unanswered)

    def open_trunks(self) -> None:
        """Open the trunks before the first microphone. Call it when the service is up."""
        if self._trunks.enabled:
            self._trunks.open()

    def without_trunks(self) -> None:
        """Use a separate call per microphone. Only then are the service's spans part of the caller's trace."""
        self._trunks.enabled = False

    def recognize(self, config: RecognitionConfig, context: CallContext, on_taken: Callable[[int], None]) -> SttStream:
        """Open a stream at once."""
        source = AudioSource(on_taken, self._busy_s)
        watch = self._watch if config.progress else None
        trunk = self._trunks.pick()
        if trunk is not None:
            self._watch.promised = self._watch.promised or trunk.greeting.reports_progress
            with suppress(ServiceError):  # refused: the separate call below fails with the reason
                stream = trunk.open(_config_message(config), partial(MicrophoneStream, source), context)
                return SttStream(stream, source, watch)
        call = BidiStream(self._line, _RECOGNIZE, lambda: _config_message(config), source, context, self._background)
        return SttStream(call, source, watch)

    def _busy_s(self) -> float:
        busy = len(self._line.running) - FREE_STREAMS
        return min(busy * LINGER_PER_STREAM_S, MAX_LINGER_S) if busy > 0 else 0.0


def _config_message(config: RecognitionConfig) -> stt_pb2.RecognizeRequest:
    message = stt_pb2.RecognizeConfig(
        language=config.language,
        sample_rate_hz=config.sample_rate_hz,
        interim_results=config.interim,
        endpointing=config.endpointing,
        vocabulary=config.vocabulary,
        progress=config.progress,
    )
    if config.tuning != Endpointing():
        message.tuning.threshold = config.tuning.threshold
        message.tuning.patience = config.tuning.patience
        message.tuning.least_silence_ms = config.tuning.least_silence_ms
    return stt_pb2.RecognizeRequest(config=message)
