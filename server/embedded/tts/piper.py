"""A better voice for those who supply one: Piper (GPL-3.0-or-later) with an ONNX voice file, by TTS_VOICE_PATH."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.embedded.service import MissingPartError
from server.embedded.tts.engine import EngineVoice, Spoken
from server.embedded.tts.pieces import LONG_WORD

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP = "Ready."  # shows whether the voice speaks, and makes the first words come sooner
SLOWEST_SPEED, FASTEST_SPEED = 0.5, 2.0  # beyond these, its voices slur; the tempo filter does the rest


def check(path: str) -> None:
    """Raises MissingPartError, with an explanation, if package or voice is missing."""
    if importlib.util.find_spec("piper") is None:
        raise MissingPartError("TTS_VOICE_PATH is set, but Piper is missing: pip install piper-tts")
    for file in (Path(path), Path(f"{path}.json")):
        if not file.is_file():
            raise MissingPartError(
                f"TTS_VOICE_PATH={path}: there is no {file.name} (a Piper voice is .onnx and .onnx.json)"
            )


class Piper:
    """Implements Engine with one voice, without word times."""

    name = "piper"
    at_once = 1
    variants: tuple[str, ...] = ()

    def __init__(self, path: str) -> None:
        check(path)
        self._piper: Any = importlib.import_module("piper")
        self._voice = self._piper.PiperVoice.load(path)
        self.sample_rate_hz = int(self._voice.config.sample_rate)
        self.voices = (_described(Path(path)),)
        if not any(self.say(WARM_UP, self.voices[0].id, 1.0, lambda: True).pcm):
            raise MissingPartError(f"TTS_VOICE_PATH={path}: the voice makes no sound")

    def speaking_rate(self, speed: float) -> float:
        """The speed, limited to what sounds good."""
        return min(FASTEST_SPEED, max(SLOWEST_SPEED, speed))

    def say(self, text: str, voice_id: str, speed: float, wanted: Callable[[], bool]) -> Spoken:  # noqa: ARG002 - it has one voice
        """Synthesise; see Engine."""
        pcm = bytearray()
        parted = LONG_WORD.sub(r"\g<0> ", text)  # its phonemes are eSpeak NG's, in this process
        for chunk in self._voice.synthesize(
            parted, self._piper.SynthesisConfig(length_scale=self._voice.config.length_scale / speed)
        ):
            pcm += chunk.audio_int16_bytes
            if not wanted():
                break
        return Spoken(bytes(pcm))


def _described(path: Path) -> EngineVoice:
    """The voice, from its description file such as en_US-amy-medium.onnx.json."""
    description: dict[str, Any] = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    code = str(description.get("language", {}).get("code") or description.get("espeak", {}).get("voice") or "en")
    tag = code.replace("_", "-").lower()
    general = tag.partition("-")[0]
    voice_id = path.stem.lower().replace("_", "-").replace("+", "-")  # a variant would follow the sign
    return EngineVoice(voice_id, path.stem, ((1, tag), (5, general)), "neutral")
