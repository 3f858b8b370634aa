"""A sentence as words, each with the form that templates compare, and as it was said, so that values keep their signs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_WORDS = 40  # compared with templates; the rest of a longer sentence is one word of an open slot
MAX_KEY_CHARS = 40  # longer than any word that a template names
OPAQUE = "zzopaque"  # stands for what no template names: mere signs, addresses, file names
_MAX_REPEATED = MAX_WORDS // 2

_BROKEN_OFF = re.compile(r"[^\W_]+[-–—]+")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})
_EDGES = re.compile(r"\A[\W_]+|[\W_]+\Z")
_PLAIN = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_HESITATION = re.compile(r"(?:u+h+m*|u+m+|e+rm+|er|h+m+)", re.IGNORECASE)
_FINAL_MARKS = ".!?,;:…"
# A period after one of these belongs to the word. Words that also end sentences ("no.", "sun.") are not listed.
_ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "rd", "ave", "blvd", "hwy", "apt", "mt", "jr", "sr", "inc", "ltd", "corp"}
    | {"co", "etc", "vs", "dept", "approx", "jan", "feb", "apr", "aug", "sept", "oct", "nov", "dec"}
)
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]\.\Z")  # "p.m.", "U.S."
_CONTRACTED = {"'ll": "will", "'s": "is", "'re": "are", "'m": "am"}
_WITHOUT_APOSTROPHE = {"whats": "what's", "wheres": "where's", "whos": "who's", "hows": "how's", "thats": "that's"}
_SPOKEN = {"1st": "first", "2nd": "second", "3rd": "third", "4th": "fourth", "5th": "fifth"}  # as in the templates
_SIGNS = {
    "👍": "yes",
    "✅": "yes",
    "👌": "yes",
    "✔": "yes",
    "👎": "no",
    "❌": "no",
    "🚫": "no",
    "✋": "stop",
    "🛑": "stop",
}
_JOINERS = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")  # variants and skin tones of an emoji
# An 's behind these is a verb; behind other words ("my dad's birthday") it is more often a possessive.
_BEFORE_IS = frozenset(
    ["what", "where", "who", "when", "how", "why", "which", "that", "this", "it", "he", "she", "there", "here"]
)
_NAMING = frozenset({"what", "which", "how"})  # "what day's tomorrow"
_VERBS = frozenset({
    "is", "are", "isn't", "aren't", "was", "were", "wasn't", "weren't", "has", "hasn't", "will", "won't", "can", "can't",
})  # fmt: skip
_ASKS = frozenset({"forget", "delete", "about", "tell", "know", "you", "what's", "whats", "who's", "when's", "where's"})


@dataclass(frozen=True, slots=True)
class SaidWord:
    """A word. `said` has its signs; `key` is compared with templates."""

    said: str
    key: str

    @property
    def plain(self) -> bool:
        """True if it consists of letters and digits, apart from marks at its end."""
        return self.said.rstrip(_FINAL_MARKS).lower() == self.key.lower()


def _key(said: str) -> str:
    if len(said) > MAX_KEY_CHARS:
        return OPAQUE
    bare = _EDGES.sub("", said)
    hides_sign = said[0] in "-./~" and len(said) > 1 and not said.startswith("...")
    plain = _PLAIN.fullmatch(bare)
    return _SPOKEN.get(bare.lower(), bare) if plain and not hides_sign else OPAQUE


def words_of(text: str) -> list[SaidWord]:
    """At most MAX_WORDS words, plus one for the rest of the text."""
    said = text.translate(_QUOTES).split()
    words = [SaidWord(one, _key(one)) for one in said[:MAX_WORDS]]
    rest = " ".join(said[MAX_WORDS:])
    return [*words, SaidWord(rest, OPAQUE)] if rest else words


def keys_of(words: Sequence[SaidWord]) -> str:
    """The sentence as templates see it."""
    return " ".join(word.key for word in words)


def said_by(words: Sequence[SaidWord]) -> str:
    """The words as they were said."""
    return " ".join(word.said for word in words)


def without_final_period(text: str) -> str:
    """`Rex.` is Rex; the period of `p.m.`, `Rd.` and `wait...` stays."""
    last = text.rsplit(" ", 1)[-1]
    if not last.endswith(".") or last.endswith("..") or _INITIALS.search(last):
        return text
    return text if last[:-1].lower() in _ABBREVIATIONS else text[:-1]


def with_signs_said(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`👍` alone is `yes`; beside words it is decoration."""
    said = [_SIGNS.get(_JOINERS.sub("", word.said)) for word in words]
    return [SaidWord(sign, sign) for sign in said if sign] if all(said) else list(words)


# --- what is not part of the meaning ---


def without_hesitations(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`what's the, uh, time` is `what's the time`. Capitals ("ER") are a name, and `uh huh` is one word."""
    kept: list[SaidWord] = []
    for at, word in enumerate(words):
        if not _hesitates(words, at):
            kept.append(word)
        elif kept and kept[-1].said.endswith(","):
            kept[-1] = replace(kept[-1], said=kept[-1].said[:-1])
    return kept


def without_mere_hesitations(words: Sequence[SaidWord]) -> list[SaidWord]:
    """The same, with the commas before them, which may set off what follows: `five, uh, no, six`."""
    return [word for at, word in enumerate(words) if not _hesitates(words, at)]


def _hesitates(words: Sequence[SaidWord], at: int) -> bool:
    key = words[at].key
    if key.lower() == "like" and at and words[at - 1].said.endswith(",") and words[at].said.endswith(","):
        return True  # "what's the, like, date"
    joined = at + 1 < len(words) and words[at + 1].key.lower() == "huh"
    return not joined and _HESITATION.fullmatch(key) is not None and not (key.isupper() and len(key) > 1)


def without_decoration(words: Sequence[SaidWord]) -> list[SaidWord]:
    """Drop words without letters and digits: emoji, dashes."""
    return [word for word in words if any(char.isalnum() for char in word.said)]


def without_broken_off(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`what ti- what time is it` without the word that was begun and not ended."""
    return [word for word in words[:-1] if not _BROKEN_OFF.fullmatch(word.said)] + list(words[-1:])


def without_repetition(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`stop stop stop` is `stop`, `what's the the time` is `what's the time`, a doubled sentence is one."""
    kept = list(words)
    for length in range(min(len(kept) // 2, _MAX_REPEATED), 0, -1):
        start = 0
        while start + 2 * length <= len(kept):
            first = [word.key.lower() for word in kept[start : start + length]]
            second = [word.key.lower() for word in kept[start + length : start + 2 * length]]
            if first == second and OPAQUE not in first:
                del kept[start : start + length]
            else:
                start += 1
    return kept


def with_statement_whole(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`my name's Ada` is `my name is Ada`, if no verb follows: in `my dog's name is Rex`, the 's is possessive.

    It is also possessive where `my …` is what is asked for: `forget my dog's name`, `do you know my dog's name`.
    """
    keys = [word.key.lower() for word in words]
    if "my" not in keys[:-2] or _VERBS & set(keys) or _asks(keys[: keys.index("my")][-2:]):
        return list(words)
    ended = [at for at in range(keys.index("my") + 1, len(keys) - 1) if keys[at].endswith(("'s", "'re"))]
    return [*words[: ended[-1]], *_whole(words[ended[-1]]), *words[ended[-1] + 1 :]] if ended else list(words)


def _asks(before: Sequence[str]) -> bool:
    """True if the two words before `my` make a request of it rather than a statement: not `forget that my name's Ada`."""
    return bool(_ASKS & set(before)) and before[-1] != "that"


def with_contractions_whole(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`where's` is `where is`, `i'm` is `i am`, with or without the apostrophe; not `my dad's`."""
    return [
        whole
        for at, word in enumerate(words)
        for whole in (
            [word] if _possessive(word) and not (at and words[at - 1].key.lower() in _NAMING) else _whole(word)
        )
    ]


def _possessive(word: SaidWord) -> bool:
    key = word.key.lower()
    return key.endswith("'s") and key.removesuffix("'s") not in _BEFORE_IS


def _whole(word: SaidWord) -> list[SaidWord]:
    key = _WITHOUT_APOSTROPHE.get(word.key.lower(), word.key)
    for ending, verb in _CONTRACTED.items():
        if key.lower().endswith(ending) and len(key) > len(ending):
            stem = key[: -len(ending)]
            return [SaidWord(stem, stem), SaidWord(verb, verb)]
    return [word]
