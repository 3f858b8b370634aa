"""The running Chromium: finds, starts, watches and ends it. Each user and session has an isolated context."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import time
from collections import Counter, OrderedDict
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from server.embedded.browser.gate import BrowserGate, connections_of_each
from server.embedded.browser.lookups import Names
from server.embedded.browser.pipe import write_launcher
from server.embedded.browser.reading import add_engine
from server.embedded.browser.tabs import VIEWPORT_HEIGHT, VIEWPORT_WIDTH, Tabs
from server.embedded.callers import own_context
from server.embedded.executor import UnavailableError
from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, CDPSession, Playwright, ProxySettings

log = logging.getLogger(__name__)

# The headless shell comes first: it draws the same pages with less CPU and memory than a whole browser without a window.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "brave-browser",
)
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

# The browser connects only to the pages it is sent to, and only through the gate.
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-quic",
    "--disable-sync",
    "--dns-prefetch-disable",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # names are resolved by the gate; nothing bypasses it
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-pings",
)
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "USERPROFILE", "SYSTEMROOT", "LOCALAPPDATA")

NOWHERE = "socks5://127.0.0.1:1"  # for what belongs to no context; nothing does

MAX_CONTEXTS = (
    8  # each has a renderer or more, some 60 MB; the least recently used of the user who has most is closed first
)
MAX_AT_WORK = 4  # of one user, if others are to find one
IDLE_S = 900.0  # without a task; then the context is closed, and with the last one the browser
REAP_S = 30.0
CLOSE_S = 5.0  # for closing to complete
PULSE_S = 2.0  # a browser that does not report its version within this time counts as dead
LAUNCH_S = 30.0


def find_chromium(configured: str) -> str:
    """The configured Chromium, else one on PATH or in a usual place. Raises MissingPartError."""
    if configured:
        found = shutil.which(configured)
        if found is None:
            raise MissingPartError(f"CHROMIUM_PATH: {configured} is not a program")
        return found
    for candidate in (*NAMES, *PLACES):
        found = shutil.which(candidate)
        if found is not None:
            return found
    raise MissingPartError(f"Chromium was not found: {INSTALL}, or name it by CHROMIUM_PATH")


class Chromium:
    """The browser: started on demand, restarted after a crash, ended when unused for long."""

    def __init__(self, executable: str, directory: Path, *, private_open: bool, sandbox: bool) -> None:
        self._executable = executable
        self._directory = directory
        self._sandbox = sandbox
        self._private_open = private_open
        self._names = Names()
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._pulse: CDPSession | None = None
        self._tabs: OrderedDict[tuple[str, str], Tabs] = OrderedDict()
        self._used_at = time.monotonic()
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Check that the browser starts. Raises MissingPartError."""
        try:
            self._executable = str(write_launcher(self._directory, self._executable))
        except OSError as error:
            raise MissingPartError(f"Chromium is started by a script in {self._directory}: {error.strerror}") from None
        try:
            async with self._changing:
                await self._launched()
        except PlaywrightError as error:
            raise MissingPartError(f"Chromium does not start: {first_line(error)}") from None

    async def stop(self) -> None:
        """End everything, including what has already died (for a dead driver, Playwright raises bare Exception)."""
        async with self._changing:
            await self._end_browser()
            if self._playwright is not None:
                with suppress(Exception):
                    async with asyncio.timeout(CLOSE_S):
                        await self._playwright.stop()

    @asynccontextmanager
    async def tabs(self, user_id: str, session_id: str) -> AsyncIterator[Tabs]:
        """The conversation's own context, which shares no cookies with others. Raises UnavailableError."""
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
                self._check_share(key[0])
                await self._make_room()
                self._tabs[key] = await self._opened(browser, key[0])
        except PlaywrightError as error:
            raise UnavailableError(f"Chromium does not start: {first_line(error)}") from None
        self._tabs.move_to_end(key)
        return self._tabs[key]

    async def _opened(self, browser: Browser, user_id: str) -> Tabs:
        """A new context with a gate of its own. Raises PlaywrightError, UnavailableError."""
        gate = BrowserGate(
            self._names.of(user_id),
            private_open=self._private_open,
            max_connections=connections_of_each(MAX_CONTEXTS),
        )
        try:
            proxy: ProxySettings = {"server": gate.start(), "bypass": "<-loopback>"}
        except OSError as error:
            raise UnavailableError(f"the browser has no way out: {error.strerror}") from None
        try:
            context = await browser.new_context(
                viewport={"width": VIEWPORT_WIDTH, "height": VIEWPORT_HEIGHT}, accept_downloads=False, proxy=proxy
            )
        except BaseException:
            await gate.stop()
            raise
        context.set_default_timeout(0)  # the task has its own time limit
        return Tabs(context, gate)

    async def _make_room(self) -> None:
        """Close the least recently used context. Raises UnavailableError if all are in use."""
        if len(self._tabs) < MAX_CONTEXTS:
            return
        idle = [key for key, tabs in self._tabs.items() if not tabs.using.locked()]
        if not idle:
            raise UnavailableError(f"all {MAX_CONTEXTS} browser pages are at work")
        of_users = Counter(user_id for user_id, _ in self._tabs)
        await self._tabs.pop(max(idle, key=lambda key: of_users[key[0]])).close()

    def _check_share(self, user_id: str) -> None:
        """Raises UnavailableError if the user has as many at work as one may have."""
        at_work = sum(key[0] == user_id and tabs.using.locked() for key, tabs in self._tabs.items())
        if at_work >= MAX_AT_WORK:
            raise UnavailableError(f"{MAX_AT_WORK} of this user's browser pages are at work")

    async def reap(self) -> None:
        """Close what has been idle for long. Runs until cancelled."""
        while True:
            await asyncio.sleep(REAP_S)
            async with self._changing:
                await self.reap_now()

    async def reap_now(self) -> None:
        """Close idle contexts once."""
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
        await self._forget_all()
        try:
            self._browser = await self._launch()
        except PlaywrightError:
            if self._playwright is None or self._browser is None:
                raise
            self._playwright = None  # its driver died with the browser or before it
            self._browser = await self._launch()
        return self._browser

    async def _alive(self) -> bool:
        """True if browser and driver respond. The browser's own state does not show that the driver is dead."""
        assert self._pulse is not None
        try:
            async with asyncio.timeout(PULSE_S):
                await self._pulse.send("Browser.getVersion")
        except Exception:  # noqa: BLE001 - for a dead driver, Playwright raises bare Exception
            return False
        return True

    async def _launch(self) -> Browser:
        """Start the browser. Raises PlaywrightError."""
        try:
            async with asyncio.timeout(LAUNCH_S):
                if self._playwright is None:
                    # its tasks serve all callers, whoever it is that finds it dead
                    self._playwright = await asyncio.get_running_loop().create_task(
                        _driver(), name="start Playwright", context=own_context("browser")
                    )
                    await add_engine(self._playwright)
                browser = await self._playwright.chromium.launch(
                    executable_path=self._executable,
                    headless=True,
                    chromium_sandbox=self._sandbox,
                    args=list(FLAGS),
                    env={name: os.environ[name] for name in PASSED_ON if name in os.environ},  # no secrets
                    proxy={"server": NOWHERE, "bypass": "<-loopback>"},
                )
                self._pulse = await browser.new_browser_cdp_session()
        except PlaywrightError:
            raise
        except TimeoutError:
            raise PlaywrightError(f"it was not there after {LAUNCH_S:.0f} s") from None
        except Exception as error:  # noqa: BLE001 - for a dead driver, Playwright raises bare Exception
            raise PlaywrightError(str(error)) from None
        return browser

    async def _forget_all(self) -> None:
        """Forget all contexts, which end with the browser, and cut their connections."""
        gates = [tabs.gate for tabs in self._tabs.values()]
        self._tabs.clear()
        await asyncio.gather(*(gate.stop() for gate in gates))

    async def _end_browser(self) -> None:
        await self._forget_all()
        browser, self._browser = self._browser, None
        if browser is not None:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    await browser.close()


async def _driver() -> Playwright:
    """A new driver. Its client puts the driver's death into a future that it never reads, of which asyncio would write a traceback."""
    manager = async_playwright()
    playwright = await manager.start()
    death: asyncio.Future[None] = manager._client._transport.on_error_future  # type: ignore[union-attr] # noqa: SLF001
    death.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return playwright


def first_line(error: Exception) -> str:
    """The first line of a Playwright message, without the method's name; a call log follows it."""
    line = (str(error).strip().splitlines() or ["it said nothing"])[0]
    head, separator, rest = line.partition(": ")
    return (rest if separator and "." in head and " " not in head else line)[:300]
