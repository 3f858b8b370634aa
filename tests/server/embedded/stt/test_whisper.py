"""The optional engine, with a stand-in for its package: its models are not on the machines that test this."""

from __future__ import annotations

import sys
import wave
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from server.embedded.service import MissingPartError
from server.embedded.stt import whisper

if TYPE_CHECKING:
    from pathlib import Path


class StandIn:
    """Answers as faster_whisper.WhisperModel 1.2 does: (segments, info), segments made while they are read."""

    def __init__(self, path: str, **options: Any) -> None:
        self.path = path
        assert options["local_files_only"], "nothing is fetched at run time"

    def transcribe(self, file: Any, **options: Any) -> tuple[Any, object]:
        assert options["word_timestamps"]
        with wave.open(file) as reader:
            seconds = reader.getnframes() / reader.getframerate()
        words = [SimpleNamespace(word=" Hello", start=0.1, end=seconds, probability=0.75)]
        return iter([SimpleNamespace(words=words, avg_logprob=-0.2)] if seconds > 0.5 else []), object()


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("faster_whisper")
    module.__spec__ = ModuleSpec("faster_whisper", None)
    module.WhisperModel = StandIn  # type: ignore[attr-defined] # a stand-in
    monkeypatch.setitem(sys.modules, "faster_whisper", module)


def test_without_the_package_or_the_model_there_are_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingPartError, match="pip install"):
        whisper.check(str(tmp_path))


@pytest.mark.usefixtures("package")
def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match=r"model\.bin"):
        whisper.check(str(tmp_path))
    (tmp_path / "model.bin").touch()
    whisper.check(str(tmp_path))


@pytest.mark.usefixtures("package")
def test_words_and_times_come_from_the_engine() -> None:
    heard = whisper.Whisper("model").transcribe(bytes(32_000))
    assert heard.text == "Hello"
    assert [(word.start_ms, word.end_ms, word.confidence) for word in heard.words] == [(100, 1000, 0.75)]


@pytest.mark.usefixtures("package")
def test_nothing_heard_is_nothing_said() -> None:
    assert whisper.Whisper("model").transcribe(bytes(320)).words == ()
