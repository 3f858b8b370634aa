"""Content negotiation keeps what clients usually send, and nothing else."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from handlers.negotiation import accepts, accepts_gzip, preferred, prefers

if TYPE_CHECKING:
    from collections.abc import Callable

QUESTIONS: dict[str, Callable[[str], object]] = {
    "accepts": lambda header: accepts(header, "application/json"),
    "prefers": lambda header: prefers(header, "text/event-stream", "application/json"),
    "preferred": lambda header: preferred(header, (("json", ("application/json",)),)),
    "accepts_gzip": accepts_gzip,
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_long_headers_are_answered_and_not_kept(question: str) -> None:
    """Nobody needs a token to send them."""
    ask = QUESTIONS[question]
    usual = "application/json, text/event-stream, gzip"
    answer = ask(usual)
    assert answer
    tracemalloc.start()
    try:
        for number in range(100):
            assert ask(f"{usual}, {number}{' ' * 20_000}") == answer
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 100_000
