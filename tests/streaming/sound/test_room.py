"""The fit of a room, on noise as the far end."""

from __future__ import annotations

import numpy as np
import pytest

from streaming.sound.room import HISTORY, MAX_DELAY, Room

N_SAMPLES = 16_000


def played(seed: int = 1) -> np.ndarray:
    """Noise of a second, and what sounded before it."""
    return np.random.default_rng(seed).normal(0, 3_000, HISTORY + N_SAMPLES)


def echo(far: np.ndarray, delay: int) -> np.ndarray:
    """With a second reflection."""
    first, second = (far[at : at + N_SAMPLES] for at in (HISTORY - delay, HISTORY - delay - 200))
    return 0.5 * first + 0.2 * second


@pytest.mark.parametrize("delay", [0, 20, 320, 3_200, MAX_DELAY - 200])
def test_what_it_learnt_is_subtracted_and_the_users_voice_stays(delay: int) -> None:
    room = Room.fit(echo(played(), delay), played())
    assert room is not None
    far, voice = played(seed=2), np.random.default_rng(3).normal(0, 100, N_SAMPLES)
    left = room.residual(echo(far, delay) + voice, far) - voice
    assert left @ left < 0.01 * (voice @ voice)


def test_a_block_is_subtracted_like_the_whole() -> None:
    far = played()
    room = Room.fit(echo(far, 320), far)
    assert room is not None
    near = echo(far, 320)
    whole = room.residual(near, far)
    assert np.allclose(whole[160:320], room.residual(near[160:320], far[160 : 320 + HISTORY]))


def test_what_is_no_echo_teaches_nothing() -> None:
    assert Room.fit(played(seed=2)[HISTORY:], played()) is None
    assert Room.fit(np.zeros(N_SAMPLES), played()) is None
    assert Room.fit(played()[HISTORY:], np.zeros(HISTORY + N_SAMPLES)) is None
