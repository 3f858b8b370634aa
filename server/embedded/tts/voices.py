"""Selects voices by id, by Google's names, or by language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from server.embedded.tts.engine import Engine, EngineVoice

DEFAULT_LANGUAGE = "en-us"
FEMALE_VARIANTS = ("f3", "f2", "f4", "f1", "f5")  # the plainest first
MALE_VARIANTS = ("", "m3", "m7", "m1", "m2", "m4", "m6", "m8")
LISTED_VARIANTS = ("f3", "f2", "m3")  # of some hundred variants, all of which can be requested

# en-US-Standard-A, en-GB-Wavenet-B, de-DE-Neural2-C, en-US-News-K, yue-HK-Standard-A
_GOOGLE_NAME = re.compile(r"([a-z]{2,3}-[a-z]{2})-[a-z0-9]+-([a-z])")
# Google's letters only distinguish voices. These are the male ones, from its list of voices.
_MALE_LETTERS = {"en-us": "abdij", "en-gb": "bdo", "de-de": "bdeh"}
_USUAL_MALE_LETTERS = "bdj"


class UnknownVoiceError(Exception):
    """There is no such voice; the text says how to find one."""


@dataclass(frozen=True, slots=True)
class ListedVoice:
    """A voice in ListVoices; `language` in the usual spelling of BCP 47."""

    id: str
    name: str
    language: str
    gender: str
    engine: Engine


class VoiceCatalogue:
    """The voices of all engines and their variants; engines in order of preference.

    A language is spoken by the first engine that knows it, whatever the region: in London, a natural American voice is understood better
    than a synthetic British one. The others can be selected by id, or by Google's names of male voices.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)
        self._homes: dict[str, Engine] = {}
        self._voices: dict[str, EngineVoice] = {}
        for engine in engines:
            for voice in engine.voices:
                if voice.id not in self._homes:
                    self._homes[voice.id], self._voices[voice.id] = engine, voice

    def engine_of(self, voice_id: str) -> Engine:
        """The engine of a voice."""
        return self._homes[voice_id.partition("+")[0]]

    def language_of(self, voice_id: str) -> str:
        """The main language of a voice."""
        return self._voices[voice_id.partition("+")[0]].language

    def resolve(self, name: str, language: str) -> str:
        """The id of the voice. A name takes precedence over a language. Raises UnknownVoiceError."""
        wanted = name.strip().replace("_", "-").lower()
        if not wanted:
            return self.of_language(language) if language else self.default()
        base, plus, variant = wanted.partition("+")
        if base in self._voices:
            variants = {known.lower(): known for known in self._homes[base].variants}
            if not plus:
                return base
            if variant in variants:
                return f"{base}+{variants[variant]}"
        google = _GOOGLE_NAME.fullmatch(wanted)
        if google is None:
            raise UnknownVoiceError(f"there is no voice {name[:80]!r}: ListVoices tells the ids")
        return self._like_google(google[1], google[2])

    def default(self) -> str:
        """The first engine's voice; American English if it has it."""
        voices = [voice.id for voice in self._engines[0].voices]
        return DEFAULT_LANGUAGE if DEFAULT_LANGUAGE in voices else voices[0]

    def of_language(self, language: str) -> str:
        """The voice that fits best, by region or else by language. Raises UnknownVoiceError."""
        return self._fitting(language, self._engines)

    def instead_of(self, voice_id: str, language: str) -> str | None:
        """A voice of another engine for a language; None if there is none."""
        others = [engine for engine in self._engines if engine is not self.engine_of(voice_id)]
        try:
            return self._fitting(language, others) if language else None
        except UnknownVoiceError:
            return None

    def _fitting(self, language: str, engines: Sequence[Engine]) -> str:
        tag = language.strip().replace("_", "-").lower()
        general = tag.partition("-")[0]
        american = DEFAULT_LANGUAGE if general == "en" else ""
        for engine in engines:
            for candidate in (tag if tag != "en" else american, american, general):
                fitting = [
                    (rank, voice.id) for voice in engine.voices for rank, known in voice.languages if known == candidate
                ]
                if fitting:
                    return min(fitting)[1]
        raise UnknownVoiceError(f"no voice speaks {language[:80]!r}: ListVoices tells which languages there are")

    def _like_google(self, language: str, letter: str) -> str:
        base = self.of_language(language)
        male_letters = _MALE_LETTERS.get(language, _USUAL_MALE_LETTERS)
        male = letter in male_letters
        if self._voices[base].gender == "female" and not self.engine_of(base).variants:
            base = (self.instead_of(base, language) or base) if male else base
        known = self.engine_of(base).variants
        variants = [
            variant for variant in (MALE_VARIANTS if male else FEMALE_VARIANTS) if not variant or variant in known
        ]
        if not known or not variants:
            return base
        alike = [other for other in "abcdefghijklmnopqrstuvwxyz" if (other in male_letters) == male]
        variant = variants[alike.index(letter) % len(variants)]
        return f"{base}+{variant}" if variant else base

    def _of_range(self, tag: str) -> list[EngineVoice]:
        if not tag:
            return list(self._voices.values())
        found: list[EngineVoice] = []
        while tag and not found:
            found = [
                voice
                for voice in self._voices.values()
                if any(known == tag or known.startswith(f"{tag}-") for _, known in voice.languages)
            ]
            tag = _shorter(tag)
        return found

    def listed(self, language: str) -> Iterator[ListedVoice]:
        """The voices of a language (all if it is empty), each followed by its variants.

        Where no voice has the whole tag, it is shortened from its end until one does (RFC 4647, 3.4): de-DE lists those of de.
        """
        for voice in self._of_range(language.strip().replace("_", "-").lower()):
            tag, engine = spelled(voice.language), self._homes[voice.id]
            yield ListedVoice(voice.id, voice.name, tag, voice.gender, engine)
            for variant in LISTED_VARIANTS:
                if variant in engine.variants:
                    gender = "female" if variant.startswith("f") else "male"
                    yield ListedVoice(f"{voice.id}+{variant}", f"{voice.name}, {variant}", tag, gender, engine)


def _shorter(tag: str) -> str:
    """The tag without its last part, and without a single letter or digit before that, which only introduces it."""
    rest = tag.rpartition("-")[0]
    return rest[:-2] if rest[-2:-1] == "-" else rest


def spelled(tag: str) -> str:
    """A lower-case tag in BCP 47's recommended case (RFC 5646, 2.1.1): en-us → en-US, cmn-latn → cmn-Latn."""
    language, *rest = tag.split("-")
    private = False
    for index, part in enumerate(rest):
        private = private or len(part) == 1
        if not private and len(part) in {2, 4}:
            rest[index] = part.upper() if len(part) == 2 else part.title()
    return "-".join([language, *rest])
