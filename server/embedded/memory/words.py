"""Splits texts into the units of the index: words, or characters and pairs of them in scripts without spaces.

Both sides of a search are split here, so that FTS5 never has to find word boundaries. 東京都 is indexed as 東 東京 京 京都 都, and 京都 is
found in it, and so is 京. Each unit of a query is one term of the index: to find 京 as the beginning of pairs, FTS5 would read all users'
pairs with it. Korean has spaces but attaches endings to its words, so it is split in the same way.
"""

from __future__ import annotations

import re
import unicodedata

from server.embedded.normal_forms import normal
from server.embedded.spelling import folded

MAX_KEY_CHARS = 256
MAX_TYPED_KEY_CHARS = 4 * MAX_KEY_CHARS  # before accents are composed: no character is made of more than four
MAX_QUERY_WORDS = 32  # each is one look-up
# What stands behind is not searched. Splitting this much takes 35 ms; of 64 KiB of ligatures, each worth 18 letters, it took 380 ms.
MAX_INDEXED_CHARS = 20_000

# Scripts without spaces: Thai and Lao, Tibetan, Burmese, Khmer; Han, kana, Hangul; Han beyond the basic plane
_DENSE = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUNS = re.compile(f"[{_DENSE}]+|[^{_DENSE}]+")
_DENSE_RUN = re.compile(f"[{_DENSE}]+")
# Ignored if a query has other words: they occur everywhere.
_STOP_WORDS = frozenset(
    "a about an and are at be did do does for from i in is it me my of on or s that the this to was were what when "  # noqa: SIM905
    "where which who with you your".split()
)


def key_form(key: str) -> str:
    """The normalised key: accents composed (NFC), so that é equals é however it was typed. What is too long for one stays as it is."""
    return normal("NFC", key) if len(key) <= MAX_TYPED_KEY_CHARS else key


def indexed(text: str) -> str:
    """The distinct units of a text, separated by spaces, for the index."""
    pieces = (piece for run in _runs(text) for piece in (_singles_and_pairs(run) if is_dense(run) else [run]))
    return " ".join(dict.fromkeys(pieces))


def query_words(text: str) -> list[str]:
    """The distinct units of a query. Of a dense script these are the pairs; a single character if it stands alone."""
    words = list(
        dict.fromkeys(piece for run in _runs(text) for piece in ((_pairs(run) or [run]) if is_dense(run) else [run]))
    )
    return ([word for word in words if word not in _STOP_WORDS] or words)[:MAX_QUERY_WORDS]


def is_dense(word: str) -> bool:
    """True for a word in a script without spaces."""
    return _DENSE_RUN.fullmatch(word) is not None


def _runs(text: str) -> list[str]:
    """Words, and runs of dense scripts: letters, digits and their marks. Composed signs may become many letters."""
    spelled = folded(normal("NFKC", text[:MAX_INDEXED_CHARS])[:MAX_INDEXED_CHARS])
    spaced = "".join(sign if unicodedata.category(sign)[0] in "LNM" else " " for sign in spelled)
    return [run for word in spaced.split() for run in _RUNS.findall(word)]


def _pairs(run: str) -> list[str]:
    """Each character with the next one."""
    return [run[at : at + 2] for at in range(len(run) - 1)]


def _singles_and_pairs(run: str) -> list[str]:
    """Each character alone, then with the next one."""
    return [run[at : at + length] for at in range(len(run)) for length in (1, 2)][:-1]
