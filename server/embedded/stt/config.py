"""Checks a caller's settings for recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protos import stt_pb2

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 48_000
MAX_PHRASES = 500
MAX_PHRASE_CHARS = 200
LANGUAGE = "en"


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
    return RecognizeSettings(
        config.sample_rate_hz, config.interim_results, config.endpointing, vocabulary, config.progress
    )
