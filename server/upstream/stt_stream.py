"""One microphone's stream to the recogniser. Hot path: per frame one append and one wake, nothing else."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from protos import stt_pb2
from server.upstream.status import failure
from server.upstream.stt_events import events_of
from streaming.ports import FinalTranscript, RecognitionProgress, SpeechStarted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from server.upstream.hangs import HangWatch
    from server.upstream.microphone_trunk import MicrophoneStream
    from server.upstream.stream import BidiStream
    from streaming.ports import RecognitionEvent

# Of one message: two seconds of 16 kHz, the HTTP/2 window; more would only wait in gRPC's core.
MAX_AUDIO_BYTES = 64 * 1024
# Credit is returned in halves of the client's window (64 KiB), so that it is not counted for every frame.
TOLD_BYTES = 3_200
OWED_BYTES: Final = 19_200  # 600 ms at 16 kHz; a service that reports progress would have done so for this much audio
# Two minutes; a caller that sends this much regardless of `on_taken` is cut off
MAX_QUEUED_BYTES: Final = 4 * 1024 * 1024
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
        self._in_speech = self._ended = self._cancelled = self._reading = False
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
        self._cancelled = True
        self._stream.cancel()
        self._source.forget_listener()

    def __aiter__(self) -> AsyncIterator[RecognitionEvent | RecognitionProgress]:
        """Events in order. Raises ServiceError."""
        return events_of(self)

    # --- server.upstream.stt_events.AnsweredStream ---

    def begin_reading(self) -> None:
        """Somebody reads the events from now on."""
        if self._watch is not None:
            self._watch.add(self)

    def end_reading(self) -> None:
        """Nobody reads any more: stop."""
        if self._watch is not None:
            self._watch.discard(self)
        self.cancel()

    async def read(self) -> stt_pb2.RecognizeResponse | None:
        """The next answer; None at the end. Raises ServiceError, also if the service ends first: what it heard is not all."""
        self._reading = True
        try:
            response = await self._stream.read()
        finally:
            self._reading = False
        if response is None and not self._cancelled and (not self._ended or self._source.queue):
            raise failure("stt", "UNAVAILABLE", "speech recognition ended before the audio did")
        return response

    def answered(self, event: RecognitionEvent | RecognitionProgress | None) -> None:
        """The service has answered."""
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
