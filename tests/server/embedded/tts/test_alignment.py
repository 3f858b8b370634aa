from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.embedded.tts.alignment import origins
from server.embedded.tts.onnx_outputs import with_float_output
from server.embedded.tts.scripts import probable_language


@pytest.mark.parametrize(
    ("text", "reading", "word", "source"),
    [
        ("at 10:30 p.m.", "at ten thirty P.M.", "thirty", "10:30"),
        ("5 km on", "5 kilometers on", "kilometers", "km"),
        ("on Jan. 5", "on January fifth", "January", "Jan."),
        ("a  b", "a b", "b", "b"),
    ],
)
def test_a_word_of_the_reading_comes_from_its_word_in_the_text(text: str, reading: str, word: str, source: str) -> None:
    at = origins(text, reading)[reading.index(word)]
    assert text.index(source) <= at < text.index(source) + len(source)


@given(st.text(max_size=60), st.text(max_size=60))
def test_every_character_has_an_origin_and_they_never_go_back(text: str, reading: str) -> None:
    found = origins(text, reading)
    assert len(found) == len(reading)
    assert found == sorted(found)
    assert all(0 <= at < max(1, len(text)) for at in found)


def test_an_output_is_some_bytes_behind_the_model() -> None:
    assert with_float_output(b"model", "/x") == b"model" + bytes.fromhex("3a0c 620a 0a02 2f78 1204 0a02 0801")
    with pytest.raises(ValueError, match="short"):
        with_float_output(b"", "x" * 200)


@pytest.mark.parametrize(
    ("text", "language"),
    [("привет мир", "ru"), ("東京に行く", "ja"), ("東京", "zh"), ("hello 東", "en-us"), ("123 😀", ""), ("ᚠ", "")],
)
def test_the_script_tells_the_language(text: str, language: str) -> None:
    assert probable_language(text) == language


def test_of_equally_many_letters_the_first_tell_the_language() -> None:
    """A set has another order in each process, which then could not continue what another had begun to say."""
    words = {"ru": "дом", "el": "φως", "ka": "სახ", "hy": "տուն"[:3], "he": "שיר", "ar": "دار"}
    pairs = [(one, other) for one in words for other in words if one != other]
    assert [probable_language(f"{words[one]} {words[other]}") for one, other in pairs] == [one for one, _ in pairs]
