"""Chooses the engines: the configured one, else the best that starts, and eSpeak NG besides for other languages."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from server.embedded.fallback import Provided, Way, first_that_starts, reason
from server.embedded.service import EmbeddedConfig, MissingPartError
from server.embedded.tts.espeak import Espeak
from server.embedded.tts.hibari import Hibari
from server.embedded.tts.piper import Piper

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.embedded.tts.engine import Engine

log = logging.getLogger(__name__)

HIBARI, ESPEAK, PIPER = "hibari", "espeak", "piper"


async def load(config: EmbeddedConfig) -> Provided[list[Engine]]:
    """The engines, the default first. Raises MissingPartError if there is none."""
    found = await first_that_starts(_ways(config.option("TTS_ENGINE"), config.option("TTS_VOICE_PATH")))
    others = [] if found.part.name == ESPEAK else await asyncio.to_thread(_other_languages)
    return Provided([found.part, *others], found.unmet)


def _ways(asked: str, path: str) -> list[Way[Engine]]:
    """The wanted engine first, then the others that need no file of the operator's, the best first."""

    def way(does: str, make: Callable[[], Engine], asked_by: str = "") -> Way[Engine]:
        return Way(does, partial(asyncio.to_thread, make), asked_by)

    setting = f"TTS_ENGINE={asked}" if asked else ""
    natural = way("hibari speaks", Hibari, setting if asked == HIBARI else "")
    light = way("eSpeak NG speaks", Espeak, setting if asked == ESPEAK else "")
    ways = [light, natural] if asked == ESPEAK else [natural, light]
    if path and asked in {"", PIPER}:
        ways.insert(0, way("", partial(Piper, path), "TTS_VOICE_PATH"))
    elif asked not in {"", HIBARI, ESPEAK}:
        ways.insert(0, way("", partial(_unavailable, asked), setting))
    return ways


def _unavailable(asked: str) -> Engine:
    if asked == PIPER:
        raise MissingPartError("TTS_ENGINE=piper needs a voice: TTS_VOICE_PATH names its .onnx file")
    raise MissingPartError(f"TTS_ENGINE={asked}: known are {HIBARI}, {ESPEAK} and {PIPER}")


def _other_languages() -> list[Engine]:
    """Load eSpeak NG, if it is installed."""
    try:
        return [Espeak()]
    except MissingPartError:
        return []
    except Exception as broken:  # noqa: BLE001 - a library may fail with anything, and is not needed for English
        log.warning("only one voice speaks, and no other language: %s", reason(broken, "eSpeak NG"))
        return []
