"""M2, speech-to-text: one stream per microphone. Hot path: per frame one append and one wake, nothing else."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from protos import stt_pb2
from server.upstream.hangs import HangWatch
from server.upstream.microphone_trunk import MICROPHONES, MicrophoneStream
from server.upstream.status import failure
from server.upstream.stream import BidiMethod, BidiStream
from server.upstream.trunk import Trunks
from streaming.ports import (
    EagerEnd,
    Endpointing,
    FinalTranscript,
    InterimTranscript,
    RecognitionProgress,
    ServiceError,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Word,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from protos.stt_pb2_grpc import SpeechToTextAsyncStub
    from server.upstream.background import Background
    from server.upstream.call import ServiceLine
    from streaming.ports import CallContext, RecognitionConfig, RecognitionEvent

# Of one message: two seconds of 16 kHz, the HTTP/2 window; more would only wait in gRPC's core.
MAX_AUDIO_BYTES = 64 * 1024
# Credit is returned in halves of the client's window (64 KiB), so that it is not counted for every frame.
TOLD_BYTES = 3_200
OWED_BYTES = 19_200  # 600 ms at 16 kHz; a service that reports progress would have done so for this much audio
MAX_QUEUED_BYTES = 4 * 1024 * 1024  # two minutes; a caller that sends this much regardless of `on_taken` is cut off

# A message costs grpc.aio some 40 to 80 µs however short it is. With a few microphones, frames never wait. With more, they
# accumulate for 0.2 ms per open microphone, so that messages per second, and the CPU they take, stop growing.
FREE_STREAMS = 32
LINGER_PER_STREAM_S = 0.000_2
MAX_LINGER_S = 0.1  # five frames of 20 ms

_RECOGNIZE: BidiMethod[SpeechToTextAsyncStub, stt_pb2.RecognizeRequest, stt_pb2.RecognizeResponse] = BidiMethod(
    "Recognize", lambda stub: stub.Recognize, guard_writes=True
)
_COMMIT = b""  # marks a commit in the queue; empty frames are never queued


class AudioSource:
    """Queued frames and commits, in order. Queued frames are sent together. `busy_s` returns how long frames should accumulate now."""

    def __init__(self, on_taken: Callable[[int], None], busy_s: Callable[[], float]) -> None:
        self._busy_s = busy_s
        self._commits = 0
        self._on_taken = on_taken
        self.queue: deque[bytes] = deque()  # what waits
        self.came_bytes = self.left_bytes = 0  # of audio that was ever queued, and ever taken
        self._tell_at_bytes = self._step_bytes = TOLD_BYTES  # when so much has left, credit is told next
        self._told_bytes = 0

    @property
    def queued_bytes(self) -> int:
        """Of audio that waits."""
        return self.came_bytes - self.left_bytes

    def audio(self, pcm: bytes) -> None:
        """Queue a frame."""
        self.queue.append(pcm)
        self.came_bytes += len(pcm)

    def commit(self) -> None:
        """Queue the end of the utterance."""
        self._commits += 1
        self.queue.append(_COMMIT)

    def linger_s(self) -> float:
        """Frames may accumulate, but not while a commit waits."""
        return 0.0 if self._commits else self._busy_s()

    def take(self) -> stt_pb2.RecognizeRequest | None:
        """A message with as much queued audio as it may hold, or with one commit. None if the queue is empty."""
        if not self.queue:
            return None
        pcm = self.take_piece()
        return stt_pb2.RecognizeRequest(audio=pcm) if pcm else stt_pb2.RecognizeRequest(commit=stt_pb2.Commit())

    def take_piece(self) -> bytes:
        """Like `take`, as bytes: audio, or empty bytes for a commit. The queue must not be empty."""
        queue = self.queue
        pcm = queue.popleft()
        if not pcm:
            self._commits -= 1
            return pcm
        if queue:
            pcm = self._join(pcm)
        self.left_bytes += len(pcm)
        return pcm

    def _join(self, first: bytes) -> bytes:
        queue, parts, size = self.queue, [first], len(first)
        while queue and queue[0] is not _COMMIT and size + len(queue[0]) <= MAX_AUDIO_BYTES:
            size += len(queue[0])
            parts.append(queue.popleft())
        return b"".join(parts)

    def sent(self) -> None:
        """Return the credit of what was sent, in portions."""
        if self.left_bytes >= self._tell_at_bytes:
            self._tell_taken()

    def end(self) -> None:
        """Nothing more will be queued: return all remaining credit."""
        self._step_bytes = 1
        self._tell_at_bytes = self._told_bytes + 1
        if not self.queue:
            self._tell_taken()

    def _tell_taken(self) -> None:
        n_bytes, self._told_bytes = self.left_bytes - self._told_bytes, self.left_bytes
        self._tell_at_bytes = self.left_bytes + self._step_bytes
        if n_bytes:
            self._on_taken(n_bytes)

    def forget_listener(self) -> None:
        """The stream has ended. Drop the callback: its owner refers to the stream, which would be a reference cycle."""
        self._on_taken = _nobody


def _nobody(_n_bytes: int) -> None:
    """The callback of a stream that has ended."""


class SttStream:
    """Implements `streaming.ports.RecognitionStream`."""

    def __init__(
        self,
        stream: BidiStream[stt_pb2.RecognizeRequest, stt_pb2.RecognizeResponse] | MicrophoneStream,
        source: AudioSource,
        watch: HangWatch | None,
    ) -> None:
        """`watch` notices a hang of a service that was asked for progress. No other one promised signs of life (protos/stt.proto)."""
        self._stream = stream
        self._source = source
        self._watch = watch
        self._answered_bytes = self._commits = 0  # the first: what had come at the last answer
        self._in_speech = self._ended = self._reading = False
        self.signs = 0

    def send_audio(self, pcm: bytes) -> None:
        """Queue whole samples; ignored once the stream has ended."""
        stream = self._stream
        if not pcm or not stream.live:
            return
        source = self._source
        source.queue.append(pcm)
        came_bytes = source.came_bytes = source.came_bytes + len(pcm)
        stream.wake()
        if came_bytes - source.left_bytes > MAX_QUEUED_BYTES:
            stream.fail(failure("stt", "RESOURCE_EXHAUSTED", "speech recognition does not keep up with the audio"))

    def commit(self) -> None:
        """End the utterance here."""
        if self._stream.live:
            self._commits += 1
            self._source.commit()
            self._stream.wake_now()

    def end(self) -> None:
        """End the audio."""
        self._ended = True
        self._source.end()
        self._stream.end()

    def cancel(self) -> None:
        """Stop now; the iterator ends without error."""
        self._stream.cancel()
        self._source.forget_listener()

    async def __aiter__(self) -> AsyncGenerator[RecognitionEvent | RecognitionProgress, None]:
        """Events in order. Raises ServiceError."""
        if self._watch is not None:
            self._watch.add(self)
        try:
            while (response := await self._read()) is not None:
                event = _event(response)
                self._answered(event)
                if event is not None:
                    yield event
        finally:
            if self._watch is not None:
                self._watch.discard(self)
            self.cancel()

    async def _read(self) -> stt_pb2.RecognizeResponse | None:
        self._reading = True
        try:
            return await self._stream.read()
        finally:
            self._reading = False

    def _answered(self, event: RecognitionEvent | RecognitionProgress | None) -> None:
        self.signs += 1
        self._answered_bytes = self._source.came_bytes
        if isinstance(event, RecognitionProgress):
            if self._watch is not None:
                self._watch.promised = True
        elif isinstance(event, SpeechStarted):
            self._in_speech = True
        elif isinstance(event, FinalTranscript):
            self._in_speech = False
            self._commits = max(0, self._commits - 1)

    # --- server.upstream.hangs.GuardedStream ---

    @property
    def owed(self) -> bool:
        """True if the service owes an answer and somebody is waiting for it."""
        unanswered_bytes = self._source.came_bytes - self._answered_bytes
        owed = self._in_speech or self._commits or self._ended or unanswered_bytes > OWED_BYTES
        return self._reading and bool(owed)

    def hung(self) -> None:
        """The service does not respond on this stream: end it."""
        self._stream.hung(failure("stt", "DEADLINE_EXCEEDED", "speech recognition has stopped answering"))


class SttClient:
    """Implements `streaming.ports.SpeechToText`."""

    def __init__(self, line: ServiceLine[SpeechToTextAsyncStub], background: Background) -> None:
        self._line = line
        self._background = background
        self._trunks = Trunks(line, MICROPHONES, background)
        self._watch = HangWatch()

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
            self._watch.promised = True  # protos/stt.proto
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


def _event(response: stt_pb2.RecognizeResponse) -> RecognitionEvent | RecognitionProgress | None:
    """The event in our types; None for an unknown event of a newer service."""
    match response.WhichOneof("event"):
        case "partial":
            return InterimTranscript(response.partial.text, response.partial.stable_chars)
        case "final":
            return _final(response.final)
        case "speech_started":
            return SpeechStarted(response.speech_started.at_ms)
        case "speech_stopped":
            return SpeechStopped(response.speech_stopped.at_ms)
        case "eager_end":
            return EagerEnd(response.eager_end.at_ms, response.eager_end.text)
        case "speech_resumed":
            return SpeechResumed(response.speech_resumed.at_ms)
        case "progress":
            return RecognitionProgress(response.progress.at_ms)
    return None


def _final(final: stt_pb2.Final) -> FinalTranscript:
    words = tuple(Word(word.text, word.start_ms, word.end_ms, word.confidence) for word in final.words)
    return FinalTranscript(final.text, final.confidence, final.start_ms, final.end_ms, words)
