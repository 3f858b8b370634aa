"""Guesses the language of a text that a voice cannot say, by the script of its letters, or names the script."""

from __future__ import annotations

import unicodedata

from server.embedded.normal_forms import normal

LANGUAGES = {
    "LATIN": "en-us",
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "ARABIC": "ar",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "BENGALI": "bn",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAI": "th",
    "MYANMAR": "my",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "ETHIOPIC": "am",
    "CHEROKEE": "chr",
}
"""First word of a letter's Unicode name → the most spoken language of that script."""


def probable_language(text: str) -> str:
    """A BCP 47 tag; empty if no letter tells. Any kana mean Japanese."""
    found = [
        LANGUAGES[script]
        for char in text
        if char.isalpha() and (script := unicodedata.name(char, "").partition(" ")[0]) in LANGUAGES
    ]
    if "ja" in found:
        return "ja"
    return max(dict.fromkeys(found), key=found.count) if found else ""  # of equally many, the first, in each process


NAMES = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
"""What people call a script, where Unicode calls it something else."""


def in_place_of(text: str) -> str:
    """What to say in place of words that nobody can say: "a word in Cyrillic"."""
    letter = next(filter(str.isalpha, text), "")
    if not letter:  # digits and fractions in a form that no voice knows
        return normal("NFKC", text)
    name = unicodedata.name(letter, "").partition(" ")[0]
    what = "words" if len(text.split()) > 1 else "a word"
    return f"{what} in {NAMES.get(name, name.title() or 'unknown letters')}"
