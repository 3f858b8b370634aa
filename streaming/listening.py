"""A microphone: a client's frames decoded, handed to the recogniser, and their credit given back as they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.audio import SERVICE_RATE_HZ, microphone_decoder, pcm_duration_ms
from streaming.ports import RecognitionConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.ports import CallContext, RecognitionStream, SpeechToText


@dataclass(frozen=True, slots=True)
class MicrophoneFormat:
    """What the client announced."""

    language: str = "en-US"
    encoding: str = "pcm_s16le"
    sample_rate_hz: int = SERVICE_RATE_HZ
    interim: bool = True
    endpointing: bool = True
    vocabulary: tuple[str, ...] = ()


class Microphone:
    """Sound in, recognition events out (`stream`). Raises AudioFormatError for a format or frame that is not what it says."""

    def __init__(
        self, stt: SpeechToText, source: MicrophoneFormat, context: CallContext, give_back: Callable[[int], None]
    ) -> None:
        self._decoder = microphone_decoder(source.encoding, source.sample_rate_hz)
        self._give_back = give_back
        self._payload_in = self._payload_back = self._pcm_in = self._pcm_out = 0
        config = RecognitionConfig(
            language=source.language,
            sample_rate_hz=SERVICE_RATE_HZ,
            interim=source.interim,
            endpointing=source.endpointing,
            vocabulary=source.vocabulary,
        )
        self.stream: RecognitionStream = stt.recognize(config, context, self._on_taken)

    @property
    def received_ms(self) -> float:
        """Audio received so far."""
        return pcm_duration_ms(self._pcm_in, SERVICE_RATE_HZ)

    def feed(self, payload: bytes) -> None:
        """One frame from the client."""
        pcm = self._decoder.decode(payload)
        self._payload_in += len(payload)
        self._pcm_in += len(pcm)
        if pcm:
            self.stream.send_audio(pcm)

    def _on_taken(self, n_bytes: int) -> None:
        """PCM left: give back the same share of the payload, which may be of another rate or compressed; all, when all left."""
        self._pcm_out += n_bytes
        due = self._payload_in * self._pcm_out // self._pcm_in - self._payload_back
        if due > 0:
            self._payload_back += due
            self._give_back(due)

    def ended_s_ago(self, at_ms: int) -> float:
        """How long ago the audio at `at_ms` came in, for a client that sends in real time; seconds."""
        return max(0.0, (self.received_ms - at_ms) / 1000)
