"""Cleans Whisper's output: phrases repeated at the end of a short window, and notes about sounds that are not speech."""

from __future__ import annotations

import re

_NO_LETTERS = re.compile(r"[^\w']+")
_SOUND_NOTES = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|[♪♫]+")
LEAST_LETTERS = 8  # of a repetition spelt in another way; shorter ones are also parts of words
_ANY_WORD = re.compile(r"\w")


def without_repeats(words: list[str]) -> tuple[list[str], bool]:
    """`words` up to the end of the first occurrence of a phrase that repeats until the end; and whether there was one.

    "Stop. Stop. Stop." → "Stop."; "What time is it? What time is" → "What time is it?". A phrase that is not at the beginning must
    occur at least three times, because people do say "no, no" and "very very" within a sentence.
    """
    keys = [_NO_LETTERS.sub("", word.lower()) for word in words]
    for size in range(1, len(words)):
        for start in range(len(words) - size):
            rest = keys[start + size :]
            least = size if start == 0 and size == 1 else 2 * size if start else min(size, 2)
            if len(rest) >= least and all(key == keys[start + index % size] for index, key in enumerate(rest)):
                return words[: start + size], True
    return _without_respelt_repeat(words, keys)


def _without_respelt_repeat(words: list[str], keys: list[str]) -> tuple[list[str], bool]:
    """The same for a sentence whose repetition is divided into words in another way: "Forget my name. For get my name."."""
    letters = "".join(keys)
    for size in range(1, len(words)):
        once = "".join(keys[:size])
        if LEAST_LETTERS <= len(once) <= len(letters) / 2 and letters == (once * len(letters))[: len(letters)]:
            return words[:size], True
    return words, False


def cleaned(text: str) -> str:
    """The text without "[BLANK_AUDIO]", "(coughs)", "♪"; empty if no word is left."""
    kept = " ".join(_SOUND_NOTES.sub(" ", text).split())
    return kept if _ANY_WORD.search(kept) else ""
