"""M7, browser executor: Playwright on the system's Chromium, one isolated context per user and session."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout
from playwright.async_api import async_playwright
from pydantic import Field, model_validator

from protos import browser_pb2_grpc
from server.embedded.executor import (
    Action,
    ExecutorService,
    Parameters,
    UnavailableError,
    WrongParametersError,
    progress,
    result,
)
from server.embedded.service import EmbeddedConfig, MissingPartError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from typing import Self

    import grpc.aio
    from playwright.async_api import Browser, BrowserContext, Locator, Page, Playwright

    from protos import executor_pb2

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/snap/bin/chromium",
)
HOW_TO_GET = "Chromium was not found: apt-get install chromium, or name it by CHROMIUM_PATH"
# It talks to nobody but the pages it is sent to.
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)
MAX_CONTEXTS = 32  # pages kept open; the one not used for longest is closed
MAX_TEXT_CHARS = 50_000
ELEMENT_TIMEOUT_MS = 5_000  # for an element to appear: then it is not there
VIEWPORT = {"width": 1280, "height": 800}


class NavigateParameters(Parameters):
    """A page of the web."""

    url: str = Field(min_length=1, max_length=4_096)


class ElementParameters(Parameters):
    """An element, by CSS selector or by its visible text."""

    selector: str = Field(default="", max_length=1_000)
    text: str = Field(default="", max_length=1_000)

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if bool(self.selector) == bool(self.text):
            raise ValueError("give either selector or text")
        return self


class TypeParameters(Parameters):
    """Text for a field."""

    selector: str = Field(min_length=1, max_length=1_000)
    text: str = Field(max_length=10_000)


class TextParameters(Parameters):
    """Of the page, or of one element."""

    selector: str = Field(default="", max_length=1_000)


class WaitParameters(Parameters):
    """For an element, or so long."""

    selector: str = Field(default="", max_length=1_000)
    ms: int = Field(default=0, ge=0, le=60_000)


class PressParameters(Parameters):
    """A key, by its name: Enter, Tab, ArrowDown …"""

    key: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9+]+$")


class NoParameters(Parameters):
    """None."""


ACTIONS = {
    "navigate": Action("Open a page", NavigateParameters),
    "click": Action("Click an element", ElementParameters),
    "type": Action("Type into a field", TypeParameters),
    "press": Action("Press a key", PressParameters),
    "extract_text": Action("Read the page's text", TextParameters),
    "screenshot": Action("Take a picture of the page", NoParameters),
    "back": Action("Go back one page", NoParameters),
    "wait": Action("Wait for an element or some time", WaitParameters),
}


def find_chromium(configured: str) -> str | None:
    """The one named, else one on PATH or at a usual place."""
    if configured:
        return configured if Path(configured).exists() else None
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or next((place for place in PLACES if Path(place).exists()), None)


class Pages:
    """The browser, and a page for each user and session."""

    def __init__(self, executable: str) -> None:
        self._executable = executable
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._pages: OrderedDict[tuple[str, str], Page] = OrderedDict()
        self._starting = asyncio.Lock()

    async def launch(self) -> Browser:
        """The running browser; a crashed one is started again."""
        async with self._starting:
            if self._browser is not None and self._browser.is_connected():
                return self._browser
            self._pages.clear()
            if self._playwright is None:
                self._playwright = await async_playwright().start()
            sandbox = os.geteuid() != 0  # Chromium refuses its sandbox to root
            self._browser = await self._playwright.chromium.launch(
                executable_path=self._executable, headless=True, chromium_sandbox=sandbox, args=list(FLAGS)
            )
            return self._browser

    async def page(self, user_id: str, session_id: str) -> Page:
        """That conversation's own page, in a context of its own: no cookies are shared."""
        browser = await self.launch()
        key = (user_id, session_id)
        page = self._pages.pop(key, None)
        if page is None or page.is_closed():
            page = await (await self._context(browser)).new_page()
        self._pages[key] = page
        if len(self._pages) > MAX_CONTEXTS:
            _, oldest = self._pages.popitem(last=False)
            await oldest.context.close()
        return page

    @staticmethod
    async def _context(browser: Browser) -> BrowserContext:
        context = await browser.new_context(viewport=VIEWPORT, accept_downloads=False)  # type: ignore[arg-type] # a TypedDict
        context.on("dialog", lambda dialog: dialog.dismiss())
        return context

    async def close(self) -> None:
        """End the browser."""
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()


def _where(page: Page, title: str) -> dict[str, Any]:
    return {"url": page.url, "title": title}


def _element(page: Page, parameters: ElementParameters) -> Locator:
    if parameters.selector:
        return page.locator(parameters.selector).first
    return page.get_by_text(parameters.text).first


async def _navigate(page: Page, given: NavigateParameters) -> dict[str, Any]:
    answer = await page.goto(given.url, wait_until="domcontentloaded")
    return {**_where(page, await page.title()), "status": answer.status if answer else 0}


async def _click(page: Page, given: ElementParameters) -> dict[str, Any]:
    await _element(page, given).click(timeout=ELEMENT_TIMEOUT_MS)
    await page.wait_for_load_state("domcontentloaded")
    return _where(page, await page.title())


async def _type(page: Page, given: TypeParameters) -> dict[str, Any]:
    await page.locator(given.selector).first.fill(given.text, timeout=ELEMENT_TIMEOUT_MS)
    return _where(page, await page.title())


async def _press(page: Page, given: PressParameters) -> dict[str, Any]:
    await page.keyboard.press(given.key)
    await page.wait_for_load_state("domcontentloaded")
    return _where(page, await page.title())


async def _extract(page: Page, given: TextParameters) -> dict[str, Any]:
    target = page.locator(given.selector or "body").first
    text = await target.inner_text(timeout=ELEMENT_TIMEOUT_MS)
    return {**_where(page, await page.title()), "text": text[:MAX_TEXT_CHARS]}


async def _screenshot(page: Page, _given: NoParameters) -> dict[str, Any]:
    png = await page.screenshot(type="png")
    size = page.viewport_size or {"width": 0, "height": 0}
    return {"image_base64": base64.b64encode(png).decode(), "media_type": "image/png", **size}


async def _back(page: Page, _given: NoParameters) -> dict[str, Any]:
    if await page.go_back(wait_until="domcontentloaded") is None:
        raise PlaywrightError("there is no page before this one")
    return _where(page, await page.title())


async def _wait(page: Page, given: WaitParameters) -> dict[str, Any]:
    if given.selector:
        await page.locator(given.selector).first.wait_for(timeout=given.ms or ELEMENT_TIMEOUT_MS)
    else:
        await page.wait_for_timeout(given.ms)
    return _where(page, await page.title())


_WORK: dict[str, Callable[[Page, Any], Coroutine[Any, Any, dict[str, Any]]]] = {
    "navigate": _navigate,
    "click": _click,
    "type": _type,
    "press": _press,
    "extract_text": _extract,
    "screenshot": _screenshot,
    "back": _back,
    "wait": _wait,
}


class BrowserService(ExecutorService, browser_pb2_grpc.BrowserExecutorServicer):
    """See the module."""

    name: ClassVar[str] = "browser"
    full_name: ClassVar[str] = "jarvis.browser.v1.BrowserExecutor"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._pages: Pages | None = None

    async def start(self) -> None:
        """Find Chromium and see that it starts. Raises MissingPartError."""
        executable = find_chromium(self.config.option("CHROMIUM_PATH"))
        if executable is None:
            raise MissingPartError(HOW_TO_GET)
        self._pages = Pages(executable)
        try:
            await self._pages.launch()
        except PlaywrightError as error:
            raise MissingPartError(f"Chromium does not start: {_first_line(error)}") from None

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        browser_pb2_grpc.add_BrowserExecutorServicer_to_server(self, server)

    async def stop(self) -> None:
        """End the browser."""
        if self._pages is not None:
            await self._pages.close()

    def actions(self) -> dict[str, Action]:
        """What a page can be asked for."""
        return ACTIONS

    async def perform(
        self, name: str, parameters: Parameters, request: executor_pb2.ExecuteRequest
    ) -> AsyncGenerator[executor_pb2.ExecuteEvent, None]:
        """One action on the conversation's page."""
        if isinstance(parameters, NavigateParameters) and urlsplit(parameters.url).scheme not in {"http", "https"}:
            raise WrongParametersError("url: only http and https pages are opened")
        assert self._pages is not None, "calls are refused until start() is done"
        yield progress("getting the page", percent=0)
        try:
            page = await self._pages.page(request.user_id, request.session_id)
        except PlaywrightError as error:
            raise UnavailableError(f"Chromium does not start: {_first_line(error)}") from None
        yield progress(f"{name} on {page.url}", percent=30)
        yield await self._outcome(page, name, parameters)

    async def _outcome(self, page: Page, name: str, parameters: Parameters) -> executor_pb2.ExecuteEvent:
        try:
            values = await _WORK[name](page, parameters)
        except PlaywrightTimeout:
            return result("failed", _where(page, ""), "the element is not there, or the page does not load")
        except PlaywrightError as error:
            return result("failed", _where(page, ""), _first_line(error))
        except asyncio.CancelledError:
            await _stop_loading(page)
            raise
        return result("ok", values)


async def _stop_loading(page: Page) -> None:
    """A cancelled task leaves no page loading behind."""
    try:
        await asyncio.wait_for(page.evaluate("window.stop()"), 1.0)
    except (PlaywrightError, TimeoutError):
        return


def _first_line(error: Exception) -> str:
    """Playwright's messages go on with a call log."""
    return str(error).strip().splitlines()[0].removeprefix("Page.goto: ")[:300]
