"""How much speech one utterance may come to: about what as many letters would.

A digit is a word, a sign may be four, and some letters are spelled: 5,000 nines are twenty minutes.
"""

from __future__ import annotations

from server.embedded.service import InvalidRequestError
from server.embedded.tts.pieces import cost, surplus

MAX_TEXT_CHARS = 100_000  # two hours of speech; more is a mistake
FREE_SURPLUS = 2_000  # in letters: a number of 500 digits is read out, also if there is nothing else
SURPLUS_PER_LETTER = 2  # half of a longer text may be digits, as in a list of telephone numbers
FREE_MS, MS_PER_LETTER = 60_000, 200  # sentences of fifteen languages took 40 to 165 ms a letter, Japanese most


class Allowance:
    """Counts the text and the sound of one utterance. Raises InvalidRequestError when there is too much of either."""

    def __init__(self) -> None:
        self._chars = self._cost = self._surplus = 0
        self._ms = 0.0

    def take(self, text: str) -> None:
        """Count text before any of it is said."""
        self._chars += len(text)
        if self._chars > MAX_TEXT_CHARS:
            raise InvalidRequestError(f"the text of one call may have {MAX_TEXT_CHARS} characters")
        self._cost += cost(text)
        self._surplus += surplus(text)
        if self._surplus > FREE_SURPLUS + self._chars * SURPLUS_PER_LETTER:
            raise InvalidRequestError("the text has too many digits and signs to be read out")

    def make(self, ms: float) -> None:
        """Count sound, in milliseconds at normal speed."""
        self._ms += ms
        if self._ms > FREE_MS + self._cost * MS_PER_LETTER:
            raise InvalidRequestError("the text takes too long to be read out: it seems to be no language")
