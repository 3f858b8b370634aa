"""Words that come in pieces, cut into sentences as soon as they are whole."""

from __future__ import annotations

import re

_END = re.compile(r"""[.!?…]+["'”’)\]]*\s+|[。！？]+["'”’」』）]*|\n+""")
_SHORT = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|approx|No)|^\s*\d{1,3}|\b[A-Z])\.\s+$"
)  # a full stop that ends nothing
_THINKS, _THOUGHT = "<think>", "</think>"


class SentenceCutter:
    """Feed text as it comes; joined, the sentences are the text, without what a model thinks aloud at its beginning."""

    def __init__(self) -> None:
        self._open = ""
        self._thinking: bool | None = None  # None: not known yet

    def feed(self, text: str) -> str:
        """The sentences that are complete now, white space and all; empty when there is none."""
        self._open += text
        if self._thinking is not False and not self._past_thoughts():
            return ""
        end = 0
        for found in _END.finditer(self._open):
            if not _SHORT.search(self._open[: found.end()]):
                end = found.end()
        whole, self._open = self._open[:end], self._open[end:]
        return whole

    def rest(self) -> str:
        """What stands open when the text has ended."""
        rest, self._open = "" if self._thinking else self._open, ""
        return rest

    def _past_thoughts(self) -> bool:
        """Is the answer itself reached? Some models send their reasoning before it, in a tag."""
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
