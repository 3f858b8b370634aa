from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.embedded.stt.language import LANGUAGE_FILE, domain_model, sentences, spoken

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATES = """
language: en
intents:
  go: {description: "", data: [{sentences: ["go [quickly] to (the|a) {place}", "turn {degrees} degrees"]}]}
  ask: {description: "", data: [{sentences: ["where is <what>", "find {thing}"]}]}
expansion_rules: {what: "(it|everything)"}
lists:
  place: {wildcard: true}
  thing: {wildcard: true}
  degrees: {range: {from: 1, to: 3}}
samples:
  place: ["example.com", "Moon Base"]
"""


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    path = tmp_path / "xx.yaml"
    path.write_text(TEMPLATES, encoding="utf-8")
    return path


def test_templates_become_the_sentences_they_allow(templates: Path) -> None:
    found = set(sentences(templates))
    assert {"where is it", "where is everything", "find", "turn two degrees"} <= found
    assert found >= {
        f"go {quickly}to {article} {place}"
        for quickly in ("", "quickly ")
        for article in ("the", "a")
        for place in ("example dot com", "moon base")
    }
    assert not any("{" in sentence or "  " in sentence for sentence in found)


def test_sampling_is_the_same_every_time(templates: Path) -> None:
    first = sentences(templates)
    sentences.cache_clear()
    assert sentences(templates) == first


def test_every_intent_of_the_language_file_is_in_the_model() -> None:
    found = set(sentences(LANGUAGE_FILE))
    assert {"what time is it", "stop", "list files in the current directory"} <= found


def test_phrases_are_spelled_as_the_dictionary_does() -> None:
    assert spoken("  Open Example.com, please!") == "open example dot com please"
    assert spoken("what's 5 & ½?") == "what's"


def test_the_callers_phrases_join_the_model_and_unknown_words_are_left_out() -> None:
    model = domain_model(["open the zebra", "xyzzyplugh zebra"])
    assert "\nzebra " in model.dictionary
    assert "xyzzyplugh" not in model.dictionary + model.arpa
    assert ("the", "zebra") in model.pairs
    assert "zebra" not in domain_model().dictionary


def test_every_word_of_the_model_has_a_pronunciation() -> None:
    model = domain_model()
    pronounced = {line.split(maxsplit=1)[0].partition("(")[0] for line in model.dictionary.splitlines()}
    assert {word for pair in model.pairs for word in pair} - {"</s>"} <= pronounced


def test_second_pronunciations_come_along() -> None:
    assert "for(2) " in domain_model().dictionary
