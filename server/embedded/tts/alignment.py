"""Maps the characters of a text's normalised reading to the text: "$5 at 10:30" is read as "$5 at ten thirty"."""

from __future__ import annotations

from difflib import SequenceMatcher


def origins(text: str, reading: str) -> list[int]:
    """For each character of `reading`, the index in `text` that it stands for, in ascending order.

    Common parts map to themselves; a rewritten part is spread evenly over what it replaces.
    """
    if not text:
        return [0] * len(reading)
    last, found = len(text) - 1, []
    if text == reading:
        return list(range(len(text)))
    matcher = SequenceMatcher(None, _folded(text), _folded(reading), autojunk=False)
    for tag, start, end, reading_start, reading_end in matcher.get_opcodes():
        length = reading_end - reading_start
        for offset in range(length):
            step = offset if tag == "equal" else offset * (end - start) // length
            found.append(min(last, start + step))
    return found


def _folded(text: str) -> str:
    """The text in lower case, with unchanged length."""
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
