"""Names of files as they are said."""

from __future__ import annotations

import pytest

from server.embedded.intent.entities import arguments_of
from server.embedded.intent.file_names import written
from tests.support.processor import bounded_work


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("docs slash a dot txt", "docs/a.txt"),
        ("  a \t dot   dot b ", "a..b"),
        ("dot env", ".env"),
        ("dots dotted dot", "dots dotted."),
        ("a   b", "a   b"),
    ],
)
def test_signs_are_written(said: str, name: str) -> None:
    assert written(said) == name


def test_thousands_of_spaces_are_read_once() -> None:
    said = f"a{' ' * 200_000}b"
    with bounded_work():
        assert written(said) == said
        assert len(arguments_of(said)) == 2
