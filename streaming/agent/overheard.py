"""Classifies words heard while the agent speaks: the user's, a listener's "mm-hm", or an echo of the agent's own. Pure."""

from __future__ import annotations

from difflib import SequenceMatcher
from enum import Enum

from streaming.agent.eager import spoken

BACKCHANNELS = frozenset(
    [
        "mm",
        "mmm",
        "mhm",
        "hm",
        "hmm",
        "mm-hm",
        "mm-hmm",
        "uh-huh",
        "uhuh",
        # what recognisers make of a hum
        "mama",
        "mum",
        "mom",
        "man",
        "mhmm",
        "mmhmm",
        "ham",
        "hum",
        "uh",
        "huh",
        "um",
        "ah",
        "oh",
        "okay",
        "ok",
        "right",
        "yeah",
        "yep",
        "yes",
        "sure",
        "alright",
        "aha",
        "good",
        "great",
        "nice",
        "fine",
    ]
)
"""Said alone while somebody else speaks, they mean "go on", even a "yes": an approval comes after the question."""

COMMANDS = frozenset(["stop", "wait", "no", "cancel", "quiet", "enough"])
MAX_BACKCHANNEL_WORDS = 3  # "yeah okay right"; more words are a sentence
CLEAR_WORDS = 2  # a partial of fewer words is often misheard
MISHEARD_SHARE = 0.34  # share of an echo that a recogniser gets wrong
RECENT_WORDS = 40  # the agent's newest words, which may still be in the air: a quarter of a minute


class Overheard(Enum):
    """Whose words were heard."""

    WORDS = "words"
    BACKCHANNEL = "backchannel"
    ECHO = "echo"
    UNCLEAR = "unclear"  # so far


def overheard(text: str, ours: str, *, whole: bool = True) -> Overheard:
    """Classify `text`, heard while the agent spoke. `ours`: what it had said by then, the newest words last.

    `whole` is False for a partial transcript. A first partial of one word is often misheard, so it stays UNCLEAR.
    """
    judged = _judged(text, ours)
    if whole:
        return judged
    words = spoken(text)
    clear = len(words) >= CLEAR_WORDS and judged is not Overheard.BACKCHANNEL
    return judged if clear or COMMANDS.intersection(words) else Overheard.UNCLEAR


def _judged(text: str, ours: str) -> Overheard:
    heard, said = spoken(text), spoken(ours)[-RECENT_WORDS:]
    matcher = SequenceMatcher(None, said, heard, autojunk=False)
    back = {at for _, start, size in matcher.get_matching_blocks() for at in range(start, start + size)}
    rest = [word for at, word in enumerate(heard) if at not in back]
    if back and not COMMANDS.intersection(rest) and len(rest) <= MISHEARD_SHARE * len(heard):
        return Overheard.ECHO
    if len(rest) <= MAX_BACKCHANNEL_WORDS and BACKCHANNELS.issuperset(rest):
        return Overheard.BACKCHANNEL
    return Overheard.WORDS
