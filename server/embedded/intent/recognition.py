"""From a text to intents, best first: by template, or by similarity if a template nearly fits.

Templates are compared with the words' keys; slots are filled with what was said, including its signs.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from hassil import recognize_all

from server.embedded.intent import templates
from server.embedded.intent.answers import (
    by_sound,
    doubted,
    meant_of_several,
    parted,
    replaces,
    sounds_like_no,
    unsure,
    value_of,
    wavers,
    wish_of,
)
from server.embedded.intent.beyond import beyond, looked_up
from server.embedded.intent.conversions import conversion_of
from server.embedded.intent.corrections import MAX_CORRECTIONS, corrections, taken_back, unmarked_corrections
from server.embedded.intent.dates import date_asked
from server.embedded.intent.entities import clean, url_of
from server.embedded.intent.file_names import NoEntityError
from server.embedded.intent.likeness import NEVER, nearest
from server.embedded.intent.mending import misheard, mistyped
from server.embedded.intent.normalise import (
    REMEMBER,
    UNASKED,
    loosely,
    readings,
    told_last,
    told_unasked,
    without_courtesy,
)
from server.embedded.intent.refusals import refuses
from server.embedded.intent.several import FREE, MAX_PARTS, requests_of
from server.embedded.intent.sums import sum_of
from server.embedded.intent.words import (
    OPAQUE,
    SaidWord,
    keys_of,
    said_by,
    with_contractions_whole,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hassil.models import MatchEntity
    from hassil.recognize import RecognizeResult

    from server.embedded.intent.answers import Parted

UNKNOWN = "unknown"
SEVERAL = "several"  # requests in one sentence, as texts
WHOLE = frozenset({"calculate", "convert", "open_result", "yes", "no", "stop"})  # never divided into several requests
# None of several
ASIDE = frozenset({"yes", "no", "stop", "explain", "repeat", "greeting", "thanks", "goodbye", "how_are_you"})
ANSWERS = frozenset({"yes", "no", "stop"})  # to a question
ASKS_BACK = frozenset({"explain", "repeat"})  # what a question means, or how it went
GREETINGS = frozenset({"greeting", "how_are_you"})  # behind a yes, these are said to somebody else: "yes, hello?"
SMALL_TALK = frozenset({"greeting", "thanks", "how_are_you"})  # before a request
SURE, OPEN, GUESSED = 0.95, 0.9, 0.6  # confidence: all words named by the template; with open slots; an open question
_DECLINED = re.compile(
    r"(?:(?:no|please|wait|actually|sorry) )*(?:don't|do not|never|you (?:must|should) not|i (?:don't|do not) (?:want|need)(?: you)?(?: to(?: know)?)?)"
    r" (?!(?:ever )?forget\b|let me forget\b)(?P<rest>.+)",
    re.IGNORECASE,
)
_HOW_TO = re.compile(r"(?:how|why|when|whether|what|ways?) ", re.IGNORECASE)  # a query that may name several acts
NEARLY = 0.8  # factor for the likeness if no template fits
CLOSER = 0.85  # likeness above which a near miss beats a guess


@dataclass(frozen=True, slots=True)
class IntentCandidate:
    """An intent with its entities and confidence, 0 to 1."""

    intent: str
    confidence: float
    entities: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Fit:
    """One way in which a template fits; the one with the larger `rank` is better."""

    guess: IntentCandidate
    rank: tuple[float, int, int]


def _value(entity: MatchEntity, words: Sequence[SaidWord], ends: Sequence[int]) -> Any:
    """A slot's value; for an open slot, the words as said. `ends[n]`: where the n-th word ends among the keys."""
    if not entity.is_wildcard or entity.text_span is None:
        return entity.value
    start, end = entity.text_span
    return said_by(words[bisect_right(ends, start) : bisect_left(ends, end) + 1])


def _fit(result: RecognizeResult, words: Sequence[SaidWord], ends: Sequence[int]) -> _Fit | None:
    guess = bool(result.intent_metadata and result.intent_metadata.get(templates.GUESS))
    given = {entity.name: _value(entity, words, ends) for entity in result.entities_list}
    try:
        entities, guessed = clean(given, guess=guess)
    except NoEntityError:
        return None
    wild = [len(str(entity.text)) for entity in result.entities_list if entity.is_wildcard]
    confidence = GUESSED if guess or guessed else OPEN if wild else SURE
    # The more of the text the template itself names, the better. Of two ways to divide the rest, take the one with a shorter
    # first slot: "my favourite saying | is | life is short".
    rank = (confidence, result.text_chunks_matched or 0, -(wild[0] if wild else 0))
    return _Fit(IntentCandidate(result.intent.name, confidence, entities), rank)


@lru_cache(maxsize=64)
def _matched(keys: str) -> tuple[RecognizeResult, ...]:
    """All ways in which templates fit. A sentence is looked at as a whole and by parts, which are often the same."""
    return tuple(recognize_all(keys, templates.intents(), language="en"))


def by_template(words: Sequence[SaidWord]) -> list[IntentCandidate]:
    """All intents that fit, best first, each once."""
    ends = list(accumulate((len(word.key) + 1 for word in words), initial=-1))[1:]
    best: dict[str, _Fit] = {}
    for result in _matched(keys_of(words)):
        fit = _fit(result, words, ends)
        if fit is not None and (fit.guess.intent not in best or fit.rank > best[fit.guess.intent].rank):
            best[fit.guess.intent] = fit
    return [fit.guess for fit in sorted(best.values(), key=lambda fit: fit.rank, reverse=True)]


def by_likeness(words: Sequence[SaidWord]) -> list[IntentCandidate]:
    """Intents of sentences similar to this one, with the entities of the repaired sentence."""
    return [
        IntentCandidate(intent, round(likeness * NEARLY, 2), guess.entities)
        for likeness, intent, repaired in nearest(keys_of(words))
        for guess in by_template(_as_said(repaired.split(), words))
        if guess.intent == intent
    ]


def _as_said(repaired: Sequence[str], words: Sequence[SaidWord]) -> list[SaidWord]:
    """The repaired sentence, with the speaker's own form of all words that were kept."""
    kept: list[SaidWord] = []
    at = 0
    for key in repaired:
        same = next((index for index in range(at, len(words)) if words[index].key.lower() == key), None)
        kept.append(SaidWord(key, key) if same is None else words[same])
        at = at if same is None else same + 1
    return kept


def _judged(text: str, *, mend: bool) -> list[IntentCandidate]:
    ways = readings(words_of(text))
    if (named := keys_of(loosely(words_of(text))).lower()) in templates.document()["sites"] and " " in named:
        return [IntentCandidate("open_page", OPEN, {"url": url_of(named)})]  # "Google Maps" is no search for maps
    guesses: list[IntentCandidate] = []
    for way in ways:
        fitting = by_template(way)
        if fitting and fitting[0].confidence > GUESSED:
            return fitting
        guesses = guesses or fitting
    asked: list[IntentCandidate] = []
    for loose in dict.fromkeys(tuple(loosely(words)) for words in (words_of(text), *ways[-1:])):
        fitting = by_template(loose)
        if fitting and fitting[0].confidence > GUESSED and not _risky(fitting[0]):
            return fitting
        asked = asked or [guess for guess in fitting if guess.intent == "web_search" and guess.confidence == GUESSED]
    if not mend:
        return [address] if not guesses and (address := _address(text)) else guesses
    # Repairing keeps only letters. A sentence with digits or signs was typed, and nothing in it is misheard.
    mendable = [way for way in ways if all(word.plain and _spelt(word) for word in way)]
    if ways and not guesses and (mended := _mended(mistyped(ways[-1]))):
        return mended
    likely = by_likeness(mendable[-1]) if mendable else []
    if not guesses and not likely and (address := _address(text)):
        return [address]
    near = [guess for guess in likely if not guesses or guess.confidence >= CLOSER * NEARLY]
    return _each_once([*near, *guesses]) or asked


def _risky(guess: IntentCandidate) -> bool:
    """Approval, and `no, forget that`, which means the request rather than what is remembered."""
    return guess.intent == "yes" or (guess.intent == "forget" and not guess.entities)


def _mended(ways: Sequence[tuple[list[SaidWord], frozenset[str]]]) -> list[IntentCandidate]:
    """The first way that fits a template of which the mended words are a part, rather than of a slot's value."""
    for words, mended in ways:
        guesses = [guess for guess in by_template(words) if guess.confidence > GUESSED and guess.intent not in NEVER]
        if guesses and not mended & set(re.findall(r"[a-z]+", str(guesses[0].entities))):
            return [replace(guesses[0], confidence=round(NEARLY * guesses[0].confidence, 2))]
    return []


def suggestion(text: str) -> str:
    """A request that sounds like the text, to be asked for; empty if there is none."""
    ways = readings(words_of(text))
    heard = misheard(ways[-1]) if ways else []
    found = next((words for words, mended in heard if _mended([(words, mended)])), None)
    return keys_of(found) if found is not None and OPAQUE not in keys_of(found) else ""


def _address(text: str) -> IntentCandidate | None:
    """The guess for text that is only the address of a page."""
    words = loosely(words_of(text))
    if len(words) != 1:
        return None
    try:
        url = url_of(words[0].said.rstrip(".,;!"))
    except NoEntityError:
        return None
    return IntentCandidate("open_page", OPEN, {"url": url})


def _spelt(word: SaidWord) -> bool:
    return templates.spoken(word.key) == word.key.lower()


def _each_once(guesses: list[IntentCandidate]) -> list[IntentCandidate]:
    """The first guess of each intent, which is its best."""
    return list({guess.intent: guess for guess in reversed(guesses)}.values())[::-1]


@lru_cache(maxsize=256)
def recognise(text: str) -> tuple[IntentCandidate, ...]:
    """Intents, best first; only `unknown` if nothing fits. Do not modify the entities.

    What the words mean only as an answer to a question is an alternative: `yes` with `also`, `no` with `instead`.
    """
    found = _requests(text)
    answers = found[0].intent in ANSWERS and found[0].confidence >= OPEN
    if found[0].intent == "forget" and not found[0].entities:  # "forget about it", said to a question
        return (found[0], IntentCandidate("no", OPEN), *found[1:])
    if answers and found[0].intent != "no":
        if found[0].intent == "yes" and doubted(text):
            return (IntentCandidate("repeat", OPEN),)
        if found[0].intent == "yes" and unsure(text):
            return (replace(found[0], entities=found[0].entities | {"unsure": "yes"}),)
        return found
    if not answers and (other := by_sound(text)):
        return (found[0], IntentCandidate(other[0], GUESSED, other[1]))
    for part in parted(text):
        if answers and not part.by_mark:
            continue  # "don't open this and that"
        lead = _one_request(part.lead, mend=False)[0]
        if lead.intent in SMALL_TALK and lead.confidence >= OPEN and part.joined and found[0].intent == UNKNOWN:
            rest = _requests(part.rest)
            if _asks(rest[0]) or _refuses_clearly(rest[0]):
                return rest if rest[0].intent != "stop" else (lead, *rest)  # "thanks, that's all"
            return (lead,) if rest[0].intent in ANSWERS else found
        if lead.intent == "no" and part.shares_verb:
            continue
        if lead.intent == "no" and part.negates and lead.confidence >= OPEN:
            return found if answers else (found[0], IntentCandidate("no", OPEN), *found[1:])
        if lead.intent in ANSWERS and lead.confidence >= OPEN:
            rest = _requests(part.rest)
            better = part.joined and _asks(rest[0]) and (answers or rest[0].confidence > found[0].confidence)
            if answers and (not better or rest[0].confidence < OPEN or rest[0].intent in ASIDE):
                return found
            if lead.intent == "no" and part.joined and _refuses_clearly(rest[0]):
                return (IntentCandidate("no", OPEN),)
            found = rest if better else found
            others = _answer(part, lead, rest[0])
            return (found[0], *(others or _unled(text, found[0])), *found[1:])
    return (*found, *_unled(text, found[0]))


def _requests(text: str) -> tuple[IntentCandidate, ...]:
    asked = told_last(text)
    unasked = "" if asked else told_unasked(text)
    if not unasked:
        return _requests_in(asked or text)
    return tuple(_unasked(guess) for guess in _requests_in(unasked))


def _unasked(guess: IntentCandidate) -> IntentCandidate:
    """What somebody only tells is not to be remembered before they agree."""
    if guess.intent == SEVERAL:
        parts = [part.removeprefix(REMEMBER) for part in guess.entities["requests"]]
        return replace(guess, entities={"requests": parts})
    return replace(guess, entities=guess.entities | {UNASKED: "yes"}) if guess.intent == "remember_fact" else guess


def _requests_in(text: str) -> tuple[IntentCandidate, ...]:
    whole = _one_request(text)
    aside = whole[0].confidence >= OPEN and whole[0].intent in ASIDE
    if not aside and whole[0].entities.get("command") != "echo":
        if taken_back(text, lambda request: _wanted(request) or _several(request), _refuses):
            return (IntentCandidate("no", OPEN),)
        for _ in range(MAX_CORRECTIONS):
            text = _corrected(text)
        whole = _one_request(text)
    if whole[0].confidence >= OPEN and whole[0].intent in WHOLE:
        return whole
    parts = requests_of(text, _clear) or _in_each_place(whole[0])
    return (IntentCandidate(SEVERAL, OPEN, {"requests": parts}), *whole) if parts else whole


def _in_each_place(guess: IntentCandidate) -> list[str]:
    """`what time is it in Rome and in Lima` as two requests; empty for one place, and for more than a plan may have requests."""
    places = re.split(r",? and in ", str(guess.entities.get("place", "")), flags=re.IGNORECASE)
    divided = guess.intent == "get_time" and 1 < len(places) <= MAX_PARTS
    return [f"what time is it in {place}" for place in places] if divided else []


def _corrected(text: str) -> str:
    """The text with its first correction made; as it is if no way to make it is a request."""
    ways = corrections(text)
    likely = next((way for way in ways if _wanted(way)), "") or next((way for way in ways[:2] if _several(way)), "")
    return likely or next((way for way in ways if _guessed(way)), "") or _corrected_unmarked(text)


def _corrected_unmarked(text: str) -> str:
    """The text with a correction that no mark sets off, if it makes the same request of another name."""
    for way in unmarked_corrections(text):
        said, meant = (_one_request(words, mend=False)[0] for words in (text, way))
        if meant.confidence >= OPEN and meant.intent == said.intent:
            return way
    return text


def _wanted(text: str) -> bool:
    """True for a clear request, if only for what this agent cannot do."""
    best = _one_request(text, mend=False)[0]
    return (best.confidence >= OPEN and best.intent not in ASIDE) or "cannot" in best.entities


def _several(text: str) -> bool:
    return bool(requests_of(text, _clear))


def _guessed(text: str) -> bool:
    best = _one_request(text, mend=False)[0]
    return best.confidence >= GUESSED and best.intent not in ASIDE


def _refuses(text: str) -> bool:
    """True for what takes a request back. `The soup was hot, not good` is told, so no other refusals count."""
    return any(guess.intent in {"no", "stop"} for guess in _by_kind(text, mend=False))


def _refuses_clearly(rest: IntentCandidate) -> bool:
    """True for "stop", and not for what may be mistyped for it: "no, Quito" is not "no, quit"."""
    return rest.intent in {"no", "stop"} and rest.confidence >= OPEN


def _asks(rest: IntentCandidate) -> bool:
    """True if this is something to be done, or to be refused as impossible, rather than an answer."""
    return (rest.intent != UNKNOWN or "cannot" in rest.entities) and rest.intent not in ANSWERS | {"explain"}


def _answer(part: Parted, answer: IntentCandidate, rest: IntentCandidate) -> list[IntentCandidate]:
    """What a text answers to a question, with its yes or no and what follows it."""
    lead = answer.intent
    declined, instead = IntentCandidate("no", OPEN), IntentCandidate("no", OPEN, {"instead": part.rest})
    reason = lead == "no" and part.joint == "because"
    if reason or _refuses_clearly(rest) or sounds_like_no(part.rest):
        return [declined]
    if rest.intent in ASKS_BACK and lead != "no":
        return [rest]
    if rest.intent in {"yes", "undo", *ASKS_BACK, *GREETINGS}:
        return []
    clear = rest.confidence >= OPEN or "cannot" in rest.entities
    if not clear and value_of(part.rest, bare=part.joined and (lead == "no" or part.changes)):
        return [instead]
    if lead == "no" and part.joined:
        return [instead if _asks(rest) else declined]
    if lead == "yes" and part.changes and not _asks(rest):
        return [instead]
    also = lead == "yes" and part.joined and _asks(rest) and not (part.changes or part.opens)
    if also and replaces(part.rest):
        return [instead]
    approved = IntentCandidate("yes", OPEN, answer.entities | {"also": part.rest})
    return [approved] if also and not (part.commands or wavers(part.lead, part.rest)) else []


def _unled(text: str, best: IntentCandidate) -> list[IntentCandidate]:
    """What words without a yes or no answer that mean nothing by themselves: `call it test`, and what sounds like a no."""
    if best.intent != UNKNOWN or best.entities:
        return []
    if of := meant_of_several(text):
        return [IntentCandidate("yes", OPEN, {"of": of, "bare": "yes"})]
    if wish := wish_of(text):
        return [IntentCandidate("no", OPEN, {"instead": wish})]
    return [IntentCandidate("no", GUESSED, {"misheard": True})] if sounds_like_no(text) else []


def prepare() -> None:
    """Load what texts are compared with, so that the first ones do not wait for it: some 100 ms of CPU."""
    recognise("what time it is")
    words = words_of("show me the tmie")
    by_likeness(words)
    mistyped(words)


def _clear(part: str) -> str:
    """The intent of what can be one of several requests; empty for anything else."""
    best = _one_request(part, mend=False)[0]
    query = str(best.entities.get("query", ""))
    if best.entities.get("command") == "echo" or (best.intent == "web_search" and _HOW_TO.match(query)):
        return FREE
    return best.intent if best.confidence >= OPEN and best.intent not in ASIDE else ""


def _declines(text: str) -> bool:
    """`don't open example.com`: a request that is not wanted. `don't forget` is a request, and `don't stop` none."""
    found = _DECLINED.match(keys_of(without_courtesy(words_of(text))))
    once = found is not None and not _DECLINED.match(found["rest"])  # forty times "never" would take forty readings
    best = recognise(found["rest"])[0] if found and once else None
    return best is not None and best.intent not in ASIDE and (best.intent != UNKNOWN or "cannot" in best.entities)


@lru_cache(maxsize=512)
def _one_request(text: str, *, mend: bool = True) -> tuple[IntentCandidate, ...]:
    return (IntentCandidate("no", SURE),) if refuses(text) else _by_kind(text, mend=mend)


@lru_cache(maxsize=512)
def _by_kind(text: str, *, mend: bool) -> tuple[IntentCandidate, ...]:
    if _declines(text):
        return (IntentCandidate("no", OPEN),)
    plain = said_by(with_contractions_whole(loosely(words_of(text))))
    other = date_asked(plain)
    if other is not None:
        return (IntentCandidate(other[0], OPEN, other[1]),)
    units = conversion_of(plain)
    if units is not None:
        return (IntentCandidate("convert", OPEN, units),)
    found = sum_of(text) or sum_of(plain)
    if found is not None:
        return (IntentCandidate("calculate", OPEN if found.whole else GUESSED, found.entities),)
    if cannot := beyond(text):
        query = looked_up(text, cannot)
        return (IntentCandidate(UNKNOWN, 0.0, {"cannot": cannot} | ({"look_up": query} if query else {})),)
    return tuple(_judged(text, mend=mend)) or (IntentCandidate(UNKNOWN, 0.0),)
