"""The ways to read a sentence, likeliest first: without hesitations, repetitions and courtesy, with contractions expanded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.embedded.intent.words import (
    keys_of,
    with_contractions_whole,
    with_signs_said,
    with_statement_whole,
    without_broken_off,
    without_decoration,
    without_hesitations,
    without_repetition,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.embedded.intent.words import SaidWord

_POLITE_END = re.compile(r"(?:\A|\s)(?:please|instead|thank you|thanks|jarvis|computer|for me)\Z", re.IGNORECASE)
_POLITE_START = re.compile(
    r"\A(?:(?:hey|hi|hello|ok|okay)\s+)?(?:jarvis|computer)\s+(?=\w)"
    r"|\A(?:please|could you|can you|would you|will you|i want you to|i would like you to|i'd like you to)"
    r"(?:\s+please)?\s+(?=\w)",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"\A(?:well|so|oh|right|now|and|but|okay|ok|alright|hey|hi|hello|like|actually|i mean|you know)\s+(?=\w)",
    re.IGNORECASE,
)
# What may stand before a request, and is no courtesy of one word. After these, words approve nothing: "let's go", "no, do it".
_LOOSE = re.compile(
    r"\A(?:(?:i want|i need|i would like|i'd like)(?: you)? to(?: (?:know|see|have|hear))?|let's|let us"
    r"|would you mind(?: telling me)?|(?:would you )?be so (?:kind|good)(?: and| as to)|kindly|i (?:was wondering|wonder)"
    r"|do you happen to know|(?:can|could|may|might) (?:i|we)(?: please)? (?:have|get|see|know|hear)"
    r"|maybe|perhaps|possibly|quickly|just|like|no|nope|wait|sorry|thanks|thank you|great|good|perfect|wrong|i meant|i said)\s+(?=\w)",
    re.IGNORECASE,
)


def _without_start(words: Sequence[SaidWord], pattern: re.Pattern[str]) -> list[SaidWord]:
    left = list(words)
    while found := pattern.match(keys_of(left)):
        left = left[len(found[0].split()) :]
    return left


def without_courtesy(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`Hey Jarvis, could you … please` without the courtesy, which open slots would swallow."""
    left = list(words)
    while (found := _POLITE_END.search(keys_of(left))) and len(found[0].split()) < len(left):
        left = left[: -len(found[0].split())]
        left[-1] = type(left[-1])(left[-1].said.rstrip(",;"), left[-1].key)
    return _without_start(left, _POLITE_START) or list(words)


def loosely(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`I'd like to know what time it is` and `sorry, what time is it` without their beginnings. Such words never approve anything."""
    left = without_courtesy(without_hesitations(words))
    while len(shorter := without_courtesy(_without_start(left, _LOOSE))) < len(left):
        left = shorter
    return left


def readings(words: Sequence[SaidWord]) -> list[list[SaidWord]]:
    """Distinct readings. Later ones change more of what was said, and are only used if earlier ones match nothing."""
    fluent = with_statement_whole(without_hesitations(with_signs_said(words)))
    bare = without_courtesy(without_repetition(without_courtesy(without_decoration(without_broken_off(fluent)))))
    whole = with_contractions_whole(bare)
    ways = [without_courtesy(fluent), fluent, without_courtesy(words), list(words), bare, whole]
    ways.append(without_courtesy(_without_start(whole, _OPENING)))
    return [list(way) for way in dict.fromkeys(tuple(way) for way in ways if way)]
