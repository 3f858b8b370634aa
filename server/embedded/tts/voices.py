"""Which voice is meant: by id, by Google's names, by language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from server.embedded.tts.engine import EngineVoice

DEFAULT_LANGUAGE = "en-us"
FEMALE_VARIANTS = ("f3", "f2", "f4", "f1", "f5")  # the plainest first
MALE_VARIANTS = ("", "m3", "m7", "m1", "m2", "m4", "m6", "m8")
LISTED_VARIANTS = ("f3", "f2", "m3")  # of some hundred, all of which may be asked for

# en-US-Standard-A, en-GB-Wavenet-B, de-DE-Neural2-C, en-US-News-K, yue-HK-Standard-A
_GOOGLE_NAME = re.compile(r"([a-z]{2,3}-[a-z]{2})-[a-z0-9]+-([a-z])")
# Google's letters tell nothing but which voice it is; these are its men, from its list of voices
_MALE_LETTERS = {"en-us": "abdij", "en-gb": "bdo", "de-de": "bdeh"}
_USUAL_MALE_LETTERS = "bdj"


class UnknownVoiceError(Exception):
    """There is no such voice; the text says how to find one."""


@dataclass(frozen=True, slots=True)
class ListedVoice:
    """As ListVoices shows it; `language` in BCP 47's usual spelling."""

    id: str
    name: str
    language: str
    gender: str


class VoiceCatalogue:
    """The engine's voices, and its variants of each."""

    def __init__(self, voices: Sequence[EngineVoice], variants: Sequence[str]) -> None:
        self._voices = {voice.id: voice for voice in voices}
        self._variants = {variant.lower(): variant for variant in variants}

    def resolve(self, name: str, language: str) -> str:
        """The voice's id. A name wins over a language. Raises UnknownVoiceError."""
        wanted = name.strip().replace("_", "-").lower()
        if not wanted:
            return self.of_language(language) if language else self.default()
        base, plus, variant = wanted.partition("+")
        if base in self._voices and (not plus or variant in self._variants):
            return f"{base}{plus}{self._variants[variant]}" if plus else base
        google = _GOOGLE_NAME.fullmatch(wanted)
        if google is None:
            raise UnknownVoiceError(f"there is no voice {name[:80]!r}: ListVoices tells the ids")
        return self._like_google(google[1], google[2])

    def default(self) -> str:
        """American English if there is any."""
        return DEFAULT_LANGUAGE if DEFAULT_LANGUAGE in self._voices else next(iter(self._voices))

    def of_language(self, language: str) -> str:
        """The voice that fits best: its own region, else the language in general. Raises UnknownVoiceError."""
        tag = language.strip().replace("_", "-").lower()
        general = tag.partition("-")[0]
        american = DEFAULT_LANGUAGE if general == "en" else ""
        for candidate in (tag if tag != "en" else american, american, general):
            fitting = [
                (rank, voice.id)
                for voice in self._voices.values()
                for rank, known in voice.languages
                if known == candidate
            ]
            if fitting:
                return min(fitting)[1]
        raise UnknownVoiceError(f"no voice speaks {language[:80]!r}: ListVoices tells which languages there are")

    def _like_google(self, language: str, letter: str) -> str:
        base = self.of_language(language)
        male_letters = _MALE_LETTERS.get(language, _USUAL_MALE_LETTERS)
        male = letter in male_letters
        alike = [other for other in "abcdefghijklmnopqrstuvwxyz" if (other in male_letters) == male]
        variants = [
            variant
            for variant in (MALE_VARIANTS if male else FEMALE_VARIANTS)
            if not variant or variant in self._variants
        ]
        if not variants:
            return base
        variant = variants[alike.index(letter) % len(variants)]
        return f"{base}+{variant}" if variant else base

    def listed(self, language: str) -> Iterator[ListedVoice]:
        """Those of a language (all without one), each with its variants behind it."""
        wanted = language.strip().replace("_", "-").lower()
        for voice in self._voices.values():
            if wanted and not any(known == wanted or known.startswith(f"{wanted}-") for _, known in voice.languages):
                continue
            tag = spelled(voice.language)
            yield ListedVoice(voice.id, voice.name, tag, voice.gender)
            for variant in LISTED_VARIANTS:
                if variant in self._variants:
                    gender = "female" if variant.startswith("f") else "male"
                    yield ListedVoice(f"{voice.id}+{variant}", f"{voice.name}, {variant}", tag, gender)


def spelled(tag: str) -> str:
    """A lower-case tag as BCP 47 recommends (RFC 5646, 2.1.1): en-us → en-US, cmn-latn → cmn-Latn."""
    language, *rest = tag.split("-")
    private = False
    for index, part in enumerate(rest):
        private = private or len(part) == 1
        if not private and len(part) in {2, 4}:
            rest[index] = part.upper() if len(part) == 2 else part.title()
    return "-".join([language, *rest])
