"""Microphones in a trunk: RecognizeMany. A window limits the audio that the service has not yet reported as taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from protos import stt_pb2
from protos.stt_pb2_grpc import SpeechToTextStub
from server.upstream.inactivity import InactivityGuard
from server.upstream.trunk_method import TrunkMethod
from server.upstream.trunk_stream import TrunkStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    import grpc.aio

    from protos.stt_pb2_grpc import SpeechToTextAsyncStub
    from server.upstream.call import Attempt
    from server.upstream.trunk_stream import Carrier

WINDOW_BYTES: Final = 128 * 1024  # of one stream's audio that the service has not taken: four seconds at 16 kHz
REPORT_BYTES: Final = 16 * 1024  # the service reports in steps of this size, so less than this is never overdue


class PieceSource(Protocol):
    """Audio and commits that wait to be sent on one stream."""

    @property
    def queue(self) -> Sized:
        """The pieces; empty if nothing waits."""

    def take_piece(self) -> bytes:
        """As much audio as one message may hold, or empty bytes for a commit. `queue` must not be empty."""

    def sent(self) -> None:
        """The pieces taken so far were put into a message."""


class MicrophoneStream(TrunkStream[stt_pb2.RecognizeResponse]):
    """One microphone's stream."""

    __slots__ = ("_source", "_untaken_bytes", "_write_guard")

    def __init__(
        self, source: PieceSource, trunk: Carrier, number: int, first: bytes, attempt: Attempt, limit_s: float
    ) -> None:
        self._source = source
        self._untaken_bytes = 0
        self._write_guard = InactivityGuard(limit_s, self._expire)
        super().__init__(trunk, number, first, attempt, limit_s)

    @property
    def _waits(self) -> bool:
        return bool(self._source.queue)

    def _fill(self, into: list[bytes]) -> int:
        source, items, untaken_bytes = self._source, self.items, self._untaken_bytes
        queue, before_bytes = source.queue, untaken_bytes
        while queue and untaken_bytes < WINDOW_BYTES:
            pcm = source.take_piece()
            if pcm:
                size = len(pcm)
                into += (items.audio_head(size), pcm)
                untaken_bytes += size
            else:
                into.append(items.commit())
        n_bytes = untaken_bytes - before_bytes
        if n_bytes:
            self._untaken_bytes = untaken_bytes
            source.sent()
            if untaken_bytes > REPORT_BYTES:
                self._write_guard.expect()
        return n_bytes

    def _take_other(self, item: stt_pb2.StreamResponse, what: str | None) -> None:
        if what != "taken_bytes":
            return  # an item of a newer service
        was_full = self._untaken_bytes >= WINDOW_BYTES
        self._untaken_bytes = max(0, self._untaken_bytes - item.taken_bytes)
        if self._untaken_bytes > REPORT_BYTES:
            self._write_guard.expect()
        else:
            self._write_guard.relax()
        if was_full:
            self.wake()

    def over(self, broken: BaseException | None, *, blameless: bool = False) -> None:
        self._write_guard.close()
        super().over(broken, blameless=blameless)


def _first(number: int, request: Any, metadata: dict[str, str]) -> bytes:
    return stt_pb2.StreamRequest(stream=number, request=request, metadata=metadata).SerializeToString()


def _connect(channel: grpc.aio.Channel) -> Callable[[], grpc.aio.StreamStreamCall[Any, Any]]:
    stub: SpeechToTextAsyncStub = SpeechToTextStub(channel)
    return stub.RecognizeMany


MICROPHONES = TrunkMethod(_connect, "Recognize", _first)
