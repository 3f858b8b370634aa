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
MISHEARD_SHARE = 0.34  # share of an echo that a recogniser gets wrong
RECENT_WORDS = 40  # the agent's newest words, which may still be in the air: a quarter of a minute


class Overheard(Enum):
    """Whose words were heard."""

    WORDS = "words"
    BACKCHANNEL = "backchannel"
    ECHO = "echo"


def overheard(text: str, ours: str) -> Overheard:
    """Classify `text`, heard while the agent spoke. `ours`: what it had said by then, the newest words last."""
    heard, said = spoken(text), spoken(ours)[-RECENT_WORDS:]
    matcher = SequenceMatcher(None, said, heard, autojunk=False)
    back = {at for _, start, size in matcher.get_matching_blocks() for at in range(start, start + size)}
    rest = [word for at, word in enumerate(heard) if at not in back]
    if back and not COMMANDS.intersection(rest) and len(rest) <= MISHEARD_SHARE * len(heard):
        return Overheard.ECHO
    if len(rest) <= MAX_BACKCHANNEL_WORDS and BACKCHANNELS.issuperset(rest):
        return Overheard.BACKCHANNEL
    return Overheard.WORDS
