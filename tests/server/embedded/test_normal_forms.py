"""Unicode's normal forms of texts that would take quadratic time."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.embedded.memory.words import MAX_INDEXED_CHARS, MAX_TYPED_KEY_CHARS, indexed, key_form
from server.embedded.normal_forms import JOINER, MOST_MARKS, normal, stream_safe
from server.embedded.planner.recipes import key_of

ROOT = Path(__file__).resolve().parents[3]
# Unordered marks; characters that only become marks when they are decomposed; letters that bring marks along.
MARKS = ("\u0315\u0300", "\uff9e\u0300", "\u0f73\u0315", "\u0344\u0315", "\u0f77\u0300")


def longest_row(text: str) -> int:
    """Of marks, in the decomposed text."""
    signs = "".join("m" if unicodedata.combining(char) else " " for char in unicodedata.normalize("NFKD", text))
    return max(map(len, signs.split()), default=0)


@pytest.mark.parametrize("marks", MARKS)
def test_a_row_of_marks_is_interrupted(marks: str) -> None:
    assert longest_row(stream_safe("a" + marks * 100 + "b")) <= MOST_MARKS


@given(st.text(st.sampled_from("aé\u0315\u0300\uff9e\u0f73\u0344\u0f77ạ̈\u1fafがᾯ" + JOINER), max_size=200))
def test_no_row_is_longer_than_allowed(text: str) -> None:
    assert longest_row(stream_safe(text)) <= MOST_MARKS


@given(st.text(max_size=40))
def test_what_people_write_has_its_usual_form(text: str) -> None:
    if longest_row(text) <= MOST_MARKS:
        assert normal("NFC", text) == unicodedata.normalize("NFC", text)
        assert normal("NFKC", text) == unicodedata.normalize("NFKC", text)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The longest row of marks of each text that is normalised."""
    seen: list[int] = []
    usual = unicodedata.normalize

    def counted(form: str, text: str) -> str:
        if len(text) > 1:
            seen.append(
                max(map(len, "".join("m" if unicodedata.combining(char) else " " for char in text).split()), default=0)
            )
        return usual(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", counted)
    return seen


def test_a_value_of_nothing_but_marks_is_indexed_in_linear_time(rows: list[int]) -> None:
    assert indexed("a" + "\u0315\u0300" * MAX_INDEXED_CHARS)
    assert rows
    assert max(rows) <= MOST_MARKS


def test_so_is_what_a_user_tells_of_himself(rows: list[int]) -> None:
    assert key_of("colour" + "\u0315\u0300" * 2_000).startswith("user.")
    assert max(rows) <= MOST_MARKS


def test_a_key_that_is_too_long_is_not_normalised(rows: list[int]) -> None:
    long = "a" + "\u0315\u0300" * MAX_TYPED_KEY_CHARS
    assert key_form(long) == long
    assert rows == []


def test_a_key_is_found_however_its_accents_were_typed() -> None:
    assert key_form("u\u0323\u0308" * 256) == key_form("ụ\u0308" * 256) == unicodedata.normalize("NFC", "ụ\u0308" * 256)


# The reason for each other place is that it never has a long text.
ELSEWHERE = {
    "server/embedded/normal_forms.py": "it is the one place",
    "server/embedded/risky_words.py": "of one character",
    "server/embedded/tts/hibari.py": "of one character",
    "server/operations/fields.py": "a key, after its length was checked",
}


def test_no_other_place_normalises_a_text() -> None:
    calls = re.compile(r"unicodedata\.(?:is_)?normal|import normalize")
    modules = [path for room in ("server", "handlers", "streaming") for path in (ROOT / room).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in modules if calls.search(path.read_text(encoding="utf-8"))}
    assert found == set(ELSEWHERE)
