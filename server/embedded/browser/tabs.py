"""One isolated browser context: its pages, their dialogs, and stopping a running task."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError

from server.embedded.browser.signals import Signals
from server.embedded.callers import own_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import BrowserContext, CDPSession, Dialog, Download, Page

    from server.embedded.browser.gate import BrowserGate

MAX_TABS = 4  # per context; pages open further ones
STOP_LOADING_S = 1.0
CHECK_S = 2.0  # so often a page that is waited for is asked whether it, its browser and its driver are still there
CLOSE_S = 5.0  # for closing to complete
MAX_DIALOGS = 20  # a page opens a thousand in a second
MAX_DIALOG_CHARS = 300
VIEWPORT_WIDTH, VIEWPORT_HEIGHT = 1280, 800
BLANK = "about:blank"


class Tabs:
    """One context with its pages; actions use the newest one."""

    def __init__(self, context: BrowserContext, gate: BrowserGate) -> None:
        self.context = context
        self.gate = gate
        self.using = asyncio.Lock()  # held by the running task
        self.tasks = 0  # the running one, and those that wait for it
        self.used_at = time.monotonic()
        self.dialogs: deque[str] = deque(maxlen=MAX_DIALOGS)  # texts of the last alerts since the last task
        self.opened = False  # a page was, since `watch`
        self.refused = False  # a download was, since `watch`
        self.crashed = False  # a page has, since the last task began
        self.crowded = False  # a page was closed for the sake of newer ones, since this was last cleared
        self._pages: list[Page] = []
        self._signals: dict[Page, Signals] = {}
        self._awaited = (
            0  # windows that were opened, and not yet told of: Playwright does when their servers have answered
        )
        self._closing: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()  # anything of what `until` may wait for
        context.on("page", self._opened)
        context.on("page", self._keep_few)
        context.on("dialog", self._answer)

    def _opened(self, page: Page) -> None:
        self._pages.append(page)
        self._signals[page] = Signals(self.context, page, self._changed.set, self._window)
        self._awaited = max(0, self._awaited - 1)
        self.opened = True
        self._changed.set()
        page.on("crash", self._crashed)
        page.on("download", self._refused)
        page.on("close", self._gone)

    def _window(self) -> None:
        self._awaited += 1
        if self._awaited > MAX_TABS and (self._closing is None or self._closing.done()):
            self._closing = asyncio.get_running_loop().create_task(
                self._close_awaited(), name="close windows", context=own_context("browser")
            )

    async def _close_awaited(self) -> None:
        """Close the windows that no page has come into. A page opens thousands of them."""
        self.crowded = True
        browser = self.context.browser
        assert browser is not None, "every context here is a browser's"
        with suppress(Exception):  # it has ended; for a dead driver, Playwright raises bare Exception
            session = await browser.new_browser_cdp_session()
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

    async def watch(self, page: Page) -> Signals:
        """What comes of an action on the page that begins now?"""
        signals = self._signals.get(page) or Signals(self.context, page, self._changed.set, self._window)
        await signals.watch()
        self.opened = self.refused = False
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

    async def end_script(self, page: Page) -> None:
        """End what the page's scripts do at the moment."""
        if page in self._signals:
            await self._signals[page].end_script()

    def _refused(self, _download: Download) -> None:
        self.refused = True  # by the context, which accepts none
        self._changed.set()

    def _crashed(self, page: Page) -> None:
        self.crashed = True
        self._gone(page)

    def _gone(self, page: Page) -> None:
        if page in self._pages:
            self._pages.remove(page)
        self._signals.pop(page, None)
        self._changed.set()

    async def _answer(self, dialog: Dialog) -> None:
        """Answer a dialog, for which the page waits: yes to leaving the page, no to anything else."""
        with suppress(PlaywrightError):
            if dialog.type == "beforeunload":
                await dialog.accept()
                return
            self.dialogs.append(dialog.message[:MAX_DIALOG_CHARS])
            await dialog.dismiss()

    async def _keep_few(self, _opened: Page) -> None:
        """Close the oldest page as soon as there are too many: a page opens thousands in a task's time."""
        while len(self._pages) > MAX_TABS:
            self.crowded = True
            await _closed(self._pages.pop(0))

    @property
    def newest(self) -> Page | None:
        """The page that actions use, if there is one."""
        return self._pages[-1] if self._pages else None

    async def page(self) -> Page:
        """The newest open page, or a new one."""
        return self.newest or await self.context.new_page()

    async def has_history(self, page: Page) -> bool:
        """True if there is a page to go back to. The blank page that every context starts with does not count."""
        session = await self.context.new_cdp_session(page)
        history = await session.send("Page.getNavigationHistory")
        await session.detach()
        at = int(history["currentIndex"])
        return at > 1 or (at == 1 and history["entries"][0]["url"] != BLANK)

    async def previous(self) -> Page | None:
        """Close the newest page if another one had opened it, and return to that one."""
        if len(self._pages) < 2:
            return None
        await self._pages[-1].close()
        return await self.page()

    async def fresh(self) -> Page:
        """A new page in place of all others, which end with their connections."""
        old, self._pages = self._pages, []
        await asyncio.gather(*map(_closed, old))
        await self.gate.cut()
        return await self.context.new_page()

    async def stop_loading(self) -> None:
        """Stop all activity of a cancelled task; a page that does not stop is closed."""
        await asyncio.gather(*map(self._stop, self._pages))
        if not self._pages:
            await self.gate.cut()

    async def _stop(self, page: Page) -> None:
        try:
            async with asyncio.timeout(STOP_LOADING_S):
                session = await self.context.new_cdp_session(page)
                await session.send("Page.stopLoading")
                await session.detach()
        except (PlaywrightError, TimeoutError):
            self._gone(page)
            await _closed(page)

    async def close(self) -> None:
        """Close the context with all pages and connections; if the browser is gone, the pages are closed already."""
        try:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    await self.context.close()
        finally:
            await self.gate.stop()


async def _closed(page: Page) -> None:
    """Close a page; Chromium gives it half a second to end by itself."""
    with suppress(PlaywrightError, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await page.close()
