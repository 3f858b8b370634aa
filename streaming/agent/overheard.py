"""Classifies words heard while the agent speaks: the user's, a listener's "mm-hm", or an echo of the agent's own. Pure."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from enum import Enum
from itertools import groupby
from os.path import commonprefix
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
        "ooh",
        "eh",
        "er",
        "erm",
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
        "yup",
        "ya",
        "yah",
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
    ["i see", "i know", "i understand", "understood", "i get it", "got it", "got you", "gotcha", "makes sense"]
    + ["that makes sense", "good to know", "fair enough", "sounds good", "sure thing", "all right", "of course"]
    + ["go on", "go ahead", "keep going", "carry on", "continue", "please continue", "please go on"]
    + ["true", "exactly", "indeed", "absolutely", "definitely", "totally", "certainly", "agreed", "you're right"]
    + ["perfect", "excellent", "lovely", "awesome", "amazing", "brilliant", "super", "nice one", "oh my"]
    + [f"{start} {word}" for start in ("that's", "that is", "very") for word in ("right", "good", "great", "nice")]
    + [f"{start} {word}" for start in ("that's", "that is", "very") for word in ("true", "fine", "cool", "interesting")]
    + ["well", "write"]  # as which "wow" and "right" are heard
)
"""The same, of several words, which mean something else apart, or of one that is also said in requests."""
_LONGEST_PHRASE = max(len(phrase.split()) for phrase in LISTENERS_PHRASES)

# "top" is what is left of a "stop" whose beginning the echo covered.
COMMANDS = frozenset(["stop", "top", "wait", "no", "cancel", "quiet", "enough"])
REFUSALS = frozenset(
    [
        "not now",
        "not yet",
        "not really",
        "not that",
        "not this",
        "not that one",
        "not this one",
        "not today",
        "not again",
    ]
)
"""Answers to a question, which sound like a reply's "nothing" or "not found"."""

ORDERS = frozenset(
    {"quit", "halt", "pause", "skip", "help", "don't", "nope", "nah", "hold on", "hang on", "never mind", "shut up"}
    | {"hold it", "forget it", "that's all", "go back", "go away", "again", "repeat", "repeat that", "say again"}
)
"""Short requests, which are the user's if they are all that was heard, even with little confidence."""
_ALONE = REFUSALS | ORDERS

SMALL_WORDS = frozenset(
    {"a", "an", "the", "and", "or", "of", "to", "in", "into", "on", "at", "for", "from", "by", "with", "as"}
    | {"if", "so", "up", "out", "then", "well", "like", "just", "now", "also", "too", "i", "you", "he", "she"}
    | {"it", "we", "they", "me", "him", "her", "us", "them", "my", "your", "his", "its", "our", "their", "this"}
    | {"that", "these", "those", "there", "here", "is", "are", "was", "be", "been", "am", "do", "does", "did"}
    | {"have", "has", "had", "shall", "will", "can", "could", "should", "would", "may", "want", "need", "get"}
)
"""Words that change little in what is asked, and are easily misheard."""

NUMBER_WORDS = frozenset(
    {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
    | {"thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty"}
    | {"forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand", "half", "quarter"}
    | {"percent", "point", "first", "second", "third"}
)
"""Recognisers write figures for these."""

QUESTION_WORDS = frozenset({"what", "who", "whose", "when", "where", "why", "how", "which"})
BEFORE_QUESTIONS = frozenset({"for", "about", "search", "find", "out", "remember", "that", "to"})  # in one request
MAX_BACKCHANNELS = 3  # different ones: "yeah okay right"; more are a sentence
CLEAR_WORDS = 2  # a partial of fewer words is often misheard
CERTAIN_WORDS = 3  # so many words are no hum, however they were heard
DOUBTFUL_CONFIDENCE, DOUBTFUL_MS = 0.5, 700  # a hum is heard as some short word ("Mama?"), with little confidence
MISHEARD_SHARE = 0.34  # share of an echo that a recogniser gets wrong
SAME_LETTERS = 3  # in a row count as the same sound
CERTAIN_SOUNDS = 2  # so many first consonants in common are no chance
# Of silence, until an echo has ended: to the loudspeaker and back, 200 ms in the room, the end of a word.
ECHO_LASTS_S = 0.5
LATE_WORDS = 8  # that the agent may have said since the echo began, three seconds of them
BEGINNING_MS = 1000  # by when the echo of an utterance's first word or two is heard, as others often
MAX_BEGINNING_WORDS = 4  # as which they are heard ("She'll have to be"); more are a sentence of the user's
_HUM = re.compile(r"[mhn]+|[mh][au]?[mh][au]?")  # "mmhm", "m hm", "mama"
# Consonants that recognisers mistake for each other, by one letter each. The others of a word tell little: "She like" is "Shall I".
_SPELLINGS = (("gh", ""), ("kn", "n"), ("ph", "f"), ("wh", "w"), ("th", "t"), ("ch", "j"), ("sh", "s"))
_PARTS = re.compile(r"[^-.:/,%]+")  # of "notes.txt" and "5:10", which may be heard as several words
_ABBREVIATION = re.compile(r"\.(?=\w\b)")  # the dots of "p.m"
_PAUSE = re.compile(r"(?<=[.,?!…])\s+")
_SOUNDS = str.maketrans("bcdgmqvxz", "pktknkfss", "aeiou")


HUMS = frozenset(
    {"mm", "mmm", "mhm", "hm", "hmm", "mm-hm", "mm-hmm", "mhmm", "mmhmm", "uh", "um", "er", "erm", "eh", "ah", "oh"}
)
"""No words: who says them has asked nobody anything."""


def only_hums(text: str) -> bool:
    """True if there is no other word in the text."""
    return all(word in HUMS for word in spoken(text))


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
    text: str,
    ours: str,
    sureness: Sureness = Sureness.WHOLE,
    *,
    silent: bool = False,
    cut: bool = False,
    outlasts: bool = False,
    begun: str = "",
) -> Overheard:
    """Classify `text`, heard while the agent spoke. `ours`: what it had said by then, the newest words last.

    `silent`: the reply is paused already, so a verdict may wait until the words are certain. `cut`: it was stopped since the speech
    began, within a word, which may be heard as any other. `outlasts`: the speech went on for
    more than ECHO_LASTS_S after the pause began; of a growing transcript that is not known. `begun`: an utterance that has
    played for less than BEGINNING_MS, else "": the echo of its first word or two is often heard as others with the same first sound.
    """
    outlasts = outlasts and sureness is not Sureness.GROWING
    judged, words = _judged(text, ours, cut=cut, outlasts=outlasts), spoken(text)
    sounds = 1 if sureness in {Sureness.GROWING, Sureness.DOUBTFUL} else CERTAIN_SOUNDS
    echoes = judged is Overheard.WORDS and not outlasts and _begins_like(words, begun, sounds)
    if judged is Overheard.WORDS and (
        COMMANDS.intersection(words) or " ".join(words) in (REFUSALS if echoes else _ALONE)
    ):
        return judged
    if echoes:
        judged = Overheard.ECHO
    if sureness is Sureness.WHOLE:
        return judged
    certain = len(words) >= CERTAIN_WORDS
    match sureness:
        case Sureness.DOUBTFUL if judged is Overheard.WORDS and not certain:
            return Overheard.BACKCHANNEL
        case Sureness.ENDING if judged is Overheard.WORDS and not certain:
            return Overheard.UNCLEAR
        case Sureness.GROWING if silent and judged is Overheard.ECHO:
            return Overheard.UNCLEAR  # "search for" is the agent's, "search for cats" is not
        case Sureness.GROWING if judged is Overheard.WORDS and _may_become_echo(text, ours, cut=cut):
            return Overheard.UNCLEAR
        case Sureness.GROWING:
            clear = certain if silent and judged is Overheard.WORDS else len(words) >= CLEAR_WORDS
            return judged if clear and judged is not Overheard.BACKCHANNEL else Overheard.UNCLEAR
    return judged


def without_echo(text: str, ours: str, begun: str = "") -> str:
    """`text` without what is the agent's around it: "no" of "She'll like, no. Shall I", "stop" of "or the date to stop something"."""
    parts = _PAUSE.split(text)
    while len(parts) > 1 and overheard(parts[0], ours, begun=begun) is Overheard.ECHO:
        del parts[0]
        begun = ""
    while len(parts) > 1 and not parts[-2].endswith(",") and overheard(parts[-1], ours) is Overheard.ECHO:
        del parts[-1]
    left = " ".join(parts)
    return _own_request(left, ours) or left


def _own_request(text: str, ours: str) -> str:
    """The command, or the question at the end, that is all that a text adds to the agent's words; "" if there is none.

    Of other requests their own words do not tell where they begin: "search for cats" may all be the user's.
    """
    words = [word for word in text.split() if spoken(word)]
    heard = spoken(text)
    said = _just_said(ours, heard)
    back = _come_back(said, heard)
    own = _own_words(said, _apart(heard), cut=False)
    if not back or not own:
        return ""
    commands = COMMANDS.intersection(own)
    misheard = len(back) >= (1 - MISHEARD_SHARE) * len(heard) and not any(word.endswith(("n't", "n’t")) for word in own)
    if commands and (misheard or commands.issuperset(own)):
        first = behind = next(at for at, word in enumerate(heard) if word in commands)
        while first > 0 and first - 1 not in back and heard[first - 1] in BACKCHANNELS:
            first -= 1  # "okay, stop"
        while behind < len(heard) and behind not in back:
            behind += 1
        return " ".join(words[first:behind])
    first = next(at for at in range(len(heard)) if at not in back)
    asks = heard[first].partition("'")[0] in QUESTION_WORDS
    if not asks or first < (CERTAIN_WORDS if heard[first - 1] in BEFORE_QUESTIONS else 1):
        return ""
    own_until = max(at for at in range(len(heard)) if at not in back) + 1
    ends = len(heard) - own_until >= CERTAIN_WORDS and own_until - first >= CERTAIN_WORDS
    return " ".join(words[first : own_until if ends else len(words)])


def _just_said(ours: str, heard: Sequence[str]) -> list[str]:
    """The agent's words that can come back while so many are heard."""
    return _apart(spoken(ours))[-(2 * len(heard) + LATE_WORDS) :]


def _come_back(said: Sequence[str], heard: Sequence[str]) -> set[int]:
    """The positions of words that were said, in the same order."""
    blocks = SequenceMatcher(None, said, heard, autojunk=False).get_matching_blocks()
    return {at for _, start, size in blocks for at in range(start, start + size)}


def _judged(text: str, ours: str, *, cut: bool, outlasts: bool, strict: bool = True) -> Overheard:
    """`strict`: what adds or changes a word is the user's, however much else of it is ours."""
    heard = _apart(spoken(text))
    said = _just_said(ours, heard)
    back = _come_back(said, heard)
    back.update(
        at for at, word in enumerate(heard) if len(figures := _figures([word])) > 1 and figures in _figures(said)
    )
    rest = [word for at, word in enumerate(heard) if at not in back]
    if rest and " ".join(heard) in _ALONE:
        return Overheard.WORDS
    own = _own_words(said, heard, cut=cut) if strict else []
    if len(rest) < len(heard) and _sounds_like(heard, said, 1.0) and not (outlasts or _figures(own)):
        return Overheard.ECHO  # "not enough" is "not understand", and no command
    if not (own or COMMANDS.intersection(rest) or (rest and outlasts)):
        if back and len(rest) <= MISHEARD_SHARE * len(heard):
            return Overheard.ECHO
        if back and _strange_share(_letters(said), _letters(heard)) <= MISHEARD_SHARE:
            return Overheard.ECHO
        if _sounds_like(heard, said, 1 - MISHEARD_SHARE):
            return Overheard.ECHO
    return Overheard.BACKCHANNEL if _only_listens(rest) or _only_listens(heard) else Overheard.WORDS


def _may_become_echo(text: str, ours: str, *, cut: bool) -> bool:
    """True if a partial's words may still change into the agent's: "to remember the report" into "to remember something".

    Its last word is the least certain, and others are often misheard.
    """
    but_last = text.rpartition(" ")[0]
    verdicts = (_judged(one, ours, cut=cut, outlasts=False, strict=one is but_last) for one in (text, but_last))
    return Overheard.ECHO in verdicts


def _own_words(said: Sequence[str], heard: Sequence[str], *, cut: bool) -> list[str]:
    """What the user adds or changes: words with a meaning that were neither said, nor sound like what was said in their place.

    "Temp" for "demo", and "two" behind it. `cut`: as in `overheard`.
    """
    said, heard = _parts(said), _parts(heard)
    own: list[str] = []
    for kind, start, end, first, behind in SequenceMatcher(None, said, heard, autojunk=False).get_opcodes():
        words = heard[first:behind]
        if kind == "insert":
            place = said[max(0, start - 1) : start + 1]
        elif first == 0 and behind < len(heard):
            place = said[max(start, end - len(words) - 1) : end]
        elif first > 0 and behind == len(heard):
            place = said[start : start + len(words) + 1]
        else:
            place = said[start:end]
        if kind == "equal" or _alike(words, place):
            continue
        kept = words[:-1] if cut and kind == "replace" and behind == len(heard) else words
        means = [word for word in kept if _negates(word, place) or not _says_little(word)]
        own += [word for word in means if not _alike([word], place)]
    return own


def _parts(words: Sequence[str]) -> list[str]:
    return [part for word in words for part in _PARTS.findall(word)]


def _apart(words: Sequence[str]) -> list[str]:
    """The words, with "4:30" as two, which may be written "4.30" or "430", and "p.m" as "pm"."""
    return [part for word in words for part in (_parts([word]) if _figures([word]) else [_ABBREVIATION.sub("", word)])]


def _figures(words: Sequence[str]) -> str:
    return "".join(filter(str.isdigit, " ".join(words)))


def _negates(word: str, place: Sequence[str]) -> bool:
    """True for the "don't" of "don't create it". Said of the agent's "can", a "can't" is easily misheard."""
    return word.endswith(("n't", "n’t")) and word[:-3] not in place


def _says_little(word: str) -> bool:
    return (
        (len(word) == 1 and word.isalpha())
        or word in SMALL_WORDS
        or "'" in word
        or "’" in word
        or _is_backchannel(word)
    )


def _alike(theirs: Sequence[str], ours: Sequence[str]) -> bool:
    """True if one may be heard for the other: "larger" for "largest", "25" for "twenty-five"."""
    if figures := _figures(theirs):
        return figures == _figures(ours) or not NUMBER_WORDS.isdisjoint(ours)
    if _figures(ours) and not NUMBER_WORDS.isdisjoint(theirs):
        return True
    if _strange_share(_letters(ours), _letters(theirs)) <= MISHEARD_SHARE:
        return True
    sounds = _consonants(theirs)
    rows = (ours[start:end] for start in range(len(ours)) for end in range(start + 1, len(ours) + 1))
    return len(sounds) >= CERTAIN_SOUNDS and any(_consonants(row) == sounds for row in rows)


def _only_listens(words: Sequence[str]) -> bool:
    """True if these are a listener's sounds and phrases, one or some: "yeah, I see", "okay, okay, okay, okay"."""
    said: set[str] = set()
    at = 0
    while at < len(words):
        rows = (" ".join(words[at : at + size]) for size in range(min(_LONGEST_PHRASE, len(words) - at), 0, -1))
        known = next((row for row in rows if row in LISTENERS_PHRASES or _is_backchannel(row)), None)
        if known is None:
            return False
        said.add(known)
        at += len(known.split())
    return len(said) <= MAX_BACKCHANNELS


def _is_backchannel(word: str) -> bool:
    """Recognisers spell some hums: "M-H-M"."""
    return word in BACKCHANNELS or _HUM.fullmatch(word.replace("-", "")) is not None


def _letters(words: Sequence[str]) -> str:
    return "".join(filter(str.isalpha, " ".join(words)))


def _consonants(words: Sequence[str]) -> str:
    """One letter for each consonant that is heard, those that sound alike by the same."""
    letters = _letters(words)
    for spelling, sound in _SPELLINGS:
        letters = letters.replace(spelling, sound)
    return "".join(sound for sound, _ in groupby(letters.translate(_SOUNDS)))


def _strange_share(ours: str, theirs: str) -> float:
    """The share of the sounds heard that were not just said: "you can't" is the beginning of "you can ask"."""
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    same = sum(size for _, _, size in blocks if size >= SAME_LETTERS)
    return 1 - same / len(theirs) if theirs else 1.0


def _sounds_like(heard: Sequence[str], said: Sequence[str], share: float) -> bool:
    """True if that share of the consonants are those of words in a row: "she like" of "shall I create", "louder" not of "folder"."""
    theirs = _consonants(heard)
    same = max((len(commonprefix([theirs, _consonants(said[at:])])) for at in range(len(said))), default=0)
    return same >= SAME_LETTERS and same >= share * len(theirs)


def _begins_like(heard: Sequence[str], begun: str, sounds: int) -> bool:
    """True if the first consonants are the same. A listener's word, as in "sure, do it", is the user's."""
    theirs, ours = (_consonants(words)[:sounds] for words in (heard, spoken(begun)))
    short = 0 < len(heard) <= MAX_BEGINNING_WORDS and heard[0] not in BACKCHANNELS
    return short and bool(theirs) and ours.startswith(theirs)
