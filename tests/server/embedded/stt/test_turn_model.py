"""The turn model at TURN_MODEL_PATH, with tiny ONNX models made here: its input, its output, and what cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from server.embedded.service import MissingPartError
from server.embedded.stt.turn_model import N_FRAMES, N_MELS, TurnModel
from tests.server.embedded.speech import recording

if TYPE_CHECKING:
    from pathlib import Path


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protobuf message (onnx.proto)."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def value(name: str, shape: tuple[int, ...]) -> bytes:
    """A ValueInfoProto of floats."""
    dims = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, dims)))


def model_of(operator: str, shape: tuple[int, ...] = (1, N_MELS, N_FRAMES)) -> bytes:
    """A model that reduces its input to one number."""
    node = field(1, b"input_features") + field(2, b"found") + field(4, operator.encode())
    keepdims = field(5, field(1, b"keepdims") + field(3, 0) + field(20, 2))
    graph = field(1, node + keepdims) + field(2, b"tiny") + field(11, value("input_features", shape))
    return field(1, 8) + field(8, field(2, 13)) + field(7, graph + field(12, value("found", ())))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "turn.onnx"


def test_the_model_sees_the_last_eight_seconds(path: Path) -> None:
    path.write_bytes(model_of("ReduceMax"))
    model = TurnModel(str(path))
    pcm = recording("flite-slt-list-files")
    heard = model.complete(pcm)
    assert 0.5 < heard < 3
    assert model.complete(pcm * 8) == pytest.approx(model.complete((pcm * 8)[-8 * 32_000 :]))
    assert model.complete(bytes(20 * 32_000) + pcm) == pytest.approx(heard, abs=1e-3), (
        "silence stands before a short turn"
    )


def test_loudness_does_not_matter(path: Path) -> None:
    path.write_bytes(model_of("ReduceMean"))
    model = TurnModel(str(path))
    loud = np.frombuffer(recording("flite-slt-list-files"), "<i2")
    assert model.complete((loud // 4).astype("<i2").tobytes()) == pytest.approx(
        model.complete(loud.tobytes()), abs=0.02
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"not a model", "is not an ONNX model"),
        (model_of("ReduceMax", (1, 40, 100)), "takes no input_features"),
    ],
)
def test_what_cannot_be_used_is_refused_with_words(path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MissingPartError, match=words):
        TurnModel(str(path))
