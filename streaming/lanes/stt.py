"""`stt`: a microphone to transcribe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streaming.agent.overheard import Overheard, sureness_of
from streaming.agent.own_voice import OwnVoice
from streaming.lanes.base import Lane
from streaming.ports import FinalTranscript, SpeechStarted
from streaming.sound.microphone import MicrophoneInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.outlet import LaneSetup, SpeechPosition
    from streaming.ports import RecognitionEvent
    from streaming.sound.microphone_format import MicrophoneFormat
    from streaming.sound.trail import Position


class SttLane(Lane):
    """Frames in, recognition events out, until the client ends the input and all of it is answered.

    `converses`: what is heard is answered, so the echo of the agent's own words is left out of it.
    """

    def __init__(self, setup: LaneSetup, source: MicrophoneFormat, *, converses: bool = False) -> None:
        super().__init__(setup)
        self._own_voice = OwnVoice(setup.sounding, setup.listening_clock) if converses else None
        self._microphone = MicrophoneInput(self._services.stt, source, self._context, self._outlet)

    async def run(self) -> None:
        """Pass on all events."""
        try:
            async for event in self._microphone.events():
                if not self._microphone.repeats(event):
                    self._outlet.tell(event if self._own_voice is None else self._without_echo(event, self._own_voice))
        finally:
            self._microphone.cancel()

    def forget(self) -> None:
        self._microphone.forget()

    def _without_echo(self, event: RecognitionEvent, own_voice: OwnVoice) -> RecognitionEvent:
        match event:
            case SpeechStarted(at_ms=at_ms):
                own_voice.speech_began(self._microphone.ended_s_ago(at_ms), None)
            case FinalTranscript(text=heard) if heard and own_voice.audible:
                sureness = sureness_of(event.confidence, event.end_ms - event.start_ms)
                verdict = own_voice.judge(heard, sureness, self._microphone.ended_s_ago(event.end_ms))
                text = "" if verdict is Overheard.ECHO else own_voice.without_echo(heard)
                if text != heard:
                    return replace(event, text=text, words=())
        return event

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
        return self._microphone.save()

    def restore(self, saved: dict[str, Any], _position: SpeechPosition) -> None:
        self._microphone.restore(saved)

    def commit(self) -> None:
        """End the utterance (push-to-talk)."""
        self._microphone.commit()

    def end(self) -> None:
        """End the audio."""
        self._microphone.end()
