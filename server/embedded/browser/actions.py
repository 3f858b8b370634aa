"""The actions on a page: their parameters, and how they are done."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout
from pydantic import Field, field_validator, model_validator

from server.embedded.addresses import complete_url, read_url
from server.embedded.browser.arrival import (
    ERROR_PAGE,
    MANY_MOVES,
    FailedError,
    arrived,
    attended,
    come,
    is_open,
    moves,
    read_still,
    refuse_unshown,
    refuse_untold,
)
from server.embedded.browser.departure import StaysError, leaving
from server.embedded.browser.handling import GoneError, click, held, write
from server.embedded.browser.keys import press
from server.embedded.browser.pointing import find_selected, find_text, refuse_unasked
from server.embedded.browser.reading import (
    MAX_URL_CHARS,
    frame_of,
    has_root,
    hold,
    is_prevented,
    leads_to_download,
    read_links,
    read_text,
    read_where,
    read_whole_text,
    scroll,
)
from server.embedded.browser.tabs import VIEWPORT_HEIGHT, VIEWPORT_WIDTH
from server.embedded.executor import Action, Parameters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self

    from playwright.async_api import Frame, Locator, Page, Response

    from server.embedded.browser.signals import Signals
    from server.embedded.browser.tabs import Tabs
    from server.embedded.executor import Task

MAX_SELECTOR_CHARS = 1_000
MAX_TYPED_CHARS = 10_000
MAX_TEXT_CHARS = 50_000
MAX_PNG_BYTES = 2 * 1024 * 1024  # larger images are sent as JPEG, because they travel as base64 in one message
JPEG_QUALITY = 70
PICTURE_MS = 4_000  # after 3 s without its font, Chromium writes a text in another one
SHOWN_S = 10.0  # for Chromium itself; the machine may be busy
ELEMENT_TIMEOUT_MS = 5_000  # for an element to appear; after that it counts as missing
NAVIGATION_MS = 45_000  # for what may lead to another page
MAX_WAIT_MS = 60_000
WINDOW_S = 20.0  # for a window that is opened to show a page, which its server sends
DOWNLOAD_S = 3.0  # for a download named by a link to be refused
SCRIPT_S = 0.1  # for a script to open a page or a window, after what it has been asked for
# One key with its modifiers. Of `Tab+Enter`, Tab would lead Enter to what nobody has judged.
KEY_PATTERN = r"^((Alt|Control|Meta|Shift)(Left|Right)?\+|ControlOrMeta\+)*[A-Za-z0-9]+$"
SCROLL_PX = VIEWPORT_HEIGHT * 3 // 4
NO_WINDOW = "the window that was opened shows no page"
NOT_SHOWN = "the page shows nothing yet: it waits for something that it loads"
DOWNLOAD = "the address is a download, which is not taken"
ERROR_PAGE_S = 1.0  # for it to appear


class NavigateParameters(Parameters):
    """A web page to open."""

    url: str = Field(
        min_length=1, max_length=MAX_URL_CHARS, description="http or https; https where no scheme is given"
    )

    @field_validator("url")
    @classmethod
    def _of_the_web(cls, value: str) -> str:
        address = read_url(value)
        if value.strip() != "about:blank" and (address.scheme not in {"http", "https"} or not address.host):
            raise ValueError("only pages of the web are opened, by an address that begins with http:// or https://")
        return complete_url(value)


class ElementParameters(Parameters):
    """An element, by CSS selector or by its visible text."""

    selector: str | None = Field(
        default=None, min_length=1, max_length=MAX_SELECTOR_CHARS, description="a CSS selector"
    )
    text: str | None = Field(
        default=None, min_length=1, max_length=MAX_SELECTOR_CHARS, description="what is written on it"
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.selector is None) == (self.text is None):
            raise ValueError("give either selector or text")
        return self


class TypeParameters(Parameters):
    """Text for a field; replaces the old text."""

    selector: str = Field(min_length=1, max_length=MAX_SELECTOR_CHARS, description="a CSS selector")
    text: str = Field(max_length=MAX_TYPED_CHARS)


class TextParameters(Parameters):
    """The page, or one element of it."""

    selector: str | None = Field(
        default=None, min_length=1, max_length=MAX_SELECTOR_CHARS, description="a CSS selector"
    )


class WaitParameters(Parameters):
    """An element to wait for, or a number of milliseconds."""

    selector: str | None = Field(
        default=None, min_length=1, max_length=MAX_SELECTOR_CHARS, description="a CSS selector"
    )
    ms: int | None = Field(default=None, ge=0, le=MAX_WAIT_MS)

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.selector is None) == (self.ms is None):
            raise ValueError("give either selector or ms")
        return self


class PressParameters(Parameters):
    """A key to press."""

    key: str = Field(min_length=1, max_length=60, pattern=KEY_PATTERN, description="Enter, Tab, Control+A …")


class ScrollParameters(Parameters):
    """Scroll up or down by most of a screen, or to an end."""

    to: Literal["up", "down", "top", "bottom"] = "down"


class NoParameters(Parameters):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class Work:
    """The page and task of one action."""

    tabs: Tabs
    page: Page
    task: Task


async def _opened(page: Page, url: str) -> Response | None:
    """The server's answer. Also waits for Chromium's error page, which comes later and would interrupt the next navigation."""
    failure_shown = asyncio.Event()

    def look(frame: Frame) -> None:
        if frame == page.main_frame and frame.url.startswith(ERROR_PAGE):
            failure_shown.set()

    page.on("framenavigated", look)
    try:
        return await page.goto(url, wait_until="commit")
    except PlaywrightError as error:
        if "net::ERR_" in str(error) and "net::ERR_ABORTED" not in str(error):
            with suppress(TimeoutError):
                async with asyncio.timeout(ERROR_PAGE_S):
                    await failure_shown.wait()
        raise
    finally:
        page.remove_listener("framenavigated", look)


async def _navigate(work: Work, given: NavigateParameters) -> dict[str, Any]:
    try:
        async with leaving(work.tabs, work.page):
            page, answer = work.page, await _opened(work.page, given.url)
    except StaysError:
        page = await work.tabs.fresh()
        answer = await _opened(page, given.url)
    await work.tabs.forget_others()
    status = answer.status if answer else 0
    await work.task.tell(f"the server answered {status}" if status else "opened", percent=60)
    return {**await attended(work.tabs, arrived(work.tabs, page, answer)), "status": status}


def _refuse_another_page(work: Work, frame: Frame | None = None) -> None:
    """Refuse a page, or a frame of it, that has gone to where it was not meant to be used. Raises FailedError."""
    refuse_untold(work.tabs, work.page)
    refuse_unshown(work.tabs, work.task.asked_at, frame)


async def _found(work: Work, selector: str | None, text: str = "") -> Locator:
    """Wait for the element here rather than in the click, so that a cancelled task never clicks. What is checked is what is used.

    Raises FailedError, Playwright's TimeoutError.
    """
    if selector is None:
        found = await find_text(work.page, text, ELEMENT_TIMEOUT_MS)
    else:
        found = await find_selected(work.page, selector, ELEMENT_TIMEOUT_MS)
    element = await hold(found, ELEMENT_TIMEOUT_MS)
    # it may have moved meanwhile; once it moves from now on, the element is gone
    _refuse_another_page(work, frame_of(element))
    return element


async def _click(work: Work, given: ElementParameters) -> dict[str, Any]:
    async def use() -> tuple[Signals, bool]:
        element = await _found(work, given.selector, given.text or "")
        async with held(element):
            await refuse_unasked(element, given.selector or given.text or "", ELEMENT_TIMEOUT_MS)
            await work.task.tell("the element is there", percent=60)
            download = await leads_to_download(element, ELEMENT_TIMEOUT_MS)
            signals = await work.tabs.watch(work.page)
            await click(work.tabs, work.page, element, signals)
            if download and await element.count():  # many pages make their own of it, as a question for the format
                download = not await is_prevented(element, ELEMENT_TIMEOUT_MS)
        return signals, download

    with moves(work.page) as moved:
        try:
            signals, download = await use()
        except GoneError:  # many pages make their elements anew as the mouse comes
            if moved:
                raise
            signals, download = await use()
    return await _settled(work, signals, download=download)


async def _settled(work: Work, signals: Signals, *, download: bool = False) -> dict[str, Any]:
    """The page after an action, once there is all that the action has begun. Raises FailedError, PlaywrightError.

    `download`: one will begin, which is told only when it does.
    """
    tabs = work.tabs

    def shown() -> bool:
        return tabs.opened or work.page.is_closed()

    def begun() -> bool:
        return shown() or tabs.refused or signals.leaving or signals.opening

    moved = begun() or signals.replaced
    for _ in range(MANY_MOVES):
        await tabs.until(lambda: shown() or tabs.refused or not signals.leaving, signals)
        # of a window for a download, the download is told first
        if signals.opening and not await tabs.until(shown, signals, WINDOW_S):
            raise FailedError(NO_WINDOW)
        # a page of another site opens, though its link names it a download
        more_s = DOWNLOAD_S if download and not signals.replaced else SCRIPT_S
        if shown() or tabs.refused or not await tabs.until(begun, signals, more_s):
            break
        moved = True
    page = await tabs.page()
    if tabs.refused or (download and not moved):  # of one whose server is slow, nothing is told
        if page != work.page and not await is_open(page):  # the window that the download was for
            await tabs.previous()
        raise FailedError(DOWNLOAD)
    return await arrived(tabs, page)


async def _type(work: Work, given: TypeParameters) -> dict[str, Any]:
    element = await _found(work, given.selector)
    signals = await work.tabs.watch(work.page)
    async with held(element):
        await write(work.page, element, given.text, signals)
    return await _settled(work, signals)


async def _press(work: Work, given: PressParameters) -> dict[str, Any]:
    signals = await work.tabs.watch(work.page)
    _refuse_another_page(work)
    await press(work.page, given.key, ELEMENT_TIMEOUT_MS)
    return await _settled(work, signals)


async def _extract(work: Work, given: TextParameters) -> dict[str, Any]:
    async def read() -> tuple[str, bool]:
        if given.selector is None:
            return await read_whole_text(work.page, MAX_TEXT_CHARS, ELEMENT_TIMEOUT_MS)
        element = await find_selected(work.page, given.selector, ELEMENT_TIMEOUT_MS, "attached")
        return await read_text(element, MAX_TEXT_CHARS, ELEMENT_TIMEOUT_MS)

    text, truncated = await read_still(work.tabs, work.page, read)
    return {**await read_where(work.page), "text": text, "truncated": truncated}


async def _links(work: Work, _given: NoParameters) -> dict[str, Any]:
    links = await read_still(work.tabs, work.page, lambda: read_links(work.page))
    return {**await read_where(work.page), "links": links}


async def _screenshot(work: Work, _given: NoParameters) -> dict[str, Any]:
    if not await has_root(work.page):  # Chromium would wait for something to show
        raise FailedError("the page is empty")
    image, media_type = await _pictured(work), "image/png"
    if len(image) > MAX_PNG_BYTES:
        image, media_type = await work.tabs.picture(work.page, "jpeg", JPEG_QUALITY), "image/jpeg"
    return {
        "image_base64": base64.b64encode(image).decode("ascii"),
        "media_type": media_type,
        "width": VIEWPORT_WIDTH,
        "height": VIEWPORT_HEIGHT,
        **await read_where(work.page),
    }


async def _pictured(work: Work) -> bytes:
    """With still animations, unless Playwright waits for what may never come: fonts, and frames that are busy.

    Raises FailedError for a page that Chromium does not show, because it waits for a style.
    """
    try:
        return await work.page.screenshot(type="png", animations="disabled", scale="css", timeout=PICTURE_MS)
    except PlaywrightTimeout:
        pass
    try:
        async with asyncio.timeout(SHOWN_S):
            return await work.tabs.picture(work.page, "png")
    except TimeoutError:
        raise FailedError(NOT_SHOWN) from None


async def _back(work: Work, _given: NoParameters) -> dict[str, Any]:
    try:
        if await work.tabs.has_history(work.page):
            async with leaving(work.tabs, work.page):
                answer = await work.page.go_back(wait_until="commit")
            return await attended(work.tabs, arrived(work.tabs, work.page, answer))
    except (StaysError, TimeoutError):
        if work.tabs.current is work.page and await work.tabs.previous() is None:
            await work.tabs.fresh()
        raise FailedError("the page did not let itself be left, and was closed") from None
    opener = await work.tabs.previous()
    if opener is None:
        raise FailedError("there is no page before this one")
    return await attended(work.tabs, read_where(opener))


async def _wait(work: Work, given: WaitParameters) -> dict[str, Any]:
    if given.selector is not None:
        await find_selected(work.page, given.selector, ELEMENT_TIMEOUT_MS)
    else:
        await work.page.wait_for_timeout(given.ms or 0)
    await come(work.tabs, work.page)
    return await read_where(work.page)


async def _scroll(work: Work, given: ScrollParameters) -> dict[str, Any]:
    steps: dict[str, str | int] = {"up": -SCROLL_PX, "down": SCROLL_PX}
    y = await scroll(work.page, steps.get(given.to, given.to))
    return {**await read_where(work.page), "y": y}


ACTIONS = {
    "navigate": Action("Open a page", NavigateParameters, NAVIGATION_MS),
    "click": Action("Click an element", ElementParameters, NAVIGATION_MS),
    "type": Action("Type into a field", TypeParameters, NAVIGATION_MS),
    "press": Action("Press a key", PressParameters, NAVIGATION_MS),
    "extract_text": Action("Read the text of the page with its frames, or of an element", TextParameters),
    "links": Action("List the page's links", NoParameters),
    "screenshot": Action("Take a picture of what is seen of the page", NoParameters),
    "scroll": Action("Scroll the page", ScrollParameters),
    "back": Action("Go back one page", NoParameters, NAVIGATION_MS),
    "wait": Action("Wait for an element, or some time", WaitParameters, MAX_WAIT_MS + 10_000),
}
STEPS: dict[str, Callable[[Work, Any], Awaitable[dict[str, Any]]]] = {
    "navigate": _navigate,
    "click": _click,
    "type": _type,
    "press": _press,
    "extract_text": _extract,
    "links": _links,
    "screenshot": _screenshot,
    "scroll": _scroll,
    "back": _back,
    "wait": _wait,
}

# Our words for Chromium's errors (net/base/net_error_list.h) that the gate does not know of.
_NET_ERRORS = {
    "ERR_ABORTED": "the address is a download, or the page did not want to be opened",
    "ERR_CERT": "the certificate of the page is not valid",
    "ERR_SSL": "the page speaks no TLS that can be trusted",
    "ERR_TOO_MANY_REDIRECTS": "the page sends from one address to the next without an end",
    "ERR_UNSAFE_REDIRECT": "the page sends to an address that no page may send to",
    "ERR_EMPTY_RESPONSE": "the server answered nothing",
    "ERR_CONNECTION_RESET": "the server broke the connection off",
    "ERR_CONNECTION_CLOSED": "the server broke the connection off",
    "ERR_UNSAFE_PORT": "browsers do not open that port",
    "ERR_SOCKS_CONNECTION": "there is no connection to the page",
}


def net_error_words(message: str) -> str:
    """A message for Chromium's network error inside a Playwright message; empty if it has none."""
    if "Download is starting" in message:
        return DOWNLOAD
    return next((words for name, words in _NET_ERRORS.items() if f"net::{name}" in message), "")
