"""Chooses the engines: the configured one or the best available, and eSpeak NG besides for other languages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from server.embedded.service import EmbeddedConfig, MissingPartError
from server.embedded.tts.espeak import Espeak
from server.embedded.tts.hibari import Hibari
from server.embedded.tts.piper import Piper

if TYPE_CHECKING:
    from server.embedded.tts.engine import Engine

log = logging.getLogger(__name__)


def load(config: EmbeddedConfig) -> list[Engine]:
    """The engines, the default first. Raises MissingPartError if there is none, or the configured one is missing."""
    asked, path = config.option("TTS_ENGINE"), config.option("TTS_VOICE_PATH")
    if asked == "piper" and not path:
        raise MissingPartError("TTS_ENGINE=piper needs a voice: TTS_VOICE_PATH names its .onnx file")
    if asked == "espeak":
        return [Espeak()]
    if asked == "piper" or (path and not asked):
        return [Piper(path), *_other_languages()]
    try:
        return [Hibari(), *_other_languages()]
    except MissingPartError as missing:
        if asked:
            raise
        return [_light(missing)]


def _light(missing: MissingPartError) -> Engine:
    """Replace the natural voice by eSpeak NG. Raises MissingPartError, naming both, if neither is available."""
    try:
        espeak = Espeak()
    except MissingPartError as neither:
        raise MissingPartError(f"{missing}; or the light engine: {neither}") from None
    log.warning("eSpeak NG speaks: %s", missing)
    return espeak


def _other_languages() -> list[Engine]:
    """Load eSpeak NG, if it is installed."""
    try:
        return [Espeak()]
    except MissingPartError:
        return []
