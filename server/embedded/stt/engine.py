"""Chooses the recogniser: Whisper, or PocketSphinx if Whisper's parts are missing."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from server.embedded.service import MissingPartError
from server.embedded.stt import weights

if TYPE_CHECKING:
    from server.embedded.stt.voice_detector import VoiceDetector

log = logging.getLogger(__name__)

WHISPER, POCKETSPHINX = "whisper", "pocketsphinx"


class Detectors(Protocol):
    """A loaded voice detector."""

    def stream(self) -> VoiceDetector:
        """A detector for one stream."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """An available recogniser. `label`: its name for people; `arguments`: of the decoder process."""

    name: str
    label: str
    arguments: tuple[str, ...]

    def detectors(self) -> Detectors:
        """Load the voice detector that belongs to it."""
        from server.embedded.stt import voice_detector  # noqa: PLC0415 - needs numpy, which comes with the engine

        return voice_detector.Silero() if self.name == WHISPER else voice_detector.WebRtc()


def chosen(name: str, model_path: str) -> Engine:
    """The recogniser by STT_ENGINE (empty: the best available) and STT_MODEL_PATH. Raises MissingPartError."""
    if name not in {"", WHISPER, POCKETSPHINX}:
        raise MissingPartError(f"STT_ENGINE={name}: known are {WHISPER} and {POCKETSPHINX}")
    if model_path:
        folder = weights.given(model_path)
        return Engine(WHISPER, f"{WHISPER} {folder.resolve().name}", (WHISPER, str(folder)))
    if name == POCKETSPHINX:
        return _light()
    try:
        return Engine(WHISPER, f"{WHISPER} {weights.MODEL}", (WHISPER, str(weights.bundled())))
    except MissingPartError as missing:
        if name == WHISPER:
            raise
        try:
            light = _light()
        except MissingPartError:
            raise missing from None
        log.warning("speech is recognised by PocketSphinx, which hears worse: %s", missing)
        return light


def _light() -> Engine:
    if any(importlib.util.find_spec(package) is None for package in ("pocketsphinx", "numpy")):
        raise MissingPartError("PocketSphinx is missing: pip install pocketsphinx numpy")
    return Engine(POCKETSPHINX, POCKETSPHINX, (POCKETSPHINX,))
