"""`stt`: a microphone to transcribe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.lanes.base import Lane
from streaming.sound.microphone import MicrophoneInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.outlet import LaneSetup, SpeechPosition
    from streaming.sound.microphone_format import MicrophoneFormat
    from streaming.sound.trail import Position


class SttLane(Lane):
    """Frames in, recognition events out, until the client ends the input and all of it is answered."""

    def __init__(self, setup: LaneSetup, source: MicrophoneFormat) -> None:
        super().__init__(setup)
        self._microphone = MicrophoneInput(self._services.stt, source, self._context, self._outlet)

    async def run(self) -> None:
        """Pass on all events."""
        try:
            async for event in self._microphone.events():
                self._outlet.tell(event)
        finally:
            self._microphone.cancel()

    @property
    def ear(self) -> Callable[[bytes, int], None]:
        return self._microphone.feed

    def audio(self, payload: bytes, number: int = 0) -> None:
        """Feed a microphone frame."""
        self._microphone.feed(payload, number)

    def rewind(self) -> Position | None:
        return self._microphone.needed

    @property
    def received_bytes(self) -> int:
        return self._microphone.received_bytes

    def save(self) -> dict[str, Any]:
        return {"at_ms": self._microphone.needed_at_ms}

    def restore(self, saved: dict[str, Any], _position: SpeechPosition) -> None:
        self._microphone.begin_at(saved["at_ms"])

    def commit(self) -> None:
        """End the utterance (push-to-talk)."""
        self._microphone.commit()

    def end(self) -> None:
        """End the audio."""
        self._microphone.end()
