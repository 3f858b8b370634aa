"""A microphone: decodes a client's frames, passes them to the recogniser, and returns their credit when they have left."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from streaming.domain import Trouble
from streaming.ports import RecognitionConfig
from streaming.sound.codecs import SERVICE_RATE_HZ, PassThrough, microphone_decoder, pcm_duration_ms
from streaming.sound.echo import EchoFilter, EchoState
from streaming.sound.kept import KeptAudio
from streaming.sound.listening import Listening, ToldElsewhere, along_trail
from streaming.sound.pcm import BYTES_PER_SAMPLE
from streaming.sound.trail import STEP_MS, Trail
from streaming.sound.wake import WakeGate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from streaming.outlet import Outlet
    from streaming.ports import CallContext, RecognitionEvent, RecognitionStream, ServiceError, SpeechToText
    from streaming.sound.echo import FarEnd
    from streaming.sound.microphone_format import MicrophoneFormat
    from streaming.sound.trail import Position
    from streaming.sound.wake import Attention

MARK_BYTES: Final = STEP_MS * SERVICE_RATE_HZ * BYTES_PER_SAMPLE // 1000  # of PCM between two positions in the trail


class MicrophoneInput:
    """Audio in, recognition events out. Raises AudioFormatError for a format that is not supported or not as announced."""

    def __init__(
        self,
        stt: SpeechToText,
        source: MicrophoneFormat,
        context: CallContext,
        outlet: Outlet,
        far_end: FarEnd | None = None,
        attention: Attention | None = None,
    ) -> None:
        self._decoder = microphone_decoder(source.encoding, source.sample_rate_hz)
        self._outlet = outlet
        self._trail = Trail()
        self._mark_at = 0  # bytes of PCM: frames before this position need not be added to the trail
        self._as_it_is = isinstance(self._decoder, PassThrough)
        self._payload_in = self._payload_back = self._pcm_in = self._pcm_out = 0
        config = RecognitionConfig(
            language=source.language,
            sample_rate_hz=SERVICE_RATE_HZ,
            interim=source.interim,
            endpointing=source.endpointing,
            vocabulary=source.vocabulary,
            progress=True,
            tuning=source.tuning,
        )

        def open_stream(on_taken: Callable[[int], None]) -> RecognitionStream:
            return stt.recognize(config, context, on_taken)

        self._kept = KeptAudio(open_stream, self._on_taken, self._needed_ms, commits_only=not source.endpointing)
        self._listening = Listening(self._kept, self._on_lost)
        self._told_elsewhere = ToldElsewhere([])
        self._attention = attention
        self._gate = WakeGate(attention, self._kept.send_audio) if attention is not None else None
        hear = self._gate.feed if self._gate is not None else self._kept.send_audio
        self._echo = EchoFilter(far_end, hear, expected=source.echo_cancellation) if far_end is not None else None
        self._hear = self._echo.feed if self._echo is not None else hear

    @property
    def filters(self) -> tuple[EchoFilter | WakeGate, ...]:
        """What has to run for audio to get through."""
        return tuple(one for one in (self._echo, self._gate) if one is not None)

    @property
    def echo(self) -> EchoState:
        """Whether the loudspeaker's sound comes back."""
        return self._echo.state if self._echo is not None else EchoState.NOT_FOUND

    @property
    def received_ms(self) -> float:
        """Duration of the audio received so far."""
        return self._trail.base_ms + pcm_duration_ms(self._pcm_in, SERVICE_RATE_HZ)

    def save(self) -> dict[str, Any]:
        """What another replica needs to continue, as JSON: where the audio that it needs begins, and what is told already."""
        told = self._told_elsewhere.told.union(self._listening.save())
        return {"at_ms": self._trail.needed_at_ms, "told": sorted(told)}

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue a microphone of another replica, which received so much audio before the first frame here."""
        self._trail = Trail(saved["at_ms"])
        self._told_elsewhere = ToldElsewhere(saved.get("told", []))  # an older replica has not saved it
        if self._gate is not None:
            self._gate.wake()  # the conversation goes on here

    @property
    def needed(self) -> Position | None:
        """The position from which another replica would need the audio."""
        return self._trail.needed

    @property
    def received_bytes(self) -> int:
        """Payload bytes received here so far."""
        return self._payload_in

    def events(self) -> AsyncIterator[RecognitionEvent]:
        """Recognition events, with times since the microphone was opened, wherever that was. Raises ServiceError."""
        return along_trail(self._listening, self._trail)

    def repeats(self, event: RecognitionEvent) -> bool:
        """True if another replica has told the client of this event. Ask once for each event, in order."""
        return self._told_elsewhere.includes(event)

    def feed(self, payload: bytes, number: int = 0) -> None:
        """Take a frame from the client, with its number."""
        if self._pcm_in >= self._mark_at and not self._decoder.holds:
            self._trail.add(number, pcm_duration_ms(self._pcm_in, SERVICE_RATE_HZ), self._payload_in)
            self._mark_at = self._pcm_in + MARK_BYTES
        n_bytes = len(payload)
        self._payload_in += n_bytes
        if self._as_it_is and n_bytes and n_bytes % BYTES_PER_SAMPLE == 0:
            self._pcm_in += n_bytes
            self._hear(payload)
            return
        self._decoded(self._decoder.decode(payload))

    def _decoded(self, pcm: bytes) -> None:
        self._pcm_in += len(pcm)
        if pcm:
            self._hear(pcm)

    def commit(self) -> None:
        """End the utterance after the audio fed so far."""
        self._behind_audio(self._kept.commit)

    def end(self) -> None:
        """End the audio."""
        self._behind_audio(self._kept.end)

    def cancel(self) -> None:
        """Stop listening."""
        self._kept.cancel()

    def forget(self) -> None:
        """Stop, also if nobody has begun to listen."""
        self._kept.cancel()
        self._listening.let_go()
        if self._attention is not None:
            self._attention.forget()

    def _needed_ms(self) -> float:
        return self._trail.from_ms - self._trail.base_ms

    def _on_lost(self, broken: ServiceError) -> None:
        """The stream was lost and a new one is opened. Meanwhile, tell the client why nothing is recognised."""
        trouble = Trouble.of(broken, then="; what was not recognised yet is sent again")
        self._outlet.tell(replace(trouble, retryable=True))

    def _behind_audio(self, act: Callable[[], None]) -> None:
        self._decoded(self._decoder.rest())
        for one in reversed(self.filters):
            act = partial(one.then, act)
        act()

    def _on_taken(self, n_bytes: int) -> None:
        """PCM was sent: return credit for the same share of the payload, which may have another rate or be compressed."""
        self._pcm_out += n_bytes
        # A frame that is held is soon decoded
        due = self._payload_in * self._pcm_out // self._pcm_in - self._payload_back
        if due > 0:
            self._payload_back += due
            self._outlet.taken(due)

    def ended_s_ago(self, at_ms: int) -> float:
        """Seconds since the audio at `at_ms` was received, for a client that sends in real time."""
        return max(0.0, (self.received_ms - at_ms) / 1000)
