"""From a text to intents, best first: by template where one fits, by likeness where one nearly does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hassil import recognize_all

from server.embedded.intent import templates
from server.embedded.intent.entities import NoEntityError, clean
from server.embedded.intent.likeness import nearest

if TYPE_CHECKING:
    from hassil.recognize import RecognizeResult

UNKNOWN = "unknown"
SURE, OPEN, GUESSED = 0.95, 0.9, 0.6  # confidence: every word named by the template; with open slots; an open question
NEARLY = 0.8  # of the likeness, where no template fits
CLOSER = 0.85  # a likeness that says more than a guess does

_POLITE_END = re.compile(r"[\s,]*\b(please|thank you|thanks|jarvis|computer|for me)\b[\s.!?]*\Z", re.IGNORECASE)
_POLITE_START = re.compile(
    r"\A\s*(?:(?:hey|hi|hello|ok|okay)\s+)?(?:jarvis|computer)\b[\s,.!]*(?=\w)"
    r"|\A\s*(?:please|could you|can you|would you|i want you to|i would like you to)(?:\s+please)?\s+(?=\w)",
    re.IGNORECASE,
)
_PUNCTUATION = re.compile(r"[.!?,;:…]+(?=\s|\Z)")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_DOTTED_PATH = re.compile(r"(?<!\S)(?:\.\.(?![\w.])|\.\.?/|\.\w)[\w./-]*")  # `..`, `./a`, `../a`, `.env`
_PLACE_OF_URL = "theaddress"  # hassil takes signs out of what it reads, and an address would not survive that
_END_OF_ADDRESS = ".,;:!?'\")"


@dataclass(frozen=True, slots=True)
class Guess:
    """An intent with its entities; confidence 0 to 1."""

    intent: str
    confidence: float
    entities: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Fit:
    """One way in which a template fits; ways are compared by `rank`, the larger the better."""

    guess: Guess
    rank: tuple[float, int, int]


def normalised(text: str) -> str:
    """Plain quotation marks, one space between words, no punctuation at their ends."""
    return " ".join(_PUNCTUATION.sub("", text.translate(_QUOTES)).split())


def without_courtesy(text: str) -> str:
    """`Hey Jarvis, could you … please` says … alone: open slots would take the rest in."""
    end = _POLITE_END.sub("", text)
    while _POLITE_START.match(end):
        end = _POLITE_START.sub("", end)
    return end or text


def _fit(result: RecognizeResult) -> _Fit | None:
    guess = bool(result.intent_metadata and result.intent_metadata.get(templates.GUESS))
    given = {entity.name: entity.value for entity in result.entities_list}
    try:
        entities, guessed = clean(given, guess=guess)
    except NoEntityError:
        return None
    wild = [len(str(entity.text)) for entity in result.entities_list if entity.is_wildcard]
    confidence = GUESSED if guess or guessed else OPEN if wild else SURE
    # the more of the text the template itself names, the better; of two ways to divide the rest, the one with a short
    # first slot: "my favourite saying | is | life is short"
    rank = (confidence, result.text_chunks_matched or 0, -(wild[0] if wild else 0))
    return _Fit(Guess(result.intent.name, confidence, entities), rank)


def by_template(text: str) -> list[Guess]:
    """Everything that fits, best first, each intent once."""
    best: dict[str, _Fit] = {}
    for candidate in dict.fromkeys((without_courtesy(text), text)):
        for result in recognize_all(candidate, templates.intents(), language="en"):
            fit = _fit(result)
            if fit is not None and (fit.guess.intent not in best or fit.rank > best[fit.guess.intent].rank):
                best[fit.guess.intent] = fit
        if best:
            break
    return [fit.guess for fit in sorted(best.values(), key=lambda fit: fit.rank, reverse=True)]


def by_likeness(text: str) -> list[Guess]:
    """Intents of sentences that are nearly this one, with the entities of what should have been said."""
    return [
        Guess(intent, round(likeness * NEARLY, 2), guess.entities)
        for likeness, intent, repaired in nearest(without_courtesy(text))
        for guess in by_template(repaired)
        if guess.intent == intent
    ]


def _judged(text: str) -> list[Guess]:
    fitting = by_template(text)
    if fitting and fitting[0].confidence > GUESSED:
        return fitting
    # mending a sentence keeps letters alone: where it would lose digits or signs it was typed, and nothing is misheard
    likely = by_likeness(text) if templates.spoken(text) == text.lower() else []
    near = [guess for guess in likely if not fitting or guess.confidence >= CLOSER * NEARLY]
    return _each_once([*near, *fitting])


def _each_once(guesses: list[Guess]) -> list[Guess]:
    """By intent, the first one, which is the best."""
    return list({guess.intent: guess for guess in reversed(guesses)}.values())[::-1]


@lru_cache(maxsize=256)
def recognise(text: str) -> tuple[Guess, ...]:
    """Best first; `unknown` alone when nothing fits. The entities are not to be changed."""
    url = _URL.search(text)
    path = None if url else _DOTTED_PATH.search(text)
    if url:
        guesses = _judged_with(text, url[0].rstrip(_END_OF_ADDRESS))
    elif path:
        name = path[0] if path[0].endswith("..") else path[0].rstrip(_END_OF_ADDRESS)
        guesses = [guess for guess in _judged_with(text, name) if "url" not in guess.entities]
    else:
        guesses = _judged(normalised(text))
    return tuple(guesses) or (Guess(UNKNOWN, 0.0),)


def _judged_with(text: str, address: str) -> list[Guess]:
    """By what is said around the address."""
    return [_with_address(guess, address) for guess in _judged(normalised(text.replace(address, _PLACE_OF_URL, 1)))]


def _with_address(guess: Guess, address: str) -> Guess:
    """The address back where it was said."""
    is_url = _PLACE_OF_URL in str(guess.entities.get("url", ""))
    entities = {
        name: address if name == "url" and is_url else _put_back(value, address)
        for name, value in guess.entities.items()
    }
    return Guess(guess.intent, OPEN if is_url else guess.confidence, entities)


def _put_back(value: Any, address: str) -> Any:
    if isinstance(value, list):
        return [_put_back(item, address) for item in value]
    return value.replace(_PLACE_OF_URL, address) if isinstance(value, str) else value
