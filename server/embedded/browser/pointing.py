"""Finds the element that is meant, in a page or a frame of it, and refuses one with more on it than was asked for.

Safety judges the words that a click is asked with, before anybody knows the page. So a click on an element with a risky word that
these words lack would be one that nobody has approved.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from server.embedded.browser.arrival import FailedError, origin
from server.embedded.browser.reading import MAX_FRAMES, has_snares, is_frame, is_wide, plain_css, read_names
from server.embedded.risky_words import risky_words

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from playwright.async_api import Frame, Locator, Page

T = TypeVar("T")
State = Literal["visible", "attached"]
LOOK_MS = 2_000  # what the page itself does not have by then is looked for in its own frames too
FRAME_S = 2.0  # for a frame to answer; it may be in a process of its own, and busy
FILLED = frozenset({"about:blank", "about:srcdoc", ""})  # addresses of frames that are filled by the page around them
MAX_NAME_CHARS = 200  # of a name in a message
# In words of these letters, one is told from a part of another; not in Chinese or Thai, which write no spaces.
_LETTER = r"[0-9A-Za-z_\u00c0-\u0dff]"


async def find_text(page: Page, text: str, timeout_ms: float) -> Locator:
    """The visible element with this on it: by its whole name, else by whole words in it; a button or link before other text.

    Raises FailedError, Playwright's TimeoutError.
    """
    snares = await has_snares(page)
    rounds = [partial(_ways, pattern=pattern, snares=snares) for pattern in (_whole(text), _within(text))]
    awaited = reduce(lambda one, other: one.or_(other), rounds[-1](page.main_frame)).first
    return await _found(page, awaited, rounds, timeout_ms, "visible")


async def find_selected(page: Page, selector: str, timeout_ms: float, state: State = "visible") -> Locator:
    """The first element of a CSS selector. Raises FailedError, Playwright's TimeoutError."""
    wanted = plain_css(selector) if await has_snares(page) else selector

    def ways(frame: Frame) -> list[Locator]:
        first = frame.locator(wanted).first
        return [first.filter(visible=True) if state == "visible" else first]

    return await _found(page, page.locator(wanted).first, [ways], timeout_ms, state)


async def _found(
    page: Page, awaited: Locator, rounds: Sequence[Callable[[Frame], list[Locator]]], timeout_ms: float, state: State
) -> Locator:
    """By the first way of the first round that finds something, in the page before its frames. `awaited`: what any finds in the page."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_ms / 1000
    while True:
        left_ms = (until - loop.time()) * 1000
        try:
            await awaited.wait_for(state=state, timeout=max(1.0, min(left_ms, LOOK_MS)))
        except PlaywrightTimeout:
            found = await _there(page, rounds)
            if found is None and left_ms <= LOOK_MS:
                raise
        else:
            found = await _there(page, rounds) or awaited  # which has gone again, or comes again
        if found is not None:
            return found


async def _there(page: Page, rounds: Sequence[Callable[[Frame], list[Locator]]]) -> Locator | None:
    for ways in rounds:
        if (found := await _first(ways(page.main_frame))) is not None:
            return found
    frames = await _seen(page)
    for ways in rounds:
        of_frames = await asyncio.gather(*(_answer(_first(ways(frame))) for frame in frames))
        if (found := next(filter(None, of_frames), None)) is not None:
            return found
    return None


async def _first(ways: list[Locator]) -> Locator | None:
    for way in ways:
        if await way.count():
            return way.first
    return None


async def _seen(page: Page) -> list[Frame]:
    """The page's own frames that are seen, and can be searched. One of another site might take what is meant for the page."""
    frames = [frame for frame in page.frames[1 : MAX_FRAMES + 1] if _is_own(frame)]  # the first is the page
    seen = await asyncio.gather(*(_answer(_is_seen(frame)) for frame in frames))
    return [frame for frame, is_seen in zip(frames, seen, strict=True) if is_seen]


async def shows_others(page: Page) -> bool:
    """True if a frame of another site is seen on the page: what is in it is never found."""
    frames = [frame for frame in page.frames[1 : MAX_FRAMES + 1] if not _is_own(frame)]
    return any(await asyncio.gather(*(_answer(_is_seen(frame)) for frame in frames)))


def _is_own(frame: Frame) -> bool:
    """True if what is in it, and around it, comes from the page's origin, or from the page itself."""
    outer = frame.parent_frame
    return outer is None or ((frame.url in FILLED or origin(frame.url) == origin(frame.page.url)) and _is_own(outer))


async def _is_seen(frame: Frame) -> bool:
    if not await is_wide(frame) or await has_snares(frame):
        return False
    inner = frame
    while (outer := inner.parent_frame) is not None:
        element = await inner.frame_element()
        visible = await element.is_visible()
        await element.dispose()
        if not visible:
            return False
        inner = outer
    return True


async def _answer(asking: Coroutine[Any, Any, T]) -> T | None:
    """What a frame answers; None for one that is gone, or busy."""
    with suppress(PlaywrightError, TimeoutError):
        async with asyncio.timeout(FRAME_S):
            return await asking
    return None


def _ways(frame: Frame, pattern: re.Pattern[str], *, snares: bool) -> list[Locator]:
    texts = frame.get_by_text(pattern).filter(visible=True)
    if snares:  # Playwright climbs for roles
        return [texts]
    controls = frame.get_by_role("button", name=pattern).or_(frame.get_by_role("link", name=pattern))
    return [controls.filter(visible=True), texts]


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


async def refuse_unasked(element: Locator, asked: str, timeout_ms: float, meant: str = "that is") -> None:
    """Refuse an element that has a risky word on it which was not asked for. Raises FailedError, Playwright's TimeoutError."""
    names = await read_names(element, timeout_ms)
    if await is_frame(element, timeout_ms):  # its middle is clicked, whatever is there
        names += await read_names(element.content_frame.locator(":root"), timeout_ms)
    refuse_named(names, asked, f"{meant} ", ": click it by its whole name")


def refuse_named(names: Sequence[str], asked: str, before: str, behind: str) -> None:
    """The same for what is read first to last. Raises FailedError with these words around the name."""
    for name in names:
        risky = risky_words(name)
        if risky <= risky_words(asked):
            if risky:  # what is read first on it was asked for
                return
            continue
        raise FailedError(f'{before}"{name[:MAX_NAME_CHARS]}", which was not asked for{behind}')
