"""The domain language model: the intents' sentences, and a dictionary of just their words, so that it loads in 10 ms."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pocketsphinx import get_model_path
from pocketsphinx.lm import ArpaBoLM

from server.embedded.templates import sentences, spoken

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class DomainModel:
    """Two files that a decoder loads."""

    language_model: Path
    dictionary: Path


@cache
def pronunciations() -> dict[str, tuple[str, ...]]:
    """Word → its lines in the full dictionary: 134,860 of them, read once a process."""
    found: dict[str, list[str]] = {}
    with open(get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as lines:  # noqa: PTH123 - a str path
        for line in lines:
            word = line.split(" ", 1)[0].partition("(")[0]
            found.setdefault(word, []).append(line.rstrip("\n"))
    return {word: tuple(entries) for word, entries in found.items()}


def build(directory: Path, vocabulary: Iterable[str] = ()) -> DomainModel:
    """Write both files into `directory`. Phrases with words that nobody knows how to pronounce are left out."""
    known = pronunciations()
    phrases = [sentence for _, sentence in sentences()]
    phrases += [phrase for phrase in map(spoken, vocabulary) for _ in range(3)]
    usable = [phrase for phrase in phrases if phrase and all(word in known for word in phrase.split())]
    words = sorted({word for phrase in usable for word in phrase.split()})
    model = DomainModel(directory / "domain.arpa", directory / "domain.dict")
    lines = [line for word in words for line in known[word]]
    model.dictionary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = "\n".join(f"<s> {phrase} </s>" for phrase in usable) + "\n"
    builder = ArpaBoLM(sentfile=io.StringIO(text))
    builder.compute()
    builder.write_file(str(model.language_model))
    return model
