"""M4, intent recognition: hassil's templates first, and for near misses the closest of the sentences they stand for."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import grpc.aio
from google.protobuf.struct_pb2 import Struct
from hassil import recognize_all

from protos import intent_pb2, intent_pb2_grpc
from server.embedded import templates
from server.embedded.service import EmbeddedService

if TYPE_CHECKING:
    from hassil.recognize import RecognizeResult

MAX_TEXT_CHARS = 2_000
UNKNOWN = "unknown"
CLOSE_ENOUGH = 0.75  # of a sampled sentence, by difflib's ratio: one word missing or misheard in four or five
MAX_ALTERNATIVES = 3

_POLITE = re.compile(r"\s*\b(please|thank you|thanks)\b[.!?]*\s*$", re.IGNORECASE)
_DOT = re.compile(r"\s+dot\s+", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[.!?,;:]+(?=\s|$)")
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_PLACE_OF_URL = "theaddress"  # hassil takes signs out of what it reads, and an address would not survive that
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(/\S*)?\Z")

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Guess:
    """An intent with its entities; confidence 0 to 1."""

    intent: str
    confidence: float
    entities: dict[str, Any] = field(default_factory=dict)


def normalised(text: str) -> str:
    """As templates want it: no punctuation, "example dot com" as example.com."""
    return _DOT.sub(".", _PUNCTUATION.sub("", text)).strip()


def url_of(words: str) -> str:
    """An address as it is spoken or typed: the page, wikipedia dot org, https://…"""
    spoken = words.strip().lower().removeprefix("the ").removesuffix(" page").removesuffix(" website")
    if spoken.startswith(("http://", "https://")):
        return words.strip()
    joined = _DOT.sub(".", spoken).replace(" ", "")
    return f"https://{joined}" if _DOMAIN.match(joined) else f"https://{joined}.com"


def _entities(result: RecognizeResult) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entity in result.entities_list:
        value = entity.value.strip() if isinstance(entity.value, str) else entity.value
        found[entity.name] = url_of(value) if entity.name == "url" else value
    return found


def _literal_chars(result: RecognizeResult) -> int:
    """How much of the text the template itself named: the more, the better it fits (wildcards fit anything)."""
    swallowed = sum(len(str(entity.text)) for entity in result.entities_list if entity.is_wildcard)
    return -swallowed


def by_template(text: str) -> list[Guess]:
    """Everything that fits, best first."""
    stripped = _POLITE.sub("", text) or text
    fitting: dict[str, tuple[int, Guess]] = {}
    for candidate in dict.fromkeys((stripped, text)):
        for result in recognize_all(candidate, templates.intents(), language="en"):
            rank = _literal_chars(result)
            name = result.intent.name
            confidence = 0.95 if rank == 0 else 0.9
            if name not in fitting or rank > fitting[name][0]:
                fitting[name] = (rank, Guess(name, confidence, _entities(result)))
    ranked = sorted(fitting.values(), key=lambda item: item[0], reverse=True)
    return [guess for _, guess in ranked]


def by_likeness(text: str) -> list[Guess]:
    """The intents whose sentences are closest, when no template fits; only those that need no entity."""
    spoken = templates.spoken(_POLITE.sub("", text) or text)
    best: dict[str, float] = {}
    for intent, sentence in templates.sentences():
        if templates.needs_entities(intent):
            continue
        matcher = difflib.SequenceMatcher(None, spoken.split(), sentence.split(), autojunk=False)
        letters = difflib.SequenceMatcher(None, spoken, sentence, autojunk=False)
        if letters.real_quick_ratio() < CLOSE_ENOUGH:
            continue
        score = max(matcher.ratio(), letters.ratio())
        best[intent] = max(score, best.get(intent, 0.0))
    close = sorted(((score, intent) for intent, score in best.items() if score >= CLOSE_ENOUGH), reverse=True)
    return [Guess(intent, round(score * 0.8, 2)) for score, intent in close]


def recognise(text: str) -> list[Guess]:
    """Best first; `unknown` alone when nothing fits."""
    address = _URL.search(text)
    clean = normalised(_URL.sub(_PLACE_OF_URL, text))
    guesses = by_template(clean) or by_likeness(clean)
    if address is not None:
        guesses = [_with_address(guess, address[0]) for guess in guesses]
    return guesses or [Guess(UNKNOWN, 0.0)]


def _with_address(guess: Guess, address: str) -> Guess:
    """The address back where it was said."""
    entities = {
        name: address if _PLACE_OF_URL in str(value) and name == "url" else _put_back(value, address)
        for name, value in guess.entities.items()
    }
    return Guess(guess.intent, guess.confidence, entities)


def _put_back(value: Any, address: str) -> Any:
    return value.replace(_PLACE_OF_URL, address) if isinstance(value, str) else value


def _struct(values: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


class IntentService(EmbeddedService, intent_pb2_grpc.IntentRecognizerServicer):
    """See the module."""

    name: ClassVar[str] = "intent"
    full_name: ClassVar[str] = "jarvis.intent.v1.IntentRecognizer"

    async def start(self) -> None:
        """Compile the templates."""
        recognise("what time is it")

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        intent_pb2_grpc.add_IntentRecognizerServicer_to_server(self, server)

    async def Recognize(  # noqa: N802 - gRPC's name
        self, request: intent_pb2.RecognizeRequest, context: Context
    ) -> intent_pb2.RecognizeResponse:
        """The most likely intent."""
        if request.language and not request.language.lower().startswith("en"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"only English is known, not {request.language[:35]}")
        if not request.text.strip() or len(request.text) > MAX_TEXT_CHARS:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"text has to have 1 to {MAX_TEXT_CHARS} characters")
        best, *others = recognise(request.text)
        return intent_pb2.RecognizeResponse(
            intent=best.intent,
            confidence=best.confidence,
            entities=_struct(best.entities),
            alternatives=[
                intent_pb2.Alternative(
                    intent=other.intent, confidence=round(other.confidence * 0.6, 2), entities=_struct(other.entities)
                )
                for other in others[:MAX_ALTERNATIVES]
            ],
        )

    async def ListIntents(  # noqa: N802 - gRPC's name
        self, _request: intent_pb2.ListIntentsRequest, _context: Context
    ) -> intent_pb2.ListIntentsResponse:
        """What the language file holds."""
        return intent_pb2.ListIntentsResponse(
            intents=[
                intent_pb2.Intent(
                    name=name,
                    description=entry["description"],
                    examples=templates.examples(name),
                    entities=templates.entity_names(name),
                )
                for name, entry in templates.document()["intents"].items()
            ]
        )
