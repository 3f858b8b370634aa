"""Splits a stream of text into sentences as soon as they are complete.

Nothing is read twice, however short the pieces are that the text comes in: an answer of initials or of dots costs no more than one of words.
"""

from __future__ import annotations

import re

# where a sentence may end: in white space, or behind a full stop that needs none
_PAUSE = re.compile(r"""\s+|[。！？]+["'”’」』）]*""")
_MORE = "。！？\"'”’」』）"  # belong to such a full stop, also if they come behind it
_MARKS, _CLOSERS = ".!?…", "\"'”’)]"
_WHOLE = re.compile(r"""[.!?…。！？]["'”’」』)\]]*\s*$""")
# a full stop that does not end a sentence
_SHORT = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|approx|No|[A-Z])\.$")
_NUMBER = re.compile(r"\d{1,3}\.")
# So much of a word is looked at where it ends: longer than all of the above with some quotes behind them.
_WORD_CHARS = 16
_THINKS, _THOUGHT = "<think>", "</think>"


class SentenceCutter:
    """Splits text as it arrives. Joined, the sentences are the text, without the reasoning that some models put before it."""

    def __init__(self) -> None:
        self._thoughts = _Thoughts()
        self._open: list[str] = []  # the incomplete sentence
        self._word = ""  # the end of its last word, if no white space has come yet
        self._is_first_word = True  # of the sentence
        self._is_stopped = False  # by a full stop that needs no white space, to which more may belong

    def feed(self, text: str) -> str:
        """The sentences completed by this text, with white space; empty if there are none."""
        text = self._thoughts.left_out_of(text)
        if not text:
            return ""
        end = start = len(text) - len(text.lstrip(_MORE)) if self._is_stopped else 0
        self._is_stopped = start == len(text)
        for pause in _PAUSE.finditer(text, start):
            self._read(text, start, pause.start())
            start = pause.end()
            if ends := self._ends(pause):
                end = ends
            self._is_first_word = ends > 0 or (self._is_first_word and not self._word)
            self._word = ""
            self._is_stopped = pause.end() == len(text) and not pause[0][0].isspace()
        self._read(text, start, len(text))
        self._open.append(text[:end] if end else text)
        if not end:
            return ""
        whole, self._open = "".join(self._open), [text[end:]]
        return _sound(whole)

    def _read(self, text: str, start: int, end: int) -> None:
        """Take characters that belong to one word."""
        self._word = (self._word + text[max(start, end - _WORD_CHARS) : end])[-_WORD_CHARS:]

    def _ends(self, pause: re.Match[str]) -> int:
        """Where the last sentence ends that ends in this pause; 0 if none does."""
        word = self._word.rstrip(_CLOSERS)
        if not pause[0][0].isspace():
            return pause.end()
        if not word.endswith(tuple(_MARKS)) or (word == self._word and self._is_short(word)):
            return pause.start() + pause[0].rfind("\n") + 1 if "\n" in pause[0] else 0
        return pause.end()

    def _is_short(self, word: str) -> bool:
        return _SHORT.search(word) is not None or (self._is_first_word and _NUMBER.fullmatch(word) is not None)

    def rest(self) -> str:
        """The incomplete sentence at the end of the text."""
        rest, self._open = "".join([*self._open, self._thoughts.undecided()]), []
        return _sound(rest)


class _Thoughts:
    """Leaves out what a model thinks. Some send that first, inside a tag."""

    def __init__(self) -> None:
        self._stage = self._begins
        self._held: list[str] = []  # of the beginning, until it is known what begins
        self._tail = ""  # of what is looked for

    def left_out_of(self, text: str) -> str:
        """What of the text is known to be the answer's."""
        return self._stage(text)

    def undecided(self) -> str:
        """What may still have become the tag."""
        return "".join(self._held)

    def _begins(self, text: str) -> str:
        self._held.append(text)
        self._tail = begun = (self._tail + text).lstrip()
        if len(begun) < len(_THINKS) and _THINKS.startswith(begun):
            return ""
        held, self._held = "".join(self._held), []
        self._tail, self._stage = "", self._thinks if begun.startswith(_THINKS) else self._answers
        return self._stage(begun if begun.startswith(_THINKS) else held)

    def _thinks(self, text: str) -> str:
        before, closed, answer = (self._tail + text).partition(_THOUGHT)
        self._tail = before[1 - len(_THOUGHT) :]
        if not closed:
            return ""
        self._stage = self._has_thought
        return self._stage(answer)

    def _has_thought(self, text: str) -> str:
        answer = text.lstrip()
        if answer:
            self._stage = self._answers
        return answer

    def _answers(self, text: str) -> str:
        return text


def is_whole(text: str) -> bool:
    """True if the text ends with a sentence."""
    return _WHOLE.search(text) is not None


def _sound(text: str) -> str:
    """Valid Unicode: an emoji that came as halves in two deltas is whole, and a half alone is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
