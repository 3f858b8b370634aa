"""What Chromium itself tells of a page: that it or a frame of it leaves for another one, that it opens a window, and that it was clicked.

Each page has a session for that, from when it is opened. So an action knows what it has begun, however long the server takes, and
whatever the page is written like. The session also ends a script that runs without an end: Chromium takes that order from a session
that was there before the script, and from no other.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from playwright.async_api import Error as PlaywrightError

from server.embedded.callers import own_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import BrowserContext, CDPSession, Frame, Page

READY_S = 1.0  # for the session of a page; one that is busy from its beginning is watched without
ORDER_S = 1.0  # for an order to be taken
WITHIN = frozenset({"sameDocument", "historySameDocument"})
# Of frames, which scripts lead elsewhere all the time, only these are waited for.
FOLLOWED = frozenset({"anchorClick", "formSubmissionGet", "formSubmissionPost"})
PRESSED = "jarvisPressed"  # called by our listener in the page
BLANK = "about:blank"
SHOWN = ("http:", "https:", "about:", "blob:", "data:")  # a window for another address, as mailto:, never shows a page


class Signals:
    """The session of one page. `told` is called after each change, and `window` for each window that opens.

    `target`, `context`: Chromium's names of the page and its context, empty until the session is there. `opening`: a window is on its way, since `watch`. `pressed`: the mouse was, since `watch_presses`.
    `coming`: another page is on its way into this one's place, or was: the end of a few is not told.
    `document_since`: when the page's document took the place of the one before, or was written anew. An address that changes within it is no other document.
    """

    def __init__(
        self, context: BrowserContext, page: Page, told: Callable[[], None], window: Callable[[], None]
    ) -> None:
        self.opening = False
        self.pressed = False
        self.coming = False
        self.document_since = self._watched_since = time.monotonic()
        self._coming: set[str] = set()  # frames into which another page is on its way, since `watch`
        self._parsed = False  # the document is
        self._loaded: WeakSet[Frame] = WeakSet()  # frames into which something was loaded
        self._frames: WeakKeyDictionary[Frame, float] = WeakKeyDictionary()  # since when they show something else
        # where Playwright's selector engines run, and our listener
        self._world = f"__playwright_utility_world_{page._impl_obj._guid}"  # noqa: SLF001
        self.target = self.context = ""
        self._told = told
        self._window = window
        self._session: CDPSession | None = None
        for frame in page.frames[1:]:
            self._attached(frame)
        page.on("frameattached", self._attached)
        # ends with the page, or as soon as the session is there
        self._starting = asyncio.get_running_loop().create_task(
            self._start(context, page), name="listen to a page", context=own_context("browser")
        )

    async def _start(self, context: BrowserContext, page: Page) -> None:
        with suppress(Exception):  # the page has ended; for a dead driver, Playwright raises bare Exception
            session = await context.new_cdp_session(page)
            target = await session.send("Target.getTargetInfo")
            self.target = target["targetInfo"]["targetId"]  # also the name of its main frame
            self.context = target["targetInfo"]["browserContextId"]
            session.on("Page.frameRequestedNavigation", self._begun)
            session.on("Page.frameStartedNavigating", self._started)
            session.on("Page.frameNavigated", self._came)
            session.on("Page.documentOpened", self._written)
            session.on("Page.domContentEventFired", self._read)
            session.on("Page.frameStoppedLoading", lambda event: self._over(event["frameId"]))
            session.on("Page.frameDetached", lambda event: self._over(event["frameId"]))
            session.on("Page.windowOpen", self._opens)
            session.on("Runtime.bindingCalled", self._was_pressed)
            self._session = session
            await session.send("Page.enable")

    async def ready(self) -> None:
        """Wait for the session, but not for that of a page that is busy from its beginning."""
        await asyncio.wait((self._starting,), timeout=READY_S)

    async def watch(self) -> None:
        """What comes of an action that begins now?"""
        await self.ready()
        self.opening = False
        self._coming.clear()
        self._watched_since = time.monotonic()

    @property
    def replaced(self) -> bool:
        """True if another document has come into this one's place, since `watch`."""
        return self.document_since > self._watched_since

    @property
    def leaving(self) -> bool:
        """True if another page is on its way into this one's place, or into that of a frame whose link or form was used."""
        return bool(self._coming)

    def _started(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self.target and event.get("navigationType") not in WITHIN:
            self.coming = True
        self._begun(event)

    def _begun(self, event: dict[str, Any]) -> None:
        within = event.get("navigationType") in WITHIN or event.get("disposition", "currentTab") != "currentTab"
        if (event["frameId"] == self.target or event.get("reason") in FOLLOWED) and not within:
            self._coming.add(event["frameId"])
            self._told()

    def _came(self, event: dict[str, Any]) -> None:
        if "parentId" not in event["frame"]:
            self.document_since = time.monotonic()
            self._parsed = False
        self._over(event["frame"]["id"])

    def _written(self, event: dict[str, Any]) -> None:
        """By `document.open`."""
        if "parentId" not in event["frame"]:
            self.document_since = time.monotonic()

    def _read(self, _event: dict[str, Any]) -> None:
        """A document is parsed once. If it is again, a `javascript:` address has put another one there, of which nothing else is told."""
        if self._parsed:
            self.document_since = time.monotonic()
        self._parsed = True

    def _attached(self, frame: Frame) -> None:
        # The event that the page passes on does not say whether the document is another one
        frame._impl_obj._event_emitter.on("navigated", lambda event: self._shows(frame, event))  # noqa: SLF001

    def _shows(self, frame: Frame, event: dict[str, Any]) -> None:
        """What is loaded first into a frame takes nothing's place: a page may be told while its frames are still loading."""
        if event["newDocument"] is not None:
            if frame in self._loaded:
                self._frames[frame] = time.monotonic()
            self._loaded.add(frame)

    def shown_since(self, frame: Frame) -> float:
        """When the last other document came into the frame, or into one that it is in, or into the page."""
        around = frame.parent_frame
        return self.document_since if around is None else max(self._frames.get(frame, 0.0), self.shown_since(around))

    def _over(self, frame: str) -> None:
        if frame == self.target:
            self.coming = False
        if frame in self._coming:
            self._coming.discard(frame)
            self._told()

    async def watch_presses(self) -> None:
        """Is the mouse pressed in a frame from now on? Only where a listener calls: see `reading.tell_presses`."""
        self.pressed = False
        if self._session is not None:
            with suppress(PlaywrightError, TimeoutError):
                async with asyncio.timeout(ORDER_S):
                    await self._session.send(
                        "Runtime.addBinding", {"name": PRESSED, "executionContextName": self._world}
                    )

    def _was_pressed(self, event: dict[str, Any]) -> None:
        if event["name"] == PRESSED:
            self.pressed = True
            self._told()

    def _opens(self, event: dict[str, Any]) -> None:
        self._window()
        if event["url"].startswith(SHOWN):
            self.opening = True
            self._told()

    async def check(self) -> None:
        """Raises PlaywrightError, or a bare Exception, if the page, its browser or its driver has ended: nothing is told any more."""
        if self._session is not None:
            await self._session.send("Target.getTargetInfo")

    async def has_history(self) -> bool:
        """True if there is a page to go back to. The blank page that every context starts with does not count.

        Raises TimeoutError for a page that was busy from its beginning, PlaywrightError.
        """
        history = await self._history()
        at = int(history["currentIndex"])
        return at > 1 or (at == 1 and history["entries"][0]["url"] != BLANK)

    async def address(self) -> str:
        """That of the page; of an error that Chromium shows, what could not be opened. Raises TimeoutError, PlaywrightError."""
        history = await self._history()
        return str(history["entries"][history["currentIndex"]]["url"])

    async def _history(self) -> dict[str, Any]:
        await self.ready()
        async with asyncio.timeout(ORDER_S):
            if self._session is None:
                raise TimeoutError
            return await self._session.send("Page.getNavigationHistory")

    async def end_script(self) -> None:
        """End what the page's scripts do at the moment."""
        if self._session is not None:
            with suppress(PlaywrightError, TimeoutError):
                async with asyncio.timeout(ORDER_S):
                    await self._session.send("Runtime.terminateExecution")
