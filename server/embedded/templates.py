"""The language file: hassil's intents for recognition, and sentences sampled from them for the recogniser's language model."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hassil import Intents
from hassil.sample import sample_intents

LANGUAGE_FILE = Path(__file__).parent / "language" / "en.yaml"
MAX_PER_INTENT = 2_000  # sentences: every slot value in every frame

_SPACES = re.compile(r"\s+")
_NOT_WORDS = re.compile(r"[^a-z' ]+")


@cache
def document() -> dict[str, Any]:
    """The file as it is."""
    loaded: dict[str, Any] = yaml.safe_load(LANGUAGE_FILE.read_text(encoding="utf-8"))
    return loaded


def _for_hassil(*, sampled: bool) -> dict[str, Any]:
    """The part that hassil reads; with `sampled`, wildcards become the lists of `samples`."""
    source = document()
    lists = dict(source["lists"])
    if sampled:
        lists |= {name: {"values": values} for name, values in source["samples"].items()}
    return {
        "language": source["language"],
        "intents": {name: {"data": intent["data"]} for name, intent in source["intents"].items()},
        "lists": lists,
        "skip_words": source["skip_words"],
    }


@cache
def intents() -> Intents:
    """For recognition."""
    return Intents.from_dict(_for_hassil(sampled=False))


@cache
def sentences() -> tuple[tuple[str, str], ...]:
    """(intent, sentence) pairs: lower-case words as they are spoken."""
    found: dict[tuple[str, str], None] = {}
    counts: dict[str, int] = {}
    for intent, sentence in sample_intents(Intents.from_dict(_for_hassil(sampled=True))):
        if counts.get(intent, 0) < MAX_PER_INTENT:
            counts[intent] = counts.get(intent, 0) + 1
            found[(intent, spoken(sentence))] = None
    return tuple(found)


def spoken(text: str) -> str:
    """Lower case, letters and apostrophes only."""
    return _SPACES.sub(" ", _NOT_WORDS.sub(" ", text.lower())).strip()


@cache
def entity_names(intent: str) -> tuple[str, ...]:
    """The slots of an intent's templates."""
    text = " ".join(sentence for data in document()["intents"][intent]["data"] for sentence in data["sentences"])
    return tuple(dict.fromkeys(re.findall(r"\{(\w+)\}", text)))


@cache
def needs_entities(intent: str) -> bool:
    """Does each of its templates have a slot?"""
    sentences_of = [sentence for data in document()["intents"][intent]["data"] for sentence in data["sentences"]]
    return all("{" in sentence for sentence in sentences_of)


@cache
def examples(intent: str, most: int = 3) -> tuple[str, ...]:
    """Some sentences, spread over what can be said."""
    found = [sentence for name, sentence in sentences() if name == intent]
    step = max(1, len(found) // most)
    return tuple(found[::step][:most])
