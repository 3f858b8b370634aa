"""How an element is clicked and written to, and what kept that from being done.

Playwright waits within one time for an element to be usable, and for what the page's handlers do then. When that time is over, its log
tells what it still waited for. Whether the element was clicked, only the page tells: a handler that runs as the mouse comes may have
put something else there.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from server.embedded.browser.arrival import FailedError
from server.embedded.browser.reading import is_filled, is_free, is_secret, is_snared, read_value, tell_presses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Locator, Page

    from server.embedded.browser.signals import Signals
    from server.embedded.browser.tabs import Tabs

ACT_TIMEOUT_MS = 1_500  # for an element that has appeared to become clickable or writable
PRESS_S = 1.0  # for the page to tell that the mouse was pressed, once it answers
MAX_HELD_CHARS = 100  # of what a field holds, in a message
HIDDEN = "the page does not let that element be used"
NOT_CLICKED = "the page did something else before the click, and it is not known whether that was clicked"
GONE = "the element is gone: the page has changed since it was found"
MOVES, COVERED = "does not stand still", "is covered by something else"
NOT_THERE = "is not there"
# With "2 \u00d7", the lines up to the next one were written twice.
_LINE = re.compile(r"^[ \t]*(?:-|\d+ \u00d7) ?(.*)$", re.MULTILINE)
_ATTEMPT = re.compile(r"(?:attempting|retrying) \S+ action")
_MATTERS = {
    "element is not visible": "is hidden",
    "element is not enabled": "is disabled",
    "element is not editable": "is read-only",
    "element is not stable": MOVES,
    "element is inert": "is blocked by something that is open on the page",
    "element is outside of the viewport": "is outside of what can be seen",
}


class GoneError(FailedError):
    """The element has gone before anything was done with it."""


@asynccontextmanager
async def held(element: Locator) -> AsyncIterator[None]:
    """Use what `hold` gave. Raises GoneError: the page may have put another one there, which nobody has looked at."""
    try:
        yield
    except PlaywrightTimeout:
        if await element.count():
            raise
        raise GoneError(GONE) from None


async def click(tabs: Tabs, page: Page, element: Locator, signals: Signals) -> None:
    """Click once. Raises Playwright's TimeoutError if there was no click, FailedError if that is not known.

    Nobody tells us of a press in a frame, or that the page keeps to itself: then Playwright's word counts, if nothing is over the element.
    """
    await signals.watch_presses()
    snared = await is_snared(element, ACT_TIMEOUT_MS)
    if snared and not await is_free(element, ACT_TIMEOUT_MS):
        raise FailedError(HIDDEN)
    await tell_presses(element, ACT_TIMEOUT_MS, snared=snared)
    late = False
    try:
        await element.click(timeout=ACT_TIMEOUT_MS, force=snared)  # by force, Playwright does not climb
    except PlaywrightTimeout as error:
        if not is_tried(str(error)):
            raise
        late = True
        await is_filled(page)  # the handlers may still run, and the mouse be pressed behind them
    if await tabs.until(lambda: signals.pressed, signals, PRESS_S):
        return
    if late or snared or not await _is_bare(element):
        raise FailedError(NOT_CLICKED)


async def _is_bare(element: Locator) -> bool:
    """True if nothing covers the element, or it is gone. A frame that came over it took the press, which Playwright does not see."""
    with suppress(PlaywrightError):
        return await is_free(element, ACT_TIMEOUT_MS)
    return True


async def write(page: Page, element: Locator, text: str, signals: Signals) -> None:
    """Replace what is in a field. Raises Playwright's TimeoutError, and FailedError if the field has not taken the text."""
    snared = await is_snared(element, ACT_TIMEOUT_MS)
    if snared and not await is_free(element, ACT_TIMEOUT_MS):
        raise FailedError(HIDDEN)
    try:
        await element.fill(text, timeout=ACT_TIMEOUT_MS, force=snared)
    except PlaywrightTimeout:  # perhaps only the page's handlers took longer
        if not is_same(await read_value(element, ACT_TIMEOUT_MS), text):
            raise
    if not (signals.leaving or page.is_closed()):
        await _check_written(element, text)


async def _check_written(element: Locator, text: str) -> None:
    """Raises FailedError if the field has not taken the text; one that is gone from the page is not asked."""
    with suppress(PlaywrightError):
        value = await read_value(element, ACT_TIMEOUT_MS)
        if is_same(value, text):
            return
        if await is_secret(element, ACT_TIMEOUT_MS):
            raise FailedError("the field holds something else now")
        words = " ".join(value.split())[:MAX_HELD_CHARS]
        raise FailedError(
            f'the field did not take that, and holds "{words}"' if words else "the field did not take that"
        )


def is_same(held: str, text: str) -> bool:
    """True if a field holds the text, which it may write in groups or in capitals."""
    return "".join(held.split()).casefold() == "".join(text.split()).casefold()


def is_tried(message: str) -> bool:
    """True if Playwright's log of a click says that its last attempt came as far as the mouse."""
    for line in reversed(_lines(message)):
        if line == "performing click action":
            return True
        if _ATTEMPT.fullmatch(line) or _said(line):
            return False
    return False


def matter(message: str) -> str:
    """What was the matter with an element, by Playwright's log of what was to be done with it."""
    lines = _lines(message)
    if said := next(filter(None, map(_said, reversed(lines))), ""):
        # one that moves was not where it had been, and something else was
        return MOVES if said == COVERED and "element is not stable" in lines else said
    if any(_ATTEMPT.fullmatch(line) or line.startswith("locator resolved to ") for line in lines):
        return "is there, but the page took too long to let it be used"
    return NOT_THERE


def _said(line: str) -> str:
    if line.endswith(" intercepts pointer events"):
        return COVERED
    return "is hidden" if line.startswith("locator resolved to hidden ") else _MATTERS.get(line, "")


def _lines(message: str) -> list[str]:
    return [line.strip() for line in _LINE.findall(message)]
