"""A moment of `tests.attacks.fuzz`, and what longer runs of it found."""

from __future__ import annotations

import random

import pytest

from tests.attacks.fuzz import TARGETS, fuzzed
from tests.conftest import HANG_S

FOUND: list[tuple[str, bytes]] = [
    ("messages", b'{"id":"\\ud800","type":"call"}'),
    ("openai", b'{"event_id":"\\ud800","type":"fly"}'),
]


@pytest.mark.parametrize("name", TARGETS)
def test_random_bytes_are_refused_as_declared(name: str) -> None:
    assert fuzzed(name, HANG_S, seed=1, most=100) == 100


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_stays_mended(name: str, data: bytes) -> None:
    target, corpus = TARGETS[name]
    target(data, random.Random(0))
    assert data not in corpus()
