"""One isolated browser context: its pages, what they say in dialogs, and how a task under way is stopped."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Dialog, Page

MAX_TABS = 4  # of one context: pages open others
STOP_LOADING_S = 1.0
CLOSE_S = 5.0  # for what is closed to say so
MAX_DIALOG_CHARS = 300
VIEWPORT_WIDTH, VIEWPORT_HEIGHT = 1280, 800
BLANK = "about:blank"


class Tabs:
    """One context: its pages, the newest of which is acted on."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.using = asyncio.Lock()  # one task at a time
        self.used_at = time.monotonic()
        self.dialogs: list[str] = []  # what pages said in alerts, since the last task
        self.opened = asyncio.Event()  # since it was last cleared, a page was
        self._pages: list[Page] = []
        context.on("page", self._opened)
        context.on("dialog", self._answer)

    def _opened(self, page: Page) -> None:
        self._pages.append(page)
        self.opened.set()
        page.on("crash", self._gone)
        page.on("close", self._gone)

    def _gone(self, page: Page) -> None:
        if page in self._pages:
            self._pages.remove(page)

    async def _answer(self, dialog: Dialog) -> None:
        """Nobody is there to answer, but the page waits for it: yes to leaving the page, no to all else."""
        with suppress(PlaywrightError):
            if dialog.type == "beforeunload":
                await dialog.accept()
                return
            self.dialogs.append(dialog.message[:MAX_DIALOG_CHARS])
            await dialog.dismiss()

    async def page(self) -> Page:
        """The newest that is open, else a new one."""
        while len(self._pages) > MAX_TABS:
            await self._pages[0].close()
        return self._pages[-1] if self._pages else await self.context.new_page()

    async def is_blank(self, page: Page) -> bool:
        """Is nothing open? A window that a script has opened and filled has the blank address too."""
        return page.url == BLANK and not await page.evaluate("document.body?.hasChildNodes()")

    async def has_history(self, page: Page) -> bool:
        """Is there a page to go back to? The blank one that every context begins with is none."""
        session = await self.context.new_cdp_session(page)
        history = await session.send("Page.getNavigationHistory")
        await session.detach()
        at = int(history["currentIndex"])
        return at > 1 or (at == 1 and history["entries"][0]["url"] != BLANK)

    async def previous(self) -> Page | None:
        """Close the newest page, when another one had opened it; that one is back then."""
        if len(self._pages) < 2:
            return None
        await self._pages[-1].close()
        return await self.page()

    async def stop_loading(self) -> None:
        """A cancelled task leaves nothing going on: a page that does not stop is closed."""
        for page in list(self._pages):
            try:
                async with asyncio.timeout(STOP_LOADING_S):
                    session = await self.context.new_cdp_session(page)
                    await session.send("Page.stopLoading")
                    await session.detach()
            except (PlaywrightError, TimeoutError):
                self._gone(page)
                with suppress(PlaywrightError, TimeoutError):
                    async with asyncio.timeout(STOP_LOADING_S):
                        await page.close()

    async def close(self) -> None:
        """With all pages; a browser that is gone has closed them already."""
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_S):
                await self.context.close()
