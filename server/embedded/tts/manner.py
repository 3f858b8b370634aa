"""Checks a caller's settings for synthesis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protos import tts_pb2
    from server.embedded.tts.voices import VoiceCatalogue

MIN_SPEED, MAX_SPEED = 0.25, 4.0


class InvalidSpeedError(Exception):
    """An invalid speed; the text states the valid range."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak: the voice, and the speed as shares of the engine and the tempo filter."""

    voice_id: str
    engine_speed: float
    tempo: float

    @property
    def speed(self) -> float:
        """The requested speed."""
        return self.engine_speed * self.tempo


def checked(config: tts_pb2.SynthesizeConfig, catalogue: VoiceCatalogue) -> Manner:
    """The valid settings. Raises InvalidSpeedError and UnknownVoiceError."""
    speed = config.speed or 1.0
    if math.isnan(speed) or not MIN_SPEED <= speed <= MAX_SPEED:
        raise InvalidSpeedError(f"speed must be {MIN_SPEED} to {MAX_SPEED:g}, not {config.speed:g}")
    voice_id = catalogue.resolve(config.voice, config.language)
    engine_speed = catalogue.engine_of(voice_id).speaking_rate(speed)
    return Manner(voice_id, engine_speed, speed / engine_speed)
