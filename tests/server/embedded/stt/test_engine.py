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


def test_people_are_told_the_model(tmp_path: Path) -> None:
    own = tmp_path / "small.en"
    shutil.copytree(weights.bundled(), own)
    assert engine.whisper().label == "whisper tiny.en"
    assert engine.whisper(str(own)).label == "whisper small.en"
    assert engine.pocketsphinx().label == "pocketsphinx"


@pytest.mark.parametrize(
    ("name", "path", "asked_by"),
    [
        ("", "", ["", ""]),
        ("whisper", "", ["STT_ENGINE=whisper", ""]),
        ("pocketsphinx", "", ["STT_ENGINE=pocketsphinx", ""]),
        ("", "/models/small", ["STT_MODEL_PATH", "", ""]),
        ("pocketsphinx", "/models/small", ["STT_MODEL_PATH", "STT_ENGINE=pocketsphinx", ""]),
        ("parrot", "", ["STT_ENGINE=parrot", "", ""]),
    ],
)
def test_what_is_asked_for_is_tried_first(name: str, path: str, asked_by: list[str]) -> None:
    choices = engine.choices(name, path)
    assert [choice.asked_by for choice in choices] == asked_by
    light, best = choices[-1], choices[-2]
    if name == "pocketsphinx":
        light, best = best, light
    assert (best.find().label, light.find().label) == ("whisper tiny.en", "pocketsphinx")


def test_an_unknown_engine_is_told_with_those_that_are_known() -> None:
    with pytest.raises(MissingPartError, match="STT_ENGINE=parrot: known are whisper and pocketsphinx"):
        engine.choices("parrot", "")[0].find()
