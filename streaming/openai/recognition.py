"""What the settings of a transcription ask of the recogniser: the same for sessions and for files.

`prompt` and `keywords` become phrases to expect. They are hints: what cannot serve as one is left out, because a recogniser
refuses a whole stream for one phrase that is too long.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.ports import RecognitionConfig, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streaming.ports import CallContext, SpeechToText

DEFAULT_LANGUAGE = "en-US"
LANGUAGE_TAG = r"^([A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*)?$"  # RFC 5646 section 2.1, roughly; empty: the default
MAX_LANGUAGE_CHARS = 35  # RFC 5646 section 4.4.1
MAX_LANGUAGES = 256
MAX_PROMPT_CHARS = 8_192
MAX_PROMPT_WORDS = 64  # of a prompt, taken as phrases: the embedded recogniser has room for some fifty
MAX_KEYWORDS = 256
# The embedded recogniser takes no longer ones. Scripts without spaces make one word of a whole prompt.
MAX_PHRASE_CHARS = 200
ASK_S = 2.0  # for a recogniser that does not answer


@dataclass(frozen=True, slots=True)
class Expected:
    """`param`: the field that the language came from; empty if it is the default."""

    language: str
    vocabulary: tuple[str, ...]
    param: str


def expected(
    *,
    language: str | None = None,
    languages: Sequence[str] | None = None,
    prompt: str | None = None,
    keywords: Sequence[str] | None = None,
) -> Expected:
    """The recogniser's language tag, and the phrases to expect: keywords, then the prompt's words."""
    tag, param = (language, "language") if language else (_of_several(languages or ()), "languages")
    words = _phrases((prompt or "").split())[:MAX_PROMPT_WORDS]
    vocabulary = tuple(dict.fromkeys([*_phrases(keywords or ())[:MAX_KEYWORDS], *words]))
    if tag.lower() in {"", "en"}:
        return Expected(DEFAULT_LANGUAGE, vocabulary, "")
    return Expected(tag.replace("_", "-"), vocabulary, param)


def _of_several(languages: Sequence[str]) -> str:
    """The language to expect: of several, English, which every recogniser here knows."""
    given = [one for one in languages if one]
    english = [one for one in given if one.replace("_", "-").lower().partition("-")[0] == "en"]
    return next(iter(english or given), "")


def _phrases(given: Iterable[str]) -> list[str]:
    stripped = (phrase.strip() for phrase in given)
    return [phrase for phrase in stripped if 0 < len(phrase) <= MAX_PHRASE_CHARS]


async def language_refusal(recogniser: SpeechToText, language: str, context: CallContext) -> str:
    """Why the recogniser does not know this language; empty if it does, or cannot be asked now."""
    if language == DEFAULT_LANGUAGE:
        return ""
    stream = recogniser.recognize(RecognitionConfig(language=language), context, lambda _n_bytes: None)
    stream.end()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_S):
                async for _ in stream:
                    pass
    except ServiceError as refused:
        return refused.message if refused.code == "INVALID_ARGUMENT" else ""
    finally:
        stream.cancel()
    return ""
