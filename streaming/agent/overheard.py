"""Classifies words heard while the agent speaks: the user's, a listener's "mm-hm", or an echo of the agent's own. Pure."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from enum import Enum
from typing import TYPE_CHECKING

from streaming.agent.eager import spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        "wow",
        "really",
        "cool",
        "interesting",
    ]
)
"""Said alone while somebody else speaks, they mean "go on", even a "yes": an approval comes after the question."""

LISTENERS_PHRASES = frozenset(
    ["i see", "oh i see", "i understand", "got it", "go on", "makes sense", "that makes sense"]
)
"""The same, of several words, which mean something else apart."""

# "top" is what is left of a "stop" whose beginning the echo covered.
COMMANDS = frozenset(["stop", "top", "wait", "no", "cancel", "quiet", "enough"])
MAX_BACKCHANNEL_WORDS = 3  # "yeah okay right"; more words are a sentence
CLEAR_WORDS = 2  # a partial of fewer words is often misheard
CERTAIN_WORDS = 3  # so many words are no hum, however they were heard
DOUBTFUL_CONFIDENCE, DOUBTFUL_MS = 0.5, 700  # a hum is heard as some short word ("Mama?"), with little confidence
MISHEARD_SHARE = 0.34  # share of an echo that a recogniser gets wrong
SAME_LETTERS = 3  # in a row count as the same sound
ECHO_S = (
    0.5  # that an echo lasts after a pause: its way to the loudspeaker and back, 200 ms in the room, the end of a word
)
LATE_WORDS = 8  # that the agent may have said since the echo began, three seconds of them
_HUM = re.compile(r"[mhn]{2,}|[mh][au]?[mh][au]?")  # "mmhm", "mama"


class Overheard(Enum):
    """Whose words were heard."""

    WORDS = "words"
    BACKCHANNEL = "backchannel"
    ECHO = "echo"
    UNCLEAR = "unclear"  # so far


class Sureness(Enum):
    """How certain the transcript is."""

    GROWING = "growing"  # a partial: its words may still change
    ENDING = "ending"  # probably the whole
    WHOLE = "whole"
    DOUBTFUL = "doubtful"  # the whole, but short, and with little confidence


def sureness_of(confidence: float, length_ms: int) -> Sureness:
    """Of a final transcript."""
    doubtful = confidence < DOUBTFUL_CONFIDENCE and length_ms <= DOUBTFUL_MS
    return Sureness.DOUBTFUL if doubtful else Sureness.WHOLE


def overheard(
    text: str, ours: str, sureness: Sureness = Sureness.WHOLE, *, silent: bool = False, outlasts: bool = False
) -> Overheard:
    """Classify `text`, heard while the agent spoke. `ours`: what it had said by then, the newest words last.

    `silent`: the reply is paused already, so a verdict may wait until the words are certain. `outlasts`: the speech went on for
    more than ECHO_S after the pause began; of a growing transcript that is not known.
    """
    outlasts = outlasts and sureness is not Sureness.GROWING
    judged, words = _judged(text, ours, outlasts=outlasts), spoken(text)
    if sureness is Sureness.WHOLE or COMMANDS.intersection(words):
        return judged
    certain = len(words) >= CERTAIN_WORDS
    match sureness:
        case Sureness.DOUBTFUL if judged is Overheard.WORDS and not certain:
            return Overheard.BACKCHANNEL
        case Sureness.ENDING if judged is Overheard.WORDS and not certain:
            return Overheard.UNCLEAR
        case Sureness.GROWING if silent and judged is Overheard.ECHO:
            return Overheard.UNCLEAR  # "search for" is the agent's, "search for cats" is not
        case Sureness.GROWING:
            clear = certain if silent and judged is Overheard.WORDS else len(words) >= CLEAR_WORDS
            return judged if clear and judged is not Overheard.BACKCHANNEL else Overheard.UNCLEAR
    return judged


def _judged(text: str, ours: str, *, outlasts: bool) -> Overheard:
    heard = spoken(text)
    said = spoken(ours)[-(2 * len(heard) + LATE_WORDS) :]  # only what was just said can come back
    matcher = SequenceMatcher(None, said, heard, autojunk=False)
    back = {at for _, start, size in matcher.get_matching_blocks() for at in range(start, start + size)}
    rest = [word for at, word in enumerate(heard) if at not in back]
    if not (COMMANDS.intersection(rest) or (rest and outlasts)):
        if back and len(rest) <= MISHEARD_SHARE * len(heard):
            return Overheard.ECHO
        if back and _strange_letters(said, heard) <= MISHEARD_SHARE:
            return Overheard.ECHO
    if len(rest) <= MAX_BACKCHANNEL_WORDS and all(map(_is_backchannel, rest)):
        return Overheard.BACKCHANNEL
    if " ".join(rest) in LISTENERS_PHRASES:
        return Overheard.BACKCHANNEL
    return Overheard.WORDS


def _is_backchannel(word: str) -> bool:
    """Recognisers spell some hums: "M-H-M"."""
    return word in BACKCHANNELS or _HUM.fullmatch(word.replace("-", "")) is not None


def _strange_letters(said: Sequence[str], heard: Sequence[str]) -> float:
    """The share of the letters heard that were not just said: "you can't" is the beginning of "you can ask"."""
    ours, theirs = ("".join(filter(str.isalpha, " ".join(words))) for words in (said, heard))
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    same = sum(size for _, _, size in blocks if size >= SAME_LETTERS)
    return 1 - same / len(theirs) if theirs else 1.0
