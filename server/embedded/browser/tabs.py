"""One isolated browser context: its pages, their dialogs, and stopping a running task."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError

from server.embedded.addresses import read_url
from server.embedded.browser.signals import Signals
from server.embedded.callers import own_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.async_api import Browser, BrowserContext, CDPSession, Dialog, Download, Frame, Page

    from server.embedded.browser.gate import BrowserGate

MAX_TABS = 4  # per context; pages open further ones
STOP_LOADING_S = 1.0
CHECK_S = 2.0  # so often a page that is waited for is asked whether it, its browser and its driver are still there
CLOSE_S = 5.0  # for closing to complete
CLOSE_AGAIN_S = 1.0  # for a page to close after the order; Chromium gives its scripts half a second
MAX_DIALOGS = 20  # a page opens a thousand in a second
MAX_DIALOG_CHARS = 300
VIEWPORT_WIDTH, VIEWPORT_HEIGHT = 1280, 800
CLOSED_ITSELF = "the page closed itself"
CRASHED = "the page crashed"
STOPPED = "the page did not stop, and was closed"


class Tabs:
    """One context with its pages. Actions use the one that the user was last told of.

    A window takes its place only if an action on that page has opened it. All others are closed: a page that was left, or one that
    only waits, would else put a window of its own under the next action.
    """

    def __init__(self, context: BrowserContext, gate: BrowserGate) -> None:
        self.context = context
        self.gate = gate
        self.using = asyncio.Lock()  # held by the running task
        self.tasks = 0  # the running one, and those that wait for it
        self.used_at = time.monotonic()
        # Texts of the last dialogs since the last task, and whether each was a question
        self.dialogs: deque[tuple[str, bool]] = deque(maxlen=MAX_DIALOGS)
        self.opened = False  # a page was, since `watch`
        self.refused = False  # a download was, since `watch`
        self.told_url = ""  # of the page that the user was last told of
        self.crashed = False  # a page has, since the last task began
        self.crowded = False  # a page was closed for the sake of newer ones, since this was last cleared
        self._pages: list[Page] = []  # all that are open
        self._front: list[Page] = []  # the one that actions use is the last, after the one that opened it, and so on
        self._watched: Page | None = None  # that an action is done on, whose windows come in front
        # Then an action last changed the address, or a page came in front that was behind
        self._since = time.monotonic()
        self._lost = ""  # how the page ended that the user was last told of
        self._making = asyncio.Lock()  # held until a new page is known as our own
        self._ending: dict[Page, asyncio.Task[None]] = {}
        self._signals: dict[Page, Signals] = {}
        self._awaited = (
            0  # windows that were opened, and not yet told of: Playwright does when their servers have answered
        )
        self._closing: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()  # anything of what `until` may wait for
        context.on("page", self._opened)
        context.on("page", self._judge)
        context.on("dialog", self._answer)

    def _opened(self, page: Page) -> None:
        self._pages.append(page)
        self._signals[page] = Signals(self.context, page, self._changed.set, self._window)
        self._awaited = max(0, self._awaited - 1)
        page.on("popup", lambda window: self._came(page, window))
        page.on("crash", self._crashed)
        page.on("download", self._refused)
        page.on("close", self._gone)

    def _came(self, opener: Page, window: Page) -> None:
        """A window is there. Playwright tells that right after `_opened`."""
        if opener is not self._watched or opener not in self._front:
            return
        for other in self._front[self._front.index(opener) + 1 :]:  # of the same action
            self._end(other)
        self._front.append(window)
        if len(self._front) > MAX_TABS:
            self._end(self._front[0])
        self.opened = True
        self._changed.set()

    async def _judge(self, page: Page) -> None:
        """Close a page that did not come in front: it may open thousands, and nobody is told of any."""
        async with self._making:
            unasked = page not in self._front
        if unasked:
            await self._ended(page)

    def _window(self) -> None:
        self._awaited += 1
        if self._awaited > MAX_TABS and (self._closing is None or self._closing.done()):
            self._closing = asyncio.get_running_loop().create_task(
                self._close_awaited(), name="close windows", context=own_context("browser")
            )

    async def _close_awaited(self) -> None:
        """Close the windows that no page has come into. A page opens thousands of them."""
        self.crowded = True
        with suppress(Exception):  # it has ended; for a dead driver, Playwright raises bare Exception
            session = await self._browser.new_browser_cdp_session()
            while True:
                self._awaited = 0
                waiting = await self._without_page(session)
                if max(self._awaited, len(waiting)) <= MAX_TABS:
                    break
                for target in waiting:
                    with suppress(PlaywrightError):  # it has closed itself
                        await session.send("Target.closeTarget", {"targetId": target})
            await session.detach()

    async def _without_page(self, session: CDPSession) -> list[str]:
        """The windows of this context that Playwright has not told of."""
        await asyncio.gather(*(signals.ready() for signals in self._signals.values()))
        known = {signals.target: signals.context for signals in self._signals.values() if signals.target}
        targets = (await session.send("Target.getTargets"))["targetInfos"]
        return [
            one["targetId"]
            for one in targets
            if one["type"] == "page" and one["browserContextId"] in known.values() and one["targetId"] not in known
        ]

    def open_since(self, frame: Frame | None = None) -> float:
        """Since when what the user may approve is about the page that is open now, or about what is in a frame of it.

        Another document ends that, and so does another address to which an action has led, as of applications that are one document.
        A page that rewrites its address by itself is still the same. What its other frames show does not matter.
        """
        signals = self._signals.get(self.current) if self.current is not None else None
        if signals is None:
            return self._since
        return max(self._since, signals.document_since if frame is None else signals.shown_since(frame))

    @contextmanager
    def acting(self) -> Iterator[None]:
        """What is done on the page meanwhile may lead to another address within its document."""
        before = self._address
        try:
            yield
        finally:
            if self._address != before:
                self._since = time.monotonic()

    @property
    def _address(self) -> str:
        return self.current.url if self.current is not None else ""

    async def watch(self, page: Page) -> Signals:
        """What comes of an action on the page that begins now?"""
        signals = self._signals.get(page) or Signals(self.context, page, self._changed.set, self._window)
        await signals.watch()
        self.opened = self.refused = False
        self._watched = page
        return signals

    async def until(self, over: Callable[[], bool], signals: Signals, limit_s: float | None = None) -> bool:
        """Wait until that is so, which is asked after each change; False if it takes longer.

        Raises PlaywrightError if the page ends meanwhile, or a bare Exception if the driver does.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not over():
                    self._changed.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(CHECK_S):
                            await self._changed.wait()
                            continue
                    await signals.check()
        return over()

    def is_left(self, page: Page) -> bool:
        """True if another page is on its way into its place. Until that has come, Chromium lets nobody ask the page anything."""
        return page in self._signals and self._signals[page].coming

    def stays(self, page: Page) -> None:
        """It answers: so what was on its way has come, or was none of a page."""
        if page in self._signals:
            self._signals[page].coming = False

    async def unreachable_words(self) -> str:
        """Why the gate made no connection to the page that Chromium shows an error for; empty if it did."""
        signals = self._signals.get(self.current) if self.current is not None else None
        with suppress(PlaywrightError, TimeoutError):
            return self.gate.reason(read_url(await signals.address()).host) if signals is not None else ""
        return ""

    async def end_script(self, page: Page) -> None:
        """End what the page's scripts do at the moment."""
        if page in self._signals:
            await self._signals[page].end_script()

    def _refused(self, _download: Download) -> None:
        self.refused = True  # by the context, which accepts none
        self._changed.set()

    def _crashed(self, page: Page) -> None:
        self.crashed = True
        self._gone(page, CRASHED)
        self._end(page)  # it keeps its place in the browser otherwise

    def _gone(self, page: Page, how: str = CLOSED_ITSELF) -> None:
        self._uncover(page, how)
        for pages in (self._front, self._pages):
            if page in pages:
                pages.remove(page)
        self._signals.pop(page, None)
        self._changed.set()

    def _uncover(self, page: Page, how: str) -> None:
        """The page ends: if it is in front, the one behind it comes there."""
        if page is self.current:
            self._since = time.monotonic()
            self._lost = how or self._lost

    def _end(self, page: Page, how: str = "") -> asyncio.Task[None]:
        """Close a page, also if whoever asked for that is cancelled. `how`: if the user is to be told."""
        self._uncover(page, how)
        if page in self._front:
            self._front.remove(page)
        ending = self._ending.get(page)
        if ending is None:
            ending = self._ending[page] = asyncio.get_running_loop().create_task(
                self._closed(page), name="close a page", context=own_context("browser")
            )
            ending.add_done_callback(lambda _: self._ending.pop(page))
        return ending

    async def _closed(self, page: Page) -> None:
        """Close a page. Chromium forgets the order if another page is just coming into its place, and Playwright gives it only once."""
        signals = self._signals.get(page)
        with suppress(Exception):  # it has ended, or does not; for a dead driver, Playwright raises bare Exception
            async with asyncio.timeout(CLOSE_S):
                while not page.is_closed():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(CLOSE_AGAIN_S):
                            await page.close()
                            return
                    if signals is not None and signals.target:
                        session = await self._browser.new_browser_cdp_session()
                        await session.send("Target.closeTarget", {"targetId": signals.target})
                        await session.detach()

    async def _ended(self, *pages: Page, how: str = "") -> None:
        for ending in [self._end(page, how) for page in pages]:
            await asyncio.wait((ending,))

    async def _answer(self, dialog: Dialog) -> None:
        """Answer a dialog, for which the page waits: yes to leaving the page, no to anything else."""
        with suppress(PlaywrightError):
            if dialog.type == "beforeunload":
                await dialog.accept()
                return
            self.dialogs.append((dialog.message[:MAX_DIALOG_CHARS], dialog.type != "alert"))
            await dialog.dismiss()

    @property
    def _browser(self) -> Browser:
        assert self.context.browser is not None, "every context here is a browser's"
        return self.context.browser

    @property
    def current(self) -> Page | None:
        """The page that actions use, if there is one."""
        return self._front[-1] if self._front else None

    async def page(self) -> Page:
        """The page that actions use, or a new one. What the user is told is of this one: no window comes in front any more."""
        self._watched, self._lost = None, ""
        return self.current or await self._new()

    async def lost(self) -> str:
        """Why the page is not there any more; empty if that is not its own doing."""
        itself = self._lost == CLOSED_ITSELF and not self.crashed and not self.crowded
        return self.lost_words if itself and await self._alive() else ""

    @property
    def lost_words(self) -> str:
        """How the page has ended that the user was last told of; empty if it is open."""
        return (
            f"{self._lost}; the page before it is open now" if self._lost and self.current is not None else self._lost
        )

    async def _alive(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_S):
                await (await self._browser.new_browser_cdp_session()).detach()
        except Exception:  # noqa: BLE001 - for a dead driver, Playwright raises bare Exception
            return False
        return True

    async def _new(self) -> Page:
        """A page of our own. One that comes after its task was cancelled is closed, as a window is."""
        async with self._making:
            page = await self.context.new_page()
            self._front = [page]
        return page

    async def picture(self, page: Page, form: str, quality: int = 100) -> bytes:
        """What is seen of the page now, by Chromium itself. Raises PlaywrightError."""
        session = await self.context.new_cdp_session(page)
        try:
            wanted = {"format": form, **({"quality": quality} if form == "jpeg" else {})}
            return base64.b64decode((await session.send("Page.captureScreenshot", wanted))["data"])
        finally:
            with suppress(PlaywrightError):
                await session.detach()

    async def has_history(self, page: Page) -> bool:
        """True if there is a page to go back to. Raises TimeoutError, PlaywrightError."""
        signals = self._signals.get(page)
        return signals is not None and await signals.has_history()

    async def previous(self) -> Page | None:
        """Close the page if another one had opened it, and return to that one."""
        if len(self._front) < 2:
            return None
        await self._ended(self._front[-1])
        return await self.page()

    async def forget_others(self) -> None:
        """Close all pages behind the one that actions use: the user has left them, and they may still lead it elsewhere."""
        await self._ended(*(page for page in self._pages if page is not self.current))

    async def fresh(self) -> Page:
        """A new page in place of all others, which end with their connections."""
        await self._ended(*self._pages)
        await self.gate.cut()
        return await self._new()

    async def stop_loading(self) -> None:
        """Stop all activity of a cancelled task; a page that does not stop is closed.

        Who waits for it is often cancelled again: a task ends by its own limit, and then by that of the call. A page that goes on
        loading answers nobody, so the stop goes on, and the cancel counts when it is done.
        """
        self._watched = None
        stopping = asyncio.get_running_loop().create_task(
            self._stop_all(), name="stop pages", context=own_context("browser")
        )
        cancelled = False
        while not stopping.done():
            try:
                await asyncio.wait((stopping,))
            except asyncio.CancelledError:
                cancelled = True
        stopping.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _stop_all(self) -> None:
        await asyncio.gather(*map(self._stop, self._pages))
        if not self._front:
            await self.gate.cut()

    async def _stop(self, page: Page) -> None:
        try:
            async with asyncio.timeout(STOP_LOADING_S):
                session = await self.context.new_cdp_session(page)
                await session.send("Page.stopLoading")
                await session.detach()
            self.stays(page)
        except (PlaywrightError, TimeoutError):
            await self._ended(page, how=STOPPED)

    async def close(self) -> None:
        """Close the context with all pages and connections; if the browser is gone, the pages are closed already."""
        try:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    await self.context.close()
        finally:
            await self.gate.stop()
