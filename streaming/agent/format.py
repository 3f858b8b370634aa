"""The format of a turn's reply."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReplyFormat:
    """The format of a reply. `sample_rate_hz` None: the voice's own."""

    audio: bool = True
    language: str = "en-US"
    voice: str = ""
    speed: float = 1.0
    encoding: str = "pcm_s16le"
    sample_rate_hz: int | None = None
    time_zone: str = ""
