"""What a client announces of its microphone."""

from __future__ import annotations

from dataclasses import dataclass, field

from streaming.ports import Endpointing
from streaming.sound.codecs import SERVICE_RATE_HZ


@dataclass(frozen=True, slots=True)
class MicrophoneFormat:
    """The format and options announced by the client."""

    language: str = "en-US"
    encoding: str = "pcm_s16le"
    sample_rate_hz: int = SERVICE_RATE_HZ
    interim: bool = True
    endpointing: bool = True
    vocabulary: tuple[str, ...] = ()
    echo_cancellation: bool = False
    wake_word: bool = False
    tuning: Endpointing = field(default_factory=Endpointing)
