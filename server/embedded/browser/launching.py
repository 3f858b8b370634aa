"""Chromium is found here, started for a user, watched, and ended. All browsers have one driver (Playwright's Node.js process)."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playwright.async_api import Error as PlaywrightError

from server.embedded.browser.driver import CLOSE_S, PULSE_S, Driver, Scratch
from server.embedded.browser.pipe import write_launcher
from server.embedded.callers import own_context
from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Browser, CDPSession

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
    # A network service of its own that has ended, of too much memory for one, comes back without the gate of each context: nothing
    # loads any more. In the browser's process, it ends with the browser. (The first one is Playwright's, whose list this replaces.)
    "--enable-features=CDPScreenshotNewSurface,NetworkServiceInProcess2",
)
NOT_PASSED = (  # of Playwright's own
    "--disable-ipc-flooding-protection",  # else a page that sets its address in a loop takes all the CPU there is
)
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TEMP", "USERPROFILE", "SYSTEMROOT", "LOCALAPPDATA")

NOWHERE = "socks5://127.0.0.1:1"  # for what belongs to no context; nothing does

LAUNCH_S = 60.0  # on a busy machine; a usual one takes one


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


@dataclass(frozen=True, slots=True)
class Running:
    """A user's browser. `pulse`: a session with the browser itself, which no page has a part in."""

    browser: Browser
    pulse: CDPSession
    process: int

    async def alive(self) -> bool:
        """True if browser and driver respond. The browser's own state does not show that the driver is dead."""
        try:
            async with asyncio.timeout(PULSE_S):
                await self.pulse.send("Browser.getVersion")
        except Exception:  # noqa: BLE001 - for a dead driver, Playwright raises bare Exception
            return False
        return True

    async def end(self) -> None:
        """Close the browser, also one that does not respond."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.browser.close()
        except TimeoutError:
            with suppress(OSError):
                os.kill(self.process, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        except Exception:  # noqa: BLE001, S110 - for a dead driver, Playwright raises bare Exception; its browsers end with it
            pass


class Launcher:
    """Starts browsers by one driver, which is started on demand and again after its death."""

    def __init__(self, executable: str, directory: Path, *, sandbox: bool) -> None:
        self._executable = executable
        self._directory = directory
        self._sandbox = sandbox
        self._scratch: Scratch | None = None
        self._driver: asyncio.Task[Driver] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def prepare(self) -> None:
        """Write what browsers are started by. Raises MissingPartError."""
        try:
            self._executable = str(write_launcher(self._directory, self._executable))
        except OSError as error:
            raise MissingPartError(f"Chromium is started by a script in {self._directory}: {error.strerror}") from None
        try:
            self._scratch = Scratch()
        except OSError as error:
            raise MissingPartError(f"Chromium needs a folder for temporary files: {error.strerror}") from None

    async def launch(self) -> Running:
        """Start a browser. Raises PlaywrightError."""
        # a start cannot be taken back: whoever gives up waits no more, and the browser is ended when it is there
        starting = asyncio.get_running_loop().create_task(
            self._browser(), name="start Chromium", context=own_context("browser")
        )
        running = None
        try:
            async with asyncio.timeout(LAUNCH_S):
                running = await _known(await asyncio.shield(starting))
        except PlaywrightError:
            raise
        except TimeoutError:
            raise PlaywrightError(f"it was not there after {LAUNCH_S:.0f} s") from None
        except Exception as error:  # noqa: BLE001 - for a dead driver, Playwright raises bare Exception
            raise PlaywrightError(str(error)) from None
        finally:
            if running is None:
                self._give_up(starting)
        return running

    async def _browser(self) -> Browser:
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}  # no secrets
        driver = await self._answering()
        return await driver.playwright.chromium.launch(
            executable_path=self._executable,
            headless=True,
            chromium_sandbox=self._sandbox,
            args=list(FLAGS),
            ignore_default_args=list(NOT_PASSED),
            env={**passed_on, "TMPDIR": str(driver.folder)},
            proxy={"server": NOWHERE, "bypass": "<-loopback>"},
            timeout=LAUNCH_S * 1000,
        )

    def _give_up(self, starting: asyncio.Task[Browser]) -> None:
        ending = asyncio.get_running_loop().create_task(
            _ended(starting), name="end Chromium", context=own_context("browser")
        )
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _answering(self) -> Driver:
        """The running driver, or a new one. Its tasks serve all callers; one that has left half-way ends none."""
        asked = self._driver
        if asked is not None and asked.done() and not await _answers(asked) and self._driver is asked:
            self._driver = None  # nobody else has replaced it meanwhile
        if self._driver is None:
            self._driver = asyncio.get_running_loop().create_task(
                self._started(), name="start Playwright", context=own_context("browser")
            )
            # Perhaps nobody reads it
            self._driver.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await asyncio.shield(self._driver)

    async def _started(self) -> Driver:
        assert self._scratch is not None, "prepare() comes first"
        driver = Driver(self._scratch.path)
        await driver.start()
        return driver

    async def stop(self) -> None:
        """End the driver, also one that is dead, and remove what browsers have left."""
        if self._driver is not None:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    driver = await self._driver
                await driver.stop()
        for ending in tuple(self._ending):  # its browser has ended with the driver
            ending.cancel()
        if self._scratch is not None:
            self._scratch.remove()


async def _known(browser: Browser) -> Running:
    """Raises PlaywrightError, or a bare Exception, if it does not answer."""
    pulse = await browser.new_browser_cdp_session()
    processes = (await pulse.send("SystemInfo.getProcessInfo"))["processInfo"]
    return Running(browser, pulse, next(one["id"] for one in processes if one["type"] == "browser"))


async def _ended(starting: asyncio.Task[Browser]) -> None:
    """End a browser that nobody knows of, once it has started."""
    with suppress(Exception):  # it did not start, or has ended
        await (await starting).close()  # the driver kills one that does not close


async def _answers(started: asyncio.Task[Driver]) -> bool:
    """Ask a driver, and end it if it does not answer: it may have been stopped."""
    if started.cancelled() or started.exception() is not None:
        return False
    answers = await started.result().answers()
    if not answers:
        started.result().kill()
    return answers


def first_line(error: Exception) -> str:
    """The first line of a Playwright message, without the method's name; a call log follows it."""
    line = (str(error).strip().splitlines() or ["it said nothing"])[0]
    head, separator, rest = line.partition(": ")
    return (rest if separator and "." in head and " " not in head else line)[:300]
