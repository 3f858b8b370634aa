"""Splits a stream of text into sentences as soon as they are complete."""

from __future__ import annotations

import re

_END = re.compile(r"""[.!?…]+["'”’)\]]*\s+|[。！？]+["'”’」』）]*|\n+""")
_WHOLE = re.compile(r"""[.!?…。！？]["'”’」』)\]]*\s*$""")
# a full stop that does not end a sentence
_SHORT = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|approx|No)|^\s*\d{1,3}|\b[A-Z])\.\s+$")
_THINKS, _THOUGHT = "<think>", "</think>"


class SentenceCutter:
    """Splits text as it arrives. Joined, the sentences are the text, without the reasoning that some models put before it."""

    def __init__(self) -> None:
        self._open = ""
        self._thinking: bool | None = None  # None: not known yet

    def feed(self, text: str) -> str:
        """The sentences completed by this text, with white space; empty if there are none."""
        self._open += text
        if self._thinking is not False and not self._past_thoughts():
            return ""
        end = 0
        for found in _END.finditer(self._open):
            if not _SHORT.search(self._open[: found.end()]):
                end = found.end()
        whole, self._open = self._open[:end], self._open[end:]
        return _sound(whole)

    def rest(self) -> str:
        """The incomplete sentence at the end of the text."""
        rest, self._open = "" if self._thinking else self._open, ""
        return _sound(rest)

    def _past_thoughts(self) -> bool:
        """True once the answer itself has begun. Some models send their reasoning first, inside a tag."""
        begun = self._open.lstrip()
        if self._thinking is None:
            if len(begun) < len(_THINKS) and _THINKS.startswith(begun):
                return False
            self._thinking = begun.startswith(_THINKS)
        if self._thinking:
            _, closed, answer = begun.partition(_THOUGHT)
            if not closed or not answer.strip():
                return False
            self._open, self._thinking = answer.lstrip(), False
        return True


def is_whole(text: str) -> bool:
    """True if the text ends with a sentence."""
    return _WHOLE.search(text) is not None


def _sound(text: str) -> str:
    """Valid Unicode: an emoji that came as halves in two deltas is whole, and a half alone is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
