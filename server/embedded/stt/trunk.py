"""RecognizeMany: many microphones in one call, each served like a Recognize call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protos import stt_pb2
from server.embedded import trunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Recognize = Callable[["AsyncIterator[stt_pb2.RecognizeRequest]", "TalkerContext"], Awaitable[None]]

REPORT_BYTES = 16 * 1024  # how much audio is taken before the caller is told: half a second
WINDOW_BYTES = 128 * 1024  # audio per stream that a caller may send before it is told that some was taken


class TalkerStream(trunk.ServedStream):
    """One microphone's stream."""

    untaken_bytes = 0


class TalkerContext(trunk.StreamContext):
    """A microphone's replacement for the servicer context of a Recognize call."""

    def __init__(self, put: Callable[[stt_pb2.RecognizeResponse], Awaitable[None]]) -> None:
        self._put = put

    async def write(self, message: stt_pb2.RecognizeResponse) -> None:
        """Send a response."""
        await self._put(message)


class RecognizeManyCall(trunk.TrunkCall):
    """One RecognizeMany call."""

    def __init__(self, recognize: Recognize, instance: str = "") -> None:
        super().__init__(stt_pb2, "stt", instance)
        self._recognize = recognize

    def greeting(self) -> stt_pb2.TrunkResponse:
        return stt_pb2.TrunkResponse(reports_progress=True, instance=self._instance)

    def new_stream(self, number: int) -> TalkerStream:
        return TalkerStream(number)

    def took(self, stream: trunk.ServedStream, request: stt_pb2.RecognizeRequest) -> bool:
        assert isinstance(stream, TalkerStream), "made by new_stream"
        stream.untaken_bytes += len(request.audio)
        return stream.untaken_bytes <= 2 * WINDOW_BYTES

    async def run(self, stream: trunk.ServedStream) -> None:
        assert isinstance(stream, TalkerStream), "made by new_stream"
        context = TalkerContext(lambda event: self.answer(stream, event))
        await self._recognize(self._requests(stream), context)

    async def _requests(self, stream: TalkerStream) -> AsyncIterator[stt_pb2.RecognizeRequest]:
        taken = 0
        while (request := await stream.requests.get()) is not None:
            yield request
            size = len(request.audio)
            taken += size
            stream.untaken_bytes -= size
            if taken >= REPORT_BYTES:
                self.put(stream, taken_bytes=taken)
                taken = 0
