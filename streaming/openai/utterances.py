"""Which of the user's words a response answers, and what becomes of words that got no answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streaming.agent.overheard import only_hums

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streaming.openai.conversation import Entry
    from streaming.session import Session

_GOES_ON = re.compile(r"(?:and|then|also|plus)\b", re.IGNORECASE)
_MARKS = " .,;:!?…"


def newest(words: Sequence[Entry]) -> list[Entry]:
    """The last of these unanswered items, with those before it that it goes on.

    Turn detection ends an utterance at a pause: "Create a folder called lion," may be followed by "and create a folder called tiger."
    """
    first = len(words) - 1
    while first > 0 and words[first].spoke and words[first - 1].spoke and _GOES_ON.match(words[first].text):
        first -= 1
    return list(words[max(first, 0) :])


def text_of(entries: Sequence[Entry]) -> str:
    """Their words as one utterance."""
    text, *others = (entry.text for entry in entries)
    for other in others:
        text = f"{text.rstrip(_MARKS)}, {other[:1].lower()}{other[1:]}"
    return text


def behind_replies(given: Sequence[Entry]) -> list[Entry]:
    """The user's words in a response's own input that have no reply there."""
    replied = max((number for number, entry in enumerate(given) if entry.role == "assistant"), default=-1)
    return [entry for entry in given[replied + 1 :] if entry.role == "user"]


def note_others(said: Iterable[Entry], last: Sequence[Entry], lanes: Session) -> None:
    """Words were said or typed besides the last ones, which get a response, or these are not new: a yes may belong to something else.

    Others count once.
    """
    new = [entry for entry in said if not (entry in last or entry.passed_over or only_hums(entry.text))]
    if new or not last or any(entry.answered or entry.passed_over for entry in last):
        lanes.other_words()
    for entry in new:
        entry.passed_over = True


def leave(entries: Iterable[Entry], lanes: Session, reason: str) -> None:
    """Their turn was cut before anything was said or done about them. Words that interrupt it may go on with them."""
    for entry in entries:
        entry.answered = not (entry.spoke and reason == "turn_detected")
        if not only_hums(entry.text):
            lanes.other_words()
