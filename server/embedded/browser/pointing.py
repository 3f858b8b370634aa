"""Finds the element that is meant, and refuses one with more on it than was asked for.

Safety judges the words that a click is asked with, before anybody knows the page. So a click on an element with a risky word that
these words lack would be one that nobody has approved.
"""

from __future__ import annotations

import re
from functools import reduce
from typing import TYPE_CHECKING

from server.embedded.browser.arrival import FailedError
from server.embedded.browser.reading import read_names
from server.embedded.risky_words import risky_words

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

MAX_NAME_CHARS = 200  # of a name in a message
# In words of these letters, one is told from a part of another; not in Chinese or Thai, which write no spaces.
_LETTER = r"[0-9A-Za-z_\u00c0-\u0dff]"


async def find_text(page: Page, text: str, timeout_ms: float) -> Locator:
    """The visible element with this on it: by its whole name, else by whole words in it; a button or link before other text.

    Raises Playwright's TimeoutError.
    """
    ways = [way for pattern in (_whole(text), _within(text)) for way in _ways(page, pattern)]
    await reduce(lambda one, other: one.or_(other), ways).first.wait_for(state="visible", timeout=timeout_ms)
    for way in ways:
        if await way.count():
            return way.first
    return ways[0].first  # it has gone again, or comes again


def _ways(page: Page, pattern: re.Pattern[str]) -> tuple[Locator, Locator]:
    controls = page.get_by_role("button", name=pattern).or_(page.get_by_role("link", name=pattern))
    return controls.filter(visible=True), page.get_by_text(pattern).filter(visible=True)


def _whole(text: str) -> re.Pattern[str]:
    return re.compile(rf"^\s*{_literal(text)}\s*$", re.IGNORECASE)


def _within(text: str) -> re.Pattern[str]:
    words = text.strip()
    before = rf"(?<!{_LETTER})" if re.match(_LETTER, words) else ""
    behind = rf"(?!{_LETTER})" if re.match(_LETTER, words[-1:]) else ""
    return re.compile(before + _literal(text) + behind, re.IGNORECASE)


def _literal(text: str) -> str:
    """A pattern for Python and JavaScript, in which only letters and digits stand for themselves."""
    words = [
        "".join(char if char.isascii() and char.isalnum() else _escaped(char) for char in word) for word in text.split()
    ]
    return r"\s+".join(words) or "(?!)"  # nothing is never there


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


async def refuse_unasked(element: Locator, asked: str, timeout_ms: float) -> None:
    """Refuse an element that has a risky word on it which was not asked for. Raises FailedError, Playwright's TimeoutError."""
    for name in await read_names(element, timeout_ms):
        risky = risky_words(name)
        if risky <= risky_words(asked):
            if risky:  # what is read first on it was asked for
                return
            continue
        raise FailedError(f'that is "{name[:MAX_NAME_CHARS]}", which was not asked for: click it by its whole name')
