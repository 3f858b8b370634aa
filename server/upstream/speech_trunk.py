"""Speech in a trunk: SynthesizeMany. The service sends audio within a credit, which is renewed as the audio is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from protos import tts_pb2
from protos.tts_pb2_grpc import TextToSpeechStub
from server.upstream.trunk_method import TrunkMethod
from server.upstream.trunk_stream import TrunkStream

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio

    from protos.tts_pb2_grpc import TextToSpeechAsyncStub
    from server.upstream.call import Attempt
    from server.upstream.trunk_stream import Carrier

CREDIT_STEP_BYTES = 32 * 1024  # half of a stream's first credit (tts.proto), so it is renewed rarely but in time


class RequestSource(Protocol):
    """Text that waits to be sent on one stream."""

    @property
    def waits(self) -> bool:
        """True if there is something to take."""

    def take(self) -> tts_pb2.SynthesizeRequest | None:
        """All waiting text, or the end, as one request."""


class SpeechStream(TrunkStream[tts_pb2.SynthesizeResponse]):
    """One utterance's stream.

    `ear` gets audio directly while the owner waits for the next event, so that speech in real time wakes no task. If it returns
    False, the owner gets that audio as an event.
    """

    __slots__ = ("_credit_waits", "_heard", "_read_bytes", "_source", "ear", "handed_bytes")

    def __init__(
        self, source: RequestSource, trunk: Carrier, number: int, first: bytes, attempt: Attempt, limit_s: float
    ) -> None:
        self._source = source
        self._read_bytes = 0  # audio read since the credit was last renewed
        self._credit_waits = False  # it is renewed with the trunk's next message
        self._heard = False  # the ear has taken something
        self.handed_bytes = 0  # taken by the ear
        self.ear: Callable[[bytes], bool] | None = None
        super().__init__(trunk, number, first, attempt, limit_s)

    @property
    def _waits(self) -> bool:
        return self._source.waits

    def _fill(self, into: list[bytes]) -> int:
        request = self._source.take()
        if request is not None:
            into.append(self.items.request(request.SerializeToString()))
        if self._read_bytes >= CREDIT_STEP_BYTES:
            into.append(self.items.credit(self._read_bytes))
            self._read_bytes, self._credit_waits = 0, False
        return 0

    def take(self, item: tts_pb2.StreamResponse) -> None:
        ear = self.ear
        if ear is not None and self._reading and not self._events:
            audio = item.response.audio
            if audio and ear(audio):
                if not self._heard:
                    self._heard = True
                    self._attempt.answered()
                self.handed_bytes += len(audio)
                self._read_bytes += len(audio)
                if self._read_bytes >= CREDIT_STEP_BYTES:
                    self._renew_credit()
                if self._ended:
                    self._read_guard.heard(self._trunk.heard_at)  # the service is at work
                return
        super().take(item)

    def read_along(self, n_bytes: int) -> bytes:
        """The audio right behind what `read` returned, without waiting: less than `n_bytes` and one piece, may be empty."""
        pieces: list[bytes] = []
        while n_bytes > 0 and self._events and (audio := self._events[0].audio):
            self._was_read(self._events.popleft())
            pieces.append(audio)
            n_bytes -= len(audio)
        return b"".join(pieces)

    def over(self, broken: BaseException | None, *, blameless: bool = False) -> None:
        self.ear = None  # its owner refers to this stream, so keeping it would be a reference cycle
        super().over(broken, blameless=blameless)

    def _was_read(self, response: tts_pb2.SynthesizeResponse) -> None:
        self._read_bytes += len(response.audio)
        if self._read_bytes >= CREDIT_STEP_BYTES:
            self._renew_credit()

    def _renew_credit(self) -> None:
        """Renew it with the trunk's next message. A message of its own for each utterance's credit would cost too much."""
        if not self._credit_waits:
            self._credit_waits = True
            self._trunk.later(self)


def _first(number: int, request: Any, metadata: dict[str, str]) -> bytes:
    return tts_pb2.StreamRequest(stream=number, request=request, metadata=metadata).SerializeToString()


def _connect(channel: grpc.aio.Channel) -> Callable[[], grpc.aio.StreamStreamCall[Any, Any]]:
    stub: TextToSpeechAsyncStub = TextToSpeechStub(channel)
    return stub.SynthesizeMany


SPEECH = TrunkMethod(_connect, "Synthesize", _first)
