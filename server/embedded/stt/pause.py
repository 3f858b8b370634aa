"""How long a speaker must be silent for the turn to end, depending on what was said so far.

"Search for" will continue; "What time is it?" will not. Whisper's punctuation tells most of it, the last word the rest.
"""

from __future__ import annotations

import re

from server.embedded.stt.dictation import DIGIT_WORDS

COMPLETE = 0.5  # probability from which the turn model takes a turn for complete
COMPLETE_MS = 288  # a sentence with full stop; the decode that finds it takes this long anyway
UNSURE_MS = 576  # no full stop, or nothing recognised
DICTATING_MS = 960  # digits: more may follow
OPEN_MS = 1408  # the sentence cannot end here

_WORD = re.compile(r"[\w']+")
# Words that rarely end an English sentence to a machine.
_OPEN_WORDS = """
a an the my your his her our their this that these those some any every each another
and or but because if when while whether although unless until since than
for of to from with without by at into onto about between under over during against towards through like as
is are was were am be been has have had do does did can could will would shall should may might must
search find open read list show tell remember create write send call named called please let's
very really um uh erm hmm so i i'm it's that's what's who's where's there's
"""
# These can also end questions and answers ("what is it about?", "who am I?", "yes, I do."), which is assumed if a mark follows.
_MAY_END_WORDS = """
for of to from with about like at by as through over under is are was were am do does did can could will would
have has i read please so list this that these those show search call find really
"""
_COMMANDS = "search look find open remember go read show tell create list set"
_OPEN, _MAY_END = frozenset(_OPEN_WORDS.split()), frozenset(_MAY_END_WORDS.split())
_COMMAND_WORDS = frozenset(_COMMANDS.split())


def silence_needed_ms(text: str, complete: float | None = None) -> int:
    """The silence that ends a turn with this text so far, in milliseconds.

    `complete`: the turn model's probability that it is complete, if there is such a model. It decides where the words leave it open.
    """
    needed_ms = _by_words(text)
    if complete is None or needed_ms == OPEN_MS or not text:
        return needed_ms
    return COMPLETE_MS if complete >= COMPLETE else OPEN_MS


def _by_words(text: str) -> int:
    words = _WORD.findall(text.lower())
    if not words:
        return UNSURE_MS
    last, mark = words[-1], text.rstrip()[-1:]
    if text.rstrip().endswith(("...", "…", ",", "-", ":")):
        return OPEN_MS
    if last in _OPEN:
        asked = mark == "?" or (mark in ".!" and len(words) > 1 and last in _MAY_END and not _command(words))
        return UNSURE_MS if asked and last in _MAY_END else OPEN_MS
    if last[-1].isdigit() or last in DIGIT_WORDS:
        return DICTATING_MS
    return COMPLETE_MS if mark in ".?!" and mark else UNSURE_MS


def _command(words: list[str]) -> bool:
    """True if the object of a command is still missing: "search for", "look up the weather in"."""
    return words[0] in _COMMAND_WORDS
