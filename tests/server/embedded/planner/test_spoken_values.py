"""Texts of pages and commands, as they are read aloud."""

from __future__ import annotations

import pytest

from server.embedded.planner.spoken_values import MAX_SPOKEN_CHARS, speakable
from tests.support.processor import bounded_work

LONG_CHARS = 256 * 1024  # of a command's output


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("See (https://www.example.com/a), or www.b.example.", "See (example.com), or b.example."),
        ("http://x/ www... https://!", "x www... https://!"),
        ("WWW.Example.org/_/?!", "example.org?!"),
    ],
)
def test_of_an_address_the_site_is_spoken(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


@pytest.mark.parametrize("repeated", [".", "www.", "http://", "*", "_", "_.", "\x1b[", " ", "a"])
@pytest.mark.parametrize("end", ["", "/", "\x01"])
def test_a_long_text_is_read_once(repeated: str, end: str) -> None:
    with bounded_work():
        assert len(speakable(f"www.a{repeated * (LONG_CHARS // len(repeated))}{end}")) < 2 * MAX_SPOKEN_CHARS
