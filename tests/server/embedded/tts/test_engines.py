"""An engine that is missing or broken costs itself, not the service: another one speaks, and that is told."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import pytest

from protos import tts_pb2
from server.embedded.service import EmbeddedConfig, MissingPartError
from server.embedded.tts import espeak, hibari
from server.embedded.tts.service import TextToSpeechService

if TYPE_CHECKING:
    from pathlib import Path


async def spoken_by(**options: str) -> tuple[str, str]:
    """The engine that started, and that of the first voice in the list."""
    service = TextToSpeechService(EmbeddedConfig(options=tuple(options.items())))
    try:
        await service.start()
        listed = await service.ListVoices(tts_pb2.ListVoicesRequest(), None)  # type: ignore[arg-type] # it is not used
    finally:
        await service.stop()
    return service.engine, listed.voices[0].engine


@pytest.mark.parametrize(
    ("asked", "missing", "engine", "words"),
    [
        ("", ("hibari",), "espeak (en-us)", "[voice]"),
        ("", ("onnxruntime",), "espeak (en-us)", "onnxruntime"),
        ("hibari", ("hibari",), "espeak (en-us) without TTS_ENGINE=hibari", "[voice]"),
        ("hibari", ("onnxruntime",), "espeak (en-us) without TTS_ENGINE=hibari", "onnxruntime"),
        ("espeak", ("espeakng_loader",), "hibari (heart) without TTS_ENGINE=espeak", "[espeak]"),
        ("piper", (), "hibari (heart) without TTS_ENGINE=piper", "TTS_VOICE_PATH names its .onnx file"),
        ("parrot", (), "hibari (heart) without TTS_ENGINE=parrot", "known are hibari, espeak and piper"),
    ],
)
async def test_where_an_engine_is_missing_another_speaks(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    asked: str,
    missing: tuple[str, ...],
    engine: str,
    words: str,
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert await spoken_by(TTS_ENGINE=asked) == (engine, engine.partition(" ")[0])
    (told,) = caplog.messages
    assert told.startswith("eSpeak NG speaks instead: " if engine.startswith("espeak") else "hibari speaks instead: ")
    assert words in told
    assert "\n" not in told


@pytest.mark.parametrize("how", ["another file", "no file", "no network"])
async def test_a_broken_wheel_of_the_natural_voice_costs_that_voice(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    if how == "another file":
        monkeypatch.setitem(hibari.SHA256, "oov.onnx", hashlib.sha256().hexdigest())
    elif how == "no file":
        monkeypatch.setitem(hibari.SHA256, "gone.onnx", "0" * 64)
    else:
        monkeypatch.setattr(hibari, "with_float_output", lambda *_: b"not a model")
    assert await spoken_by() == ("espeak (en-us)", "espeak")
    (told,) = caplog.messages
    assert told.startswith("eSpeak NG speaks instead: ")


async def test_a_voice_of_ones_own_that_is_not_there_costs_that_voice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "amy.onnx")
    assert await spoken_by(TTS_VOICE_PATH=path) == ("hibari (heart) without TTS_VOICE_PATH", "hibari")
    (told,) = caplog.messages
    assert told.startswith("hibari speaks instead: TTS_VOICE_PATH")


async def test_a_broken_light_engine_costs_the_other_languages(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(espeak, "_find", lambda: ("/nowhere/libespeak-ng.so", "/nowhere"))
    assert await spoken_by() == ("hibari (heart)", "hibari")
    (told,) = caplog.messages
    assert told.startswith("only one voice speaks, and no other language: eSpeak NG: EspeakDiedError")


async def test_where_nothing_speaks_the_service_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hibari", "espeakng_loader"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPartError, match=r"\[voice\].*; or .*\[espeak\]"):
        await spoken_by()
