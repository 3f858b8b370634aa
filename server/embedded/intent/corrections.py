"""Words that the speaker takes back: `set a timer for five, no, six minutes`, `search for cats, sorry, dogs`, `open example.com, never mind`.

A correction has three parts: what is replaced, a cue ("no", "I mean"), and what replaces it. The cue alone proves little, because
"say no to drugs" has one too. So something must set it off, and the corrected text must be a clear request.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from server.embedded.intent.file_names import is_file
from server.embedded.intent.words import said_by, without_mere_hesitations, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from server.embedded.intent.words import SaidWord

MAX_REPAIR_WORDS = 6  # of what replaces a part whose kind is not known
QUOTED_WORDS = 3  # "he said no, wait"
MAX_CHARS = 300  # a longer text is a story
MAX_CORRECTIONS = 3  # in one text
MAX_WAYS = 8  # to correct one text; each takes some milliseconds to judge

_MARKS = ",;.!?…-–—"
# Each of these alone says that something is corrected. The others do so in twos ("no, wait"), or between marks (", no,").
_CERTAIN = "i should say|scratch that|strike that|make it|make that|or rather|or actually"
_CERTAIN_AFTER_MARK = "i mean|i meant|correction"  # "by boss I mean Ada", "error correction codes"
_CUE = re.compile(
    rf"(?:(?P<certain>{_CERTAIN})|(?P<after_mark>{_CERTAIN_AFTER_MARK})|no|nope|nah|wait|hang on|hold on|sorry|excuse me|oops|actually|rather)(?= |\Z)"
)
_IT_IS = re.compile(r"(?:that )?(?:it's|it is|he's|he is|she's|she is|they're|they are)(?= )")
_JOINING = re.compile(r"(?:oh|well|but)(?= )")  # beside cues: "oh no", "no, well, rather"
_NO_CUE_AFTER = frozenset({"do", "did", "what", "when", "which", "you", "if"})  # "what do I mean by"
# "yes, no, maybe" is a list
_SAID_TWICE = frozenset({"no", "yes", "wait", "sorry", "maybe", "actually", "oh", "never"})
_NO_REPAIR = frozenset({"it", "that", "this", "thanks", "thank", "please", "really", "sir", "madam"})  # "I mean it"

_NUMBERS = re.compile(
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|percent|half|noon|midnight|a\.?m|p\.?m|o'clock"
    r"|first|second|third|fourth|fifth|last|\d[\d.,:]*(?:st|nd|rd|th|am|pm|%)?)\Z"
)
_HALVES = re.compile(r"(?:[ap]\.?m|o'clock|percent)\Z", re.IGNORECASE)
_DAYS = re.compile(
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|today|tonight|tomorrow|yesterday|january|february|march|april|may|june|july"
    r"|august|september|october|november|december)\Z"
)
_ADDRESS = re.compile(r"[\w-]+(?:\.[\w-]+)+(?:/\S*)?\Z")
_ONLY = frozenset({"just", "only", "maybe"})  # "the time and the date, no, just the time"
# Before these, a phrase ends that a correction replaces as a whole: "in New York, no, Boston".
_LEADS = frozenset({
    "in", "on", "at", "for", "to", "from", "with", "about", "of", "by", "into", "until", "is", "are", "called", "named", "between", "that", "as",
    "and", "or", "file", "folder", "page", "call", "email", "me",
})  # fmt: skip
_ABBREVIATED = frozenset({"dr.", "mr.", "mrs.", "ms.", "st.", "prof.", "jr.", "sr.", "vs."})
_DETERMINERS = frozenset({"a", "an", "the", "my", "your", "our", "his", "her", "their", "this", "some"})
_QUOTING = frozenset({"say", "said", "says", "saying", "told", "shouted", "shouts", "asked", "answered", "echo"})


# Recognisers leave out the marks. Without them, each cue may also be part of a name ("love actually", "minimum wait time"), so what
# is replaced and what replaces it are names of as many words.
_MAX_UNMARKED = 2
_UNMARKED = frozenset({"sorry", "oops"})  # "movies actually scary", "steak no salt", "maximum wait time"
_OF_CLAUSES = frozenset({
    "i", "you", "we", "they", "he", "she", "it", "me", "us", "what", "who", "how", "where", "which", "that", "there", "not", "is", "are", "was",
    "were", "be", "been", "do", "does", "did", "have", "has", "had", "can", "will", "so", "very", "too",
})  # fmt: skip
_OF_TITLES = frozenset({
    "lyrics", "song", "songs", "chords", "video", "remix", "album", "cover", "movie", "film", "book", "meme", "meaning",
})  # fmt: skip


class _Cue(NamedTuple):
    """A cue, its words from `start` to `end`. `certain`: it is no other word; `set_off`: it stands between marks."""

    start: int
    end: int
    certain: bool
    begins_after_mark: bool
    set_off: bool


def corrections(text: str) -> list[str]:
    """The text with its first correction made, in the ways that may be meant, likeliest first; empty if it has none."""
    words = _words(text)
    cues = list(_cues(words))
    if len(cues) > MAX_CORRECTIONS:
        return []
    every = (candidate for cue in cues for candidate in _candidates(words, cue))
    return list(islice(dict.fromkeys(every), MAX_WAYS))


def unmarked_corrections(text: str) -> list[str]:
    """The ways to correct a text in which only the words show it: `search for cats sorry dogs`."""
    words = _words(text)
    cues = [cue for cue in _cues(words) if not (cue.certain or cue.begins_after_mark)]
    return [way for cue in cues if (way := _name_for_name(words, cue))] if len(cues) <= MAX_CORRECTIONS else []


def _name_for_name(words: Sequence[SaidWord], cue: _Cue) -> str:
    before, after = words[: cue.start], words[cue.end :]
    by = " ".join(word.key.lower() for word in words[cue.start : cue.end])
    if by not in _UNMARKED:
        return ""
    if _NUMBERS.match(before[-2].key.lower()) and len(after) > 1 and before[-1].key.lower() == after[1].key.lower():
        return said_by([*before[:-2], *after])  # "5 miles sorry 6 miles to km"
    start = _phrase(before, len(after))
    if before[start - 1].key.lower() in _DETERMINERS and after[0].key.lower() in _DETERMINERS:
        start -= 1
    named = len(before) - start == len(after) <= _MAX_UNMARKED and after[0].key.lower() not in _LEADS
    keys = {key.split("'")[0] for key in _keys([*before[start:], *after])}
    if not named or keys & _OF_CLAUSES or _keys(after) & _OF_TITLES:
        return ""
    return said_by([*before[:start], *after])


def taken_back(text: str, clear: Callable[[str], bool], declines: Callable[[str], bool]) -> bool:
    """True if a request is followed by words that take it back. `declines`: whether a text means no or stop."""
    words = _words(text)
    for at, (before, word) in enumerate(pairwise(words), 1):
        set_off = _marked(before) and before.key.lower() not in _SAID_TWICE
        if not set_off or _QUOTING & _keys(words[:at]) or _in_quotes(words[:at]):
            continue
        if len(words) - at <= MAX_REPAIR_WORDS and word.key and declines(said_by(words[at:])):
            return clear(_said(words[:at]))
    return False


def _words(text: str) -> list[SaidWord]:
    return without_mere_hesitations(words_of(text)) if len(text) <= MAX_CHARS else []


def _marked(word: SaidWord) -> bool:
    """True if a mark follows that sets off the next word: not "Dr. No"."""
    return word.said.endswith(tuple(_MARKS)) and word.said.lower() not in _ABBREVIATED


def _keys(words: Sequence[SaidWord]) -> set[str]:
    return {word.key.lower() for word in words}


def _in_quotes(before: Sequence[SaidWord]) -> bool:
    return said_by(before).count('"') % 2 == 1


def _said(words: Sequence[SaidWord]) -> str:
    """The words without the mark behind the last one."""
    return said_by(words).rstrip(_MARKS + " ")


def _cues(words: Sequence[SaidWord]) -> Iterator[_Cue]:
    at = 2  # a verb and what is corrected come first
    while at < len(words) - 1:
        cue = _cue_at(words, at)
        if cue is not None and _means_it(words, cue):
            yield cue
        at = cue.end if cue is not None else at + 1


def _cue_at(words: Sequence[SaidWord], start: int) -> _Cue | None:
    """The longest row of cues that begins there."""
    at, count, certain = start, 0, False
    after_mark = _marked(words[start - 1])
    while at < len(words):
        rest = " ".join(word.key.lower() for word in words[at : at + 4])
        joining = _JOINING.match(rest)
        found = _CUE.match(rest)
        if found is None and joining is None:
            break
        certain |= found is not None and bool(found["certain"] or (after_mark and found["after_mark"]))
        count += found is not None
        at += len((found or joining)[0].split())  # type: ignore[index]
    if not count or at >= len(words) or (words[at - 1].said.lower() == "no." and _kind(words[at]) == "number"):
        return None  # "No. 5" is a number
    closed = _marked(words[at - 1])
    return _Cue(start, at, certain or count > 1, after_mark, after_mark and closed)


def _means_it(words: Sequence[SaidWord], cue: _Cue) -> bool:
    before = words[cue.start - 1].key.lower()
    repair = _without_subject(list(words[cue.end :]))[0].key.lower()
    if before in _SAID_TWICE or repair in _NO_REPAIR or _in_quotes(words[: cue.start]):
        return False
    if _QUOTING & _keys(words[max(0, cue.start - QUOTED_WORDS) : cue.start]):
        return False
    begins_value = before in _LEADS | _DETERMINERS and before != "and"  # "search for wait, wait, don't tell me"
    made = words[cue.start].key.lower() == "make"  # "how to make it"
    return cue.begins_after_mark or not (begins_value or made or before in _NO_CUE_AFTER)


def _candidates(words: Sequence[SaidWord], cue: _Cue) -> Iterator[str]:
    """The corrected text, in the ways it may be meant, likeliest first."""
    before, after = list(words[: cue.start]), list(words[cue.end :])
    if len(after) > 1 and after[0].key.lower() in _ONLY:
        del after[0]
    if not before[-1].key and len(before) > 1:  # a dash
        del before[-1]
    before[-1] = replace(before[-1], said=before[-1].said.rstrip(_MARKS) or before[-1].said)
    after = _without_subject(after)
    repair = after[: next((at for at, word in enumerate(after, 1) if word.said.endswith((",", ";"))), len(after))]
    certain = cue.certain or cue.set_off
    if certain and len(repair) > 1:
        yield said_by(after)  # a request of its own
    likely = cue.begins_after_mark or cue.certain
    yield from _same_kind(before, after, repair, adjoining=not likely)
    if likely:
        yield from _retraced(before, after)
    if certain and len(repair) <= MAX_REPAIR_WORDS:
        yield said_by([*before[: _phrase(before, len(repair))], *after])
        yield said_by([*before[: max(1, len(before) - len(repair))], *after])


def _without_subject(after: list[SaidWord]) -> list[SaidWord]:
    """`that it's Dr Jones` as `Dr Jones`."""
    keys = " ".join(word.key.lower() for word in after[:3])
    found = _IT_IS.match(keys)
    return after[len(found[0].split()) :] if found and len(after) > len(found[0].split()) else after


def _retraced(before: Sequence[SaidWord], after: Sequence[SaidWord]) -> Iterator[str]:
    """From the word on with which the speaker begins anew: `flights to Paris, no, to London`."""
    keys = [word.key.lower() for word in before]
    again = after[0].key.lower()
    if again in keys and not _kind(after[0]):
        for at in (len(keys) - 1 - keys[::-1].index(again), keys.index(again)):
            yield said_by([*before[:at], *after])


def _same_kind(
    before: Sequence[SaidWord], after: Sequence[SaidWord], repair: Sequence[SaidWord], *, adjoining: bool
) -> Iterator[str]:
    """A number for a number, a day for a day, an address for an address. `adjoining`: only right before the cue."""
    skipped = next((at for at, word in enumerate(repair) if _kind(word)), len(repair))
    if skipped == len(repair) or any(word.key.lower() not in _LEADS | _DETERMINERS for word in repair[:skipped]):
        return
    kind = _kind(repair[skipped])
    new = [run for run in _runs(repair, kind) if run[0] >= skipped]
    old = _runs(before, kind)[-len(new) :]
    if not old or (adjoining and old[-1][1] != len(before)):
        return
    start, end = old[0]
    if end - start > 1 and _HALVES.match(before[end - 1].key) and not any(_HALVES.match(word.key) for word in repair):
        end -= 1  # "6 pm", by "8"
    left, trailing = before[:start], before[end:]
    if skipped == 0 and len(repair) > new[-1][1] and len(before) > start + len(repair):  # "5 miles", by "3 feet"
        yield said_by([*left, *_open_ended(repair, trailing), *before[start + len(repair) :]])
    bare = len(new) == 1 and new[0] == (skipped, len(repair))  # nothing but the number
    if bare and trailing:
        number = [*repair[skipped:-1], replace(repair[-1], said=repair[-1].said.rstrip(",;"))]
        yield said_by([*left, *_open_ended(number, trailing), *trailing, *after[len(repair) :]])
    yield said_by([*left, *after[skipped:]])


def _open_ended(number: Sequence[SaidWord], trailing: Sequence[SaidWord]) -> list[SaidWord]:
    """The number without the sentence's end, if words follow it."""
    last = replace(number[-1], said=number[-1].said.rstrip(".!?…")) if trailing else number[-1]
    return [*number[:-1], last]


def _runs(words: Sequence[SaidWord], kind: str) -> list[tuple[int, int]]:
    """Where words of that kind stand in a row, start and end."""
    runs: list[tuple[int, int]] = []
    for at, word in enumerate(words):
        if _kind(word) != kind:
            continue
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


def _kind(word: SaidWord) -> str:
    bare = word.said.strip(_MARKS + "\"'").lower()
    if bare.endswith("%") and _NUMBERS.match(bare):
        return "percentage"
    if _NUMBERS.match(bare):
        return "number"
    if _DAYS.match(bare):
        return "day"
    return "address" if is_file(bare) or _ADDRESS.match(bare) else ""


def _phrase(before: Sequence[SaidWord], length: int) -> int:
    """Where the phrase begins that a correction of so many words replaces."""
    for at in range(len(before) - 1, 0, -1):
        key = before[at - 1].key.lower()
        if key in _LEADS:
            return at
        if key in _DETERMINERS:
            return max(at, len(before) - length)
    return 1
