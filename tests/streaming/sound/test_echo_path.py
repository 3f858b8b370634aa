"""Whether the loudspeaker is heard, on noise as what it plays."""

from __future__ import annotations

import numpy as np
import pytest

from streaming.sound.echo_path import GONE_AFTER_MS, LOOK, NONE_AFTER_MS, EchoPath
from streaming.sound.room import HISTORY

STEP, STEP_MS = 800, 50  # between two looks
N_LOOKS = 60


def noise(seed: int, level: float = 3_000) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, HISTORY + LOOK + N_LOOKS * STEP)


def looked(path: EchoPath, near: np.ndarray, far: np.ndarray, n_looks: int) -> bool | None:
    """`near` and `far` are of the same time."""
    for start in range(0, n_looks * STEP, STEP):
        end = start + HISTORY + LOOK
        path.look(near[end - LOOK : end], far[start:end], STEP_MS)
    return path.found


def delayed(far: np.ndarray, delay: int, level: float = 0.3) -> np.ndarray:
    return np.roll(far, delay) * level


@pytest.mark.parametrize("known", [None, False])
@pytest.mark.parametrize("delay", [0, 320, 3_200, 5_000])
def test_an_echo_is_found_in_two_looks(delay: int, *, known: bool | None) -> None:
    far = noise(1)
    assert looked(EchoPath(found=known), delayed(far, delay), far, 2) is True


@pytest.mark.parametrize("known", [None, False])
def test_an_echo_beside_a_louder_voice_is_found_by_its_delay(*, known: bool | None) -> None:
    far = noise(1)
    assert looked(EchoPath(found=known), delayed(far, 320, 0.1) + noise(2, 1_000), far, 6) is True


@pytest.mark.parametrize("near", [noise(2), noise(2, 10)], ids=["a voice", "nobody"])
def test_without_an_echo_there_is_soon_none(near: np.ndarray) -> None:
    path, far = EchoPath(found=None), noise(1)
    assert looked(path, near, far, NONE_AFTER_MS // STEP_MS - 1) is None
    assert looked(path, near, far, 1) is False
    assert looked(path, near, far, N_LOOKS) is False


def test_an_echo_is_gone_when_the_loudspeaker_is_not_heard_for_long() -> None:
    path, far = EchoPath(found=True), noise(1)
    assert looked(path, noise(2), far, N_LOOKS) is True, "somebody speaks over it"
    assert looked(path, noise(2, 10), far, GONE_AFTER_MS // STEP_MS - 1) is True
    assert looked(path, noise(2, 10), far, 1) is False


def test_a_silent_loudspeaker_tells_nothing() -> None:
    path = EchoPath(found=None)
    assert looked(path, noise(2), noise(1, 10), N_LOOKS) is None
