"""The language file: hassil's intents for recognition, sample sentences, and skeletons for near misses."""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from hassil import Intents
from hassil.sample import sample_intents

LANGUAGE_FILE = Path(__file__).with_name("en.yaml")
MAX_PER_INTENT = 2_000  # sentences, from all combinations of templates and slot values
GUESS = "guess"  # in hassil's metadata: the template is one of `guesses`
SLOT = "<slot>"  # in a skeleton: one or more words of the speaker

_SPACES = re.compile(r"\s+")
_NOT_WORDS = re.compile(r"[^a-z' ]+")
_SLOT_NAMES = re.compile(r"\{(?:\w+:)?(\w+)\}")
_BECOME = {
    "arguments": ("args",),
    "program": ("command", "args"),
    "new_name": ("args",),
    "new_file": ("args",),
    **dict.fromkeys(
        ("source", "named_source", "plain_source", "plain_target", "target", "searched", "named_searched"), ("args",)
    ),
    **dict.fromkeys(("line_count", "line_file", "counted", "counted_file", "pattern", "pattern_file"), ("args",)),
    **dict.fromkeys(("measured", "measured_file", "kind_of_file"), ("args",)),
    "called": ("attribute",),
    "named_file": ("path",),
    "named_folder": ("path",),
    "renamed": ("args",),
    "second": ("second", "then", "tree"),
    "amount": ("amount", "more", "more_unit"),
}  # slots whose value is split (see `entities`), or goes on (see `sums` and `conversions`)


@cache
def document() -> dict[str, Any]:
    """The parsed file."""
    loaded: dict[str, Any] = yaml.safe_load(LANGUAGE_FILE.read_text(encoding="utf-8"))
    return loaded


def _data(intent: dict[str, Any], *, everything: bool) -> list[dict[str, Any]]:
    taught: list[dict[str, Any]] = intent["data"]
    if not everything:
        return taught
    guesses = [part | {"metadata": {GUESS: True}} for part in intent.get("guesses", [])]
    return [*taught, *intent.get("typed", []), *guesses]


def _for_hassil(lists: dict[str, Any], *, everything: bool) -> Intents:
    source = document()
    return Intents.from_dict(
        {
            "language": source["language"],
            "intents": {
                name: {"data": _data(intent, everything=everything)} for name, intent in source["intents"].items()
            },
            "lists": source["lists"] | lists,
            "expansion_rules": source["expansion_rules"],
            "skip_words": source["skip_words"],
        }
    )


@cache
def intents() -> Intents:
    """The templates, for recognition."""
    return _for_hassil({}, everything=True)


@cache
def sentences(intent: str) -> tuple[str, ...]:
    """Sentences of an intent, with slots filled from `samples`: lower-case words as they are spoken."""
    lists = {name: {"values": values} for name, values in document()["samples"].items()}
    sampled = sample_intents(_for_hassil(lists, everything=False), intent_names={intent})
    return tuple(dict.fromkeys(spoken(sentence) for _, sentence in islice(sampled, MAX_PER_INTENT)))


@cache
def skeletons() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(intent, words) of every sentence, with each slot as SLOT."""
    lists = {name: {"values": ["slot"]} for name in document()["lists"]}
    found: dict[tuple[str, tuple[str, ...]], None] = {}
    for intent, sentence in sample_intents(_for_hassil(lists, everything=False)):
        words = tuple(SLOT if word == "slot" else word for word in spoken(sentence).split())
        found[(intent, words)] = None
    return tuple(found)


def spoken(text: str) -> str:
    """The text in lower case, with only letters and apostrophes."""
    return _SPACES.sub(" ", _NOT_WORDS.sub(" ", text.lower())).strip()


@cache
def entity_names(intent: str) -> tuple[str, ...]:
    """Names of the entities that an intent may have."""
    entry = document()["intents"][intent]
    data = _data(entry, everything=True)
    named = [_SLOT_NAMES.findall(sentence) for part in data for sentence in part["sentences"]]
    fixed = [name for part in data for name in part.get("slots", {})]
    slots = [*(name for names in named for name in names), *fixed]
    return tuple(dict.fromkeys(name for slot in slots for name in _BECOME.get(slot, (slot,))))


@cache
def examples(intent: str, most: int = 3) -> tuple[str, ...]:
    """Some sentences of an intent, spread evenly over all of them."""
    found = sentences(intent)
    step = max(1, len(found) // most)
    return found[::step][:most]
