"""How long somebody must be silent before his turn is over, by what he said so far.

"Search for" goes on; "What time is it?" does not. Whisper's punctuation tells most of it, the last word the rest.
"""

from __future__ import annotations

import re

COMPLETE_MS = 288  # a sentence with its full stop: as long as the decode that found it takes anyway
UNSURE_MS = 576  # no full stop, or nothing recognised
DICTATING_MS = 960  # digits: more may come
OPEN_MS = 1408  # the sentence cannot end here

_WORD = re.compile(r"[\w']+")
# Words that English sentences hardly end with when they are asked or told to a machine.
_OPEN_WORDS = """
a an the my your his her our their this that these those some any every each another
and or but because if when while whether although unless until since than
for of to from with without by at into onto about between under over during against towards through like as
is are was were am be been has have had do does did can could will would shall should may might must
search find open read list show tell remember create write send call named called please let's
very really um uh erm hmm so i i'm it's that's what's who's where's there's
"""
# They also end questions and answers ("what is it about?", "who am I?", "yes, I do."): believed with a mark behind.
_MAY_END_WORDS = """
for of to from with about like at by as through over under is are was were am do does did can could will would
have has i read please so list this that these those show search call find
"""
_COMMANDS = "search look find open remember go read show tell create list set"
_NUMBERS = "zero one two three four five six seven eight nine oh double"
_OPEN, _MAY_END = frozenset(_OPEN_WORDS.split()), frozenset(_MAY_END_WORDS.split())
_COMMAND_WORDS, _NUMBER_WORDS = (
    frozenset(_COMMANDS.split()),
    frozenset(_NUMBERS.split()),
)


def silence_needed_ms(text: str) -> int:
    """For the text of a whole turn so far."""
    words = _WORD.findall(text.lower())
    if not words:
        return UNSURE_MS
    last, mark = words[-1], text.rstrip()[-1:]
    if text.rstrip().endswith(("...", "…", ",", "-", ":")):
        return OPEN_MS
    if last in _OPEN:
        asked = mark == "?" or (mark in ".!" and len(words) > 1 and last in _MAY_END and not _command(words))
        return UNSURE_MS if asked and last in _MAY_END else OPEN_MS
    if last[-1].isdigit() or last in _NUMBER_WORDS:
        return DICTATING_MS
    return COMPLETE_MS if mark in ".?!" and mark else UNSURE_MS


def _command(words: list[str]) -> bool:
    """Whether something is still to be named: "search for", "look up the weather in"."""
    return words[0] in _COMMAND_WORDS
