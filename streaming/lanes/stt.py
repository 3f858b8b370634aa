"""`stt`: a microphone, transcribed."""

from __future__ import annotations

from streaming.lanes.base import Lane, LaneFrame
from streaming.listening import Microphone, MicrophoneFormat


class SttLane(Lane):
    """Frames in, recognition events out, until the client ends the input and everything is answered."""

    def __init__(self, frame: LaneFrame, source: MicrophoneFormat) -> None:
        super().__init__(frame)
        self._microphone = Microphone(self._services.stt, source, self._context, self._outlet.taken)

    async def run(self) -> None:
        """Pass every event on."""
        try:
            async for event in self._microphone.stream:
                self._outlet.tell(event)
        finally:
            self._microphone.stream.cancel()

    def audio(self, payload: bytes) -> None:
        """A microphone frame."""
        self._microphone.feed(payload)

    def commit(self) -> None:
        """Push-to-talk: the utterance ends here."""
        self._microphone.stream.commit()

    def end(self) -> None:
        """No more audio."""
        self._microphone.stream.end()
