"""What is shown of a page that has come, also if it never comes to an end.

A page is waited for until it is parsed. It never is if its server breaks the answer off, or if it opens itself again meanwhile. One
that does so all the time cannot be read either, because it is another one each time: it is stopped. So is a script that runs without an end, and its page stays.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from server.embedded.browser.reading import is_filled, read_where
from server.embedded.browser.signals import BLANK

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from playwright.async_api import Frame, Page, Response

    from server.embedded.browser.tabs import Tabs

T = TypeVar("T")
PARSE_S = 10.0  # for a page to be parsed; then what has come of it is shown, while the rest may still come
ANSWER_S = 6.0  # for a step on a page, and then for the page to answer at all; on a busy machine it may need seconds
READ_S = 6.0  # for what is read of a page that has moved so often; longer than an element may take to appear
COMING_S = 20.0  # for the server of a page on its way, before a task that did not begin that; then it is stopped
MANY_MOVES = 4  # to other pages, or to itself again: more than a page's redirects
# Playwright tells that a request has failed only to those who want to know of all, of which a page makes thousands a second.
ASK_AGAIN_MS = 100
ERROR_PAGE = "chrome-error:"
MAX_ORIGIN_CHARS = 300  # in a message
BROKEN_OFF = "the server broke its answer off, or it cannot be decoded"
BUSY = "the page does not answer: a script of it runs without an end"
COMING = "the page leads to another one, whose server has not answered yet"
UNTOLD = "nothing was done: since the page was last told, it has gone to"
UNSHOWN = "nothing was done: another page was open when you were asked"
NOT_OPENED = "the page that it leads to could not be opened"
ENDLESS = "the page opens itself again without an end"


class FailedError(Exception):
    """The action ran without success; the text says why."""


async def told(tabs: Tabs) -> Page:
    """The page that the user was last told of, or a new one. Raises FailedError if that has ended, and there is another one before it."""
    if tabs.lost_words and tabs.current is not None:
        raise FailedError(tabs.lost_words)
    return await tabs.page()


def refuse_untold(tabs: Tabs, page: Page) -> None:
    """Refuse to use a page that has gone to another origin since the user was last told where it is. Raises FailedError.

    It is told with that, so that the next task goes on. Within an origin, pages move all the time.
    """
    if origin(page.url) != origin(tabs.told_url):
        raise FailedError(f"{UNTOLD} {origin(page.url)[:MAX_ORIGIN_CHARS]}")


def refuse_unshown(tabs: Tabs, asked_at: float | None, frame: Frame | None = None) -> None:
    """Refuse what was approved while another page was open, as that one's "Delete" was meant. Raises FailedError.

    `asked_at`: None if nobody was asked. `frame`: where that is to be done, if it is known.
    """
    if asked_at is not None and asked_at < tabs.open_since(frame):
        raise FailedError(UNSHOWN)


def origin(url: str) -> str:
    """Scheme, host and port of an address; of one that has none, as `data:`, the whole of it."""
    scheme, separator, rest = url.partition("://")
    web = separator and scheme in {"http", "https"}
    return (
        scheme + separator + re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
        if web
        else url.partition("#")[0]
    )


async def attended(tabs: Tabs, step: Coroutine[Any, Any, T]) -> T:
    """Run a step on a page. A script that keeps the page from answering is ended. Raises what the step does, and FailedError."""
    doing = asyncio.get_running_loop().create_task(step, name="use a page")
    try:
        while not (await asyncio.wait((doing,), timeout=ANSWER_S))[0]:
            page = tabs.current
            if page is not None and not await _answers(page, doing):
                if tabs.is_left(page):
                    continue  # the server's time, which only the task's own limit ends
                await tabs.end_script(page)
                if not await _answers(page, doing):
                    raise FailedError(BUSY)
        try:
            return doing.result()
        except PlaywrightError:
            if lost := await tabs.lost():
                raise FailedError(lost) from None
            raise
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


async def come(tabs: Tabs, page: Page) -> None:
    """Wait for the page that is on its way into this one's place, and stop it if its server does not answer: then this one stays."""
    if tabs.is_left(page):
        asking = asyncio.get_running_loop().create_task(is_filled(page), name="ask a page")
        try:
            if (await asyncio.wait((asking,), timeout=COMING_S))[0]:
                tabs.stays(page)
            else:
                await tabs.stop_loading()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def _answers(page: Page, doing: asyncio.Task[Any]) -> bool:
    """True if the page does, or moves on, or the step is done meanwhile."""
    with moves(page) as seen:
        asking = asyncio.get_running_loop().create_task(is_filled(page), name="ask a page")
        try:
            await asyncio.wait((asking, doing), timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
            return asking.done() or doing.done() or bool(seen)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def is_open(page: Page) -> bool:
    """True if a page is open, once it answers. A window that a script has filled has a blank address, and one that is a download has none."""
    return not page.url.startswith(ERROR_PAGE) and (page.url not in {BLANK, ""} or await is_filled(page))


async def arrived(tabs: Tabs, page: Page, answer: Response | None = None) -> dict[str, str]:
    """Address and title of a page, once it is parsed or no more of it comes. Raises FailedError, PlaywrightError.

    `answer`: the server's, if it is known. Without it, an answer that was broken off is waited for as long as one that takes long.
    """
    await _parsed(page, answer)
    shown = await read_still(tabs, page, lambda: read_where(page))
    if page.url.startswith(ERROR_PAGE):
        reason = await tabs.unreachable_words()
        raise FailedError(f"{NOT_OPENED}: {reason}" if reason else NOT_OPENED)
    if _broken_off(answer) and not await is_filled(page):
        raise FailedError(BROKEN_OFF)
    return shown


async def read_still(tabs: Tabs, page: Page, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What is read of a page, which is stopped if it moves on all the time. Raises FailedError, PlaywrightError."""
    with suppress(TimeoutError):
        return await _unless_it_moves(page, read())
    await tabs.stop_loading()
    with suppress(TimeoutError):
        if not page.is_closed() and await _unless_it_moves(page, is_filled(page)):
            return await _unless_it_moves(page, read())
    raise FailedError(ENDLESS)


async def _unless_it_moves(page: Page, read: Coroutine[Any, Any, T]) -> T:
    """Read, however long it takes, unless the page moves on all the time. Raises TimeoutError, PlaywrightError."""
    with moves(page) as seen:
        reading = asyncio.get_running_loop().create_task(read, name="read a page")
        try:
            while len(seen) < MANY_MOVES:
                if (await asyncio.wait((reading,), timeout=READ_S))[0]:
                    return reading.result()
            raise TimeoutError
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _parsed(page: Page, answer: Response | None) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + PARSE_S
    with moves(page) as seen:
        while not _broken_off(answer):
            with suppress(PlaywrightTimeout):
                await page.wait_for_load_state("domcontentloaded", timeout=ASK_AGAIN_MS)
                return
            if loop.time() > until and (len(seen) == MANY_MOVES or await is_filled(page)):
                return


@contextmanager
def moves(page: Page) -> Iterator[deque[Frame]]:
    """The last navigations of a page, from now on."""
    seen: deque[Frame] = deque(maxlen=MANY_MOVES)

    def moved(frame: Frame) -> None:
        if frame == page.main_frame:
            seen.append(frame)

    page.on("framenavigated", moved)
    try:
        yield seen
    finally:
        page.remove_listener("framenavigated", moved)


def _broken_off(answer: Response | None) -> bool:
    return answer is not None and answer.request.failure is not None
