"""Checks a caller's settings for recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.embedded.stt.endpoint import SPEECH

if TYPE_CHECKING:
    from protos import stt_pb2

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 48_000
MAX_PHRASES = 500
MAX_PHRASE_CHARS = 200
LANGUAGE = "en"
MIN_THRESHOLD, MAX_THRESHOLD = 0.2, 0.9  # the detector hears speech in noise below, and misses soft speech above
MIN_PATIENCE, MAX_PATIENCE = 0.3, 10.0
MAX_SILENCE_MS = 8_000


class InvalidConfigError(Exception):
    """An invalid setting; the text says which field, and its valid values."""


@dataclass(frozen=True, slots=True)
class RecognizeSettings:
    """A valid RecognizeConfig."""

    sample_rate_hz: int
    interim_results: bool
    endpointing: bool
    vocabulary: tuple[str, ...]
    progress: bool = False
    threshold: float = SPEECH
    patience: float = 1.0
    least_silence_ms: int = 0

    def silence_ms(self, own_ms: int) -> int:
        """How long a silence ends an utterance, if its words ask for `own_ms`."""
        return min(MAX_SILENCE_MS, max(round(own_ms * self.patience), self.least_silence_ms))


def checked(config: stt_pb2.RecognizeConfig) -> RecognizeSettings:
    """The valid settings. Raises InvalidConfigError."""
    language = config.language.replace("_", "-").lower()
    if language and language != LANGUAGE and not language.startswith(f"{LANGUAGE}-"):
        raise InvalidConfigError(f"language {config.language!r} is not known here: only English (en, en-US, en-GB, …)")
    if not MIN_RATE_HZ <= config.sample_rate_hz <= MAX_RATE_HZ:
        raise InvalidConfigError(f"sample_rate_hz must be {MIN_RATE_HZ} to {MAX_RATE_HZ}, not {config.sample_rate_hz}")
    if len(config.vocabulary) > MAX_PHRASES:
        raise InvalidConfigError(f"vocabulary may have {MAX_PHRASES} phrases, not {len(config.vocabulary)}")
    if any(len(phrase) > MAX_PHRASE_CHARS for phrase in config.vocabulary):
        raise InvalidConfigError(f"a phrase of the vocabulary may have {MAX_PHRASE_CHARS} characters")
    vocabulary = tuple(sorted(set(config.vocabulary)))
    tuning = config.tuning
    if not 0 <= tuning.threshold <= 1:
        raise InvalidConfigError(f"tuning.threshold must be 0 to 1, not {tuning.threshold}")
    if not 0 <= tuning.patience <= MAX_PATIENCE:
        raise InvalidConfigError(f"tuning.patience must be 0 to {MAX_PATIENCE}, not {tuning.patience}")
    return RecognizeSettings(
        config.sample_rate_hz,
        config.interim_results,
        config.endpointing,
        vocabulary,
        config.progress,
        min(MAX_THRESHOLD, max(MIN_THRESHOLD, tuning.threshold or SPEECH)),
        max(MIN_PATIENCE, tuning.patience or 1.0),
        min(MAX_SILENCE_MS, tuning.least_silence_ms),
    )
