"""The domain language model: what this agent's users say, sampled from the intent templates, as dictionary and trigrams.

Small on purpose: the same trigrams with the full dictionary load in seconds, with these few hundred words in milliseconds.
"""

from __future__ import annotations

import io
import random
import re
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pocketsphinx
import yaml
from hassil import Intents
from hassil.expression import Alternative, ListReference, Permutation, RuleReference, Sequence, TextChunk
from hassil.sample import sample_expression
from pocketsphinx.lm import ArpaBoLM

if TYPE_CHECKING:
    from collections.abc import Iterable

LANGUAGE_FILE = Path(__file__).parents[1] / "intent" / "en.yaml"
SENTENCES_PER_TEMPLATE = 40  # random walks through one template; below 20 rare slot values go missing
SLOT_VALUES = 200  # of a number range or list: more would only flatten the model
VOCABULARY_WEIGHT = 3  # a caller's phrase counts as much as three sampled sentences
DISCOUNT_MASS = (
    0.1  # left for word sequences never seen; 0.5, the library's default, hears "that is files" for "list files"
)

END = "</s>"

_NOT_WORDS = re.compile(r"[^a-z' ]+")
_DOT = re.compile(r"(?<=\w)\.(?=\w)")
_ALTERNATE = re.compile(r"\(\d+\)$")  # cmudict marks second pronunciations: "for(2)"


@dataclass(frozen=True, slots=True)
class DomainModel:
    """Text of a PocketSphinx dictionary and of an ARPA trigram model over its words; `pairs` are the bigrams seen."""

    dictionary: str
    arpa: str
    pairs: frozenset[tuple[str, str]]

    def may_end_before(self, last: str, word: str) -> bool:
        """Whether sentences end with `last`, and none goes on with `word`."""
        return (last, END) in self.pairs and (last, word) not in self.pairs


def spoken(text: str) -> str:
    """Lower-case words as the dictionary spells them: "example.com" → "example dot com"."""
    return " ".join(_NOT_WORDS.sub(" ", _DOT.sub(" dot ", text.lower())).split())


@cache
def sentences(path: Path = LANGUAGE_FILE) -> tuple[str, ...]:
    """What the templates allow, sampled evenly and always alike; slots take the values under `samples`."""
    source: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    lists = source.get("lists", {}) | {name: {"values": values} for name, values in source.get("samples", {}).items()}
    data = {name: {"data": intent["data"]} for name, intent in source["intents"].items()}
    walk = _Walk(Intents.from_dict(source | {"intents": data, "lists": lists}), source.get("language", "en"))
    return tuple(walk.sentences())


class _Walk:
    """Random walks through templates. Enumerating them would show the first alternatives of a long template only."""

    def __init__(self, intents: Intents, language: str) -> None:
        self._intents = intents
        self._language = language
        self._random = random.Random(1)  # noqa: S311 - chooses example sentences; the same ones every time
        self._values: dict[str, list[str]] = {}

    def sentences(self) -> list[str]:
        """As many of each template, so that "stop" weighs as much as all the ways to ask for a search."""
        return [
            sentence
            for intent in self._intents.intents.values()
            for data in intent.data
            for template in data.sentences
            for _ in range(SENTENCES_PER_TEMPLATE)
            if (sentence := spoken(self._walk(template.expression, self._rules(data))))
        ]

    def _rules(self, data: Any) -> dict[str, Any]:
        return {**self._intents.expansion_rules, **(data.expansion_rules or {})}

    def _walk(self, expression: Any, rules: dict[str, Any]) -> str:
        match expression:
            case TextChunk():
                return str(expression.original_text)
            case Alternative():
                return self._walk(self._random.choice(expression.items), rules)
            case Permutation():
                return " ".join(
                    self._walk(item, rules) for item in self._random.sample(expression.items, len(expression.items))
                )
            case Sequence():
                return "".join(self._walk(item, rules) for item in expression.items)
            case ListReference():
                return self._random.choice(self._list_values(expression))
            case RuleReference():
                return self._walk(rules[expression.rule_name].expression, rules)
        return ""

    def _list_values(self, reference: Any) -> list[str]:
        name = reference.list_name
        if name not in self._values:
            lists = self._intents.slot_lists
            known = (
                sample_expression(reference, lists, self._intents.expansion_rules, self._language)
                if name in lists
                else ()
            )
            # an open slot without samples prints as {name}: no word
            self._values[name] = [value for value in islice(known, SLOT_VALUES) if "{" not in value] or [""]
        return self._values[name]


def pronunciations(words: set[str], dictionary_path: str) -> dict[str, list[str]]:
    """Dictionary lines of each word that has any; 40 ms for the 134 860 lines of cmudict."""
    found: dict[str, list[str]] = {}
    with Path(dictionary_path).open(encoding="utf-8") as lines:
        for line in lines:
            word = _ALTERNATE.sub("", line.split(maxsplit=1)[0])
            if word in words:
                found.setdefault(word, []).append(line)
    return found


def domain_model(vocabulary: Iterable[str] = ()) -> DomainModel:
    """Model of the templates and the caller's phrases; words without a pronunciation are left out."""
    texts = [*sentences(), *(spoken(phrase) for phrase in vocabulary for _ in range(VOCABULARY_WEIGHT))]
    lines = pronunciations({word for text in texts for word in text.split()}, full_dictionary())
    known = (" ".join(word for word in text.split() if word in lines) for text in texts)
    corpus = [text for text in known if text]
    model = ArpaBoLM(text="\n".join(corpus), add_start=True, discount_mass=DISCOUNT_MASS)
    model.compute()
    arpa = io.StringIO()
    model.write(arpa)
    pairs = frozenset(pair for text in corpus for pair in pairwise([*text.split(), END]))
    return DomainModel("".join(line for word in sorted(lines) for line in lines[word]), arpa.getvalue(), pairs)


def full_dictionary() -> str:
    """Path of the dictionary in the wheel."""
    return str(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
