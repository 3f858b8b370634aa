"""The running Chromium: found, started, watched, ended; in it one isolated context for each user and session."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import time
from collections import OrderedDict
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from server.embedded.browser.gate import BrowserGate
from server.embedded.browser.tabs import VIEWPORT_HEIGHT, VIEWPORT_WIDTH, Tabs
from server.embedded.executor import UnavailableError
from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, CDPSession, Playwright

log = logging.getLogger(__name__)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "brave-browser")
PLACES = (
    "/snap/bin/chromium",
    "/usr/lib/chromium/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
INSTALL = {
    "darwin": "brew install --cask chromium",
    "win32": "winget install Google.Chrome",
}.get(sys.platform, "apt-get install chromium")

# It talks to nobody but the pages it is sent to, and to those through the gate alone.
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-quic",
    "--disable-sync",
    "--dns-prefetch-disable",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # the gate resolves; nothing leaks past it
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-pings",
)
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "USERPROFILE", "SYSTEMROOT", "LOCALAPPDATA")

MAX_CONTEXTS = 8  # each is a renderer or more, some 60 MB; the one not used for longest goes first
IDLE_S = 900.0  # without a task: then the context goes, and the browser with the last one
REAP_S = 30.0
CLOSE_S = 5.0  # for what is closed to say so
PULSE_S = 2.0  # a browser that does not say its version in that time is taken for dead
LAUNCH_S = 30.0


def find_chromium(configured: str) -> str:
    """The one named, else one on PATH or at a usual place. Raises MissingPartError."""
    if configured:
        found = shutil.which(configured)
        if found is None:
            raise MissingPartError(f"CHROMIUM_PATH: {configured} is no program")
        return found
    for candidate in (*NAMES, *PLACES):
        found = shutil.which(candidate)
        if found is not None:
            return found
    raise MissingPartError(f"Chromium was not found: {INSTALL}, or name it by CHROMIUM_PATH")


class Chromium:
    """The browser: started when needed, again after a crash, ended when nobody has used it for long."""

    def __init__(self, executable: str, *, private_open: bool, sandbox: bool) -> None:
        self.gate = BrowserGate(private_open=private_open)
        self._executable = executable
        self._sandbox = sandbox
        self._proxy = ""
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._pulse: CDPSession | None = None
        self._tabs: OrderedDict[tuple[str, str], Tabs] = OrderedDict()
        self._used_at = time.monotonic()
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Open the gate and see that the browser starts. Raises MissingPartError."""
        self._proxy = await self.gate.start()
        try:
            async with self._changing:
                await self._launched()
        except PlaywrightError as error:
            raise MissingPartError(f"Chromium does not start: {first_line(error)}") from None

    async def stop(self) -> None:
        """End everything; what has died already is no trouble (of a dead driver Playwright raises bare Exception)."""
        async with self._changing:
            await self._end_browser()
            if self._playwright is not None:
                with suppress(Exception):
                    async with asyncio.timeout(CLOSE_S):
                        await self._playwright.stop()
        await self.gate.stop()

    @asynccontextmanager
    async def tabs(self, user_id: str, session_id: str) -> AsyncIterator[Tabs]:
        """That conversation's own context: no cookie is shared with another. Raises UnavailableError."""
        while True:
            async with self._changing:
                tabs = await self._of((user_id, session_id))
            async with tabs.using:
                if tabs not in self._tabs.values():  # closed while this task waited
                    continue
                try:
                    yield tabs
                finally:
                    tabs.used_at = self._used_at = time.monotonic()
                return

    async def _of(self, key: tuple[str, str]) -> Tabs:
        try:
            browser = await self._launched()
            if key not in self._tabs:
                await self._make_room()
                context = await browser.new_context(
                    viewport={"width": VIEWPORT_WIDTH, "height": VIEWPORT_HEIGHT}, accept_downloads=False
                )
                context.set_default_timeout(0)  # the task has a time limit of its own
                self._tabs[key] = Tabs(context)
        except PlaywrightError as error:
            raise UnavailableError(f"Chromium does not start: {first_line(error)}") from None
        self._tabs.move_to_end(key)
        return self._tabs[key]

    async def _make_room(self) -> None:
        """Close the context that nobody has used for longest. Raises UnavailableError when all are at work."""
        if len(self._tabs) < MAX_CONTEXTS:
            return
        idle = next((key for key, tabs in self._tabs.items() if not tabs.using.locked()), None)
        if idle is None:
            raise UnavailableError(f"all {MAX_CONTEXTS} browser pages are at work")
        await self._tabs.pop(idle).close()

    async def reap(self) -> None:
        """Close what has been idle for long; runs until cancelled."""
        while True:
            await asyncio.sleep(REAP_S)
            async with self._changing:
                await self.reap_now()

    async def reap_now(self) -> None:
        """Once."""
        limit = time.monotonic() - IDLE_S
        for key, tabs in list(self._tabs.items()):
            if tabs.used_at < limit and not tabs.using.locked():
                await self._tabs.pop(key).close()
        if not self._tabs and self._used_at < limit:
            await self._end_browser()

    async def _launched(self) -> Browser:
        """The running browser. Raises PlaywrightError."""
        if self._browser is not None and await self._alive():
            return self._browser
        if self._browser is not None:
            log.warning("Chromium has ended and is started again")
        self._tabs.clear()
        try:
            self._browser = await self._launch()
        except PlaywrightError:
            if self._playwright is None or self._browser is None:
                raise
            self._playwright = None  # its driver has died with the browser, or before it
            self._browser = await self._launch()
        return self._browser

    async def _alive(self) -> bool:
        """It, and Playwright's driver: of a dead driver the browser's own state says nothing."""
        assert self._pulse is not None
        try:
            async with asyncio.timeout(PULSE_S):
                await self._pulse.send("Browser.getVersion")
        except Exception:  # noqa: BLE001 - of a dead driver Playwright raises bare Exception
            return False
        return True

    async def _launch(self) -> Browser:
        """Raises PlaywrightError."""
        try:
            async with asyncio.timeout(LAUNCH_S):
                if self._playwright is None:
                    self._playwright = await async_playwright().start()
                browser = await self._playwright.chromium.launch(
                    executable_path=self._executable,
                    headless=True,
                    chromium_sandbox=self._sandbox,
                    args=list(FLAGS),
                    env={name: os.environ[name] for name in PASSED_ON if name in os.environ},  # secrets stay here
                    proxy={"server": self._proxy, "bypass": "<-loopback>"},
                )
                self._pulse = await browser.new_browser_cdp_session()
        except PlaywrightError:
            raise
        except TimeoutError:
            raise PlaywrightError(f"it was not there after {LAUNCH_S:.0f} s") from None
        except Exception as error:  # noqa: BLE001 - of a dead driver Playwright raises bare Exception
            raise PlaywrightError(str(error)) from None
        return browser

    async def _end_browser(self) -> None:
        self._tabs.clear()
        browser, self._browser = self._browser, None
        if browser is not None:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    await browser.close()


def first_line(error: Exception) -> str:
    """Playwright's messages go on with a call log, and begin with the name of a method."""
    line = (str(error).strip().splitlines() or ["it said nothing"])[0]
    head, separator, rest = line.partition(": ")
    return (rest if separator and "." in head and " " not in head else line)[:300]
