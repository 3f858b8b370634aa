"""The browsers of users, one for each, with an isolated context for each session.

What a page does to its browser, whose process all its pages share, it does to its own user.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from playwright.async_api import Error as PlaywrightError

from server.embedded.browser.gate import BrowserGate, connections_of_each
from server.embedded.browser.launching import Launcher, first_line
from server.embedded.browser.lookups import Names
from server.embedded.browser.tabs import VIEWPORT_HEIGHT, VIEWPORT_WIDTH, Tabs
from server.embedded.callers import own_context
from server.embedded.executor import FullError, UnavailableError
from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, ProxySettings

    from server.embedded.browser.launching import Running

log = logging.getLogger(__name__)

MAX_CONTEXTS = (
    8  # each has a renderer or more, some 60 MB; the least recently used of the user who has most is closed first
)
MAX_AT_WORK = 4  # of one user, if others are to find one
IDLE_S = 900.0  # without a task; then the context is closed, and with a user's last one the browser
REAP_S = 30.0


class Chromium:
    """The browsers: started on demand, restarted after a crash, ended with their last context."""

    def __init__(self, executable: str, directory: Path, *, private_open: bool, sandbox: bool) -> None:
        self._launcher = Launcher(executable, directory, sandbox=sandbox)
        self._private_open = private_open
        self._names = Names()
        self._running: dict[str, Running] = {}
        self._tabs: OrderedDict[tuple[str, str], Tabs] = OrderedDict()
        self._finding: dict[tuple[str, str], asyncio.Task[Tabs]] = {}
        self._opening: Counter[str] = Counter()  # contexts of each user that are opened now
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # for each user

    async def start(self) -> None:
        """Check that a browser starts. Raises MissingPartError."""
        self._launcher.prepare()
        try:
            running = await self._launcher.launch()
        except PlaywrightError as error:
            raise MissingPartError(f"Chromium does not start: {first_line(error)}") from None
        await running.end()

    async def stop(self) -> None:
        """End everything, including what has already died."""
        await asyncio.gather(*self._finding.values(), return_exceptions=True)
        await asyncio.gather(*map(self._end, list(self._running)))
        await self._launcher.stop()

    @asynccontextmanager
    async def tabs(self, user_id: str, session_id: str) -> AsyncIterator[Tabs]:
        """The conversation's own context, which shares no cookies with others. Raises FullError, UnavailableError."""
        while True:
            tabs = await self._of((user_id, session_id))
            if not tabs.tasks:  # else it is at work already
                self._check_share(user_id)
            tabs.tasks += 1
            try:
                async with tabs.using:
                    if tabs in self._tabs.values():  # else it was closed while this task waited
                        yield tabs
                        return
            finally:
                tabs.tasks -= 1
                tabs.used_at = time.monotonic()

    async def _of(self, key: tuple[str, str]) -> Tabs:
        """Find it in a task that a cancelled call leaves to its end: a browser or context that starts could not be taken back."""
        finding = self._finding.get(key)
        if finding is None:
            finding = self._finding[key] = asyncio.get_running_loop().create_task(
                self._found(key), name="find a browser page", context=own_context("browser")
            )
            # Perhaps nobody reads it
            finding.add_done_callback(lambda ended: self._finding.pop(key) and ended.exception())
        return await asyncio.shield(finding)

    async def _found(self, key: tuple[str, str]) -> Tabs:
        user_id = key[0]
        changing = self._changing.setdefault(user_id, asyncio.Lock())
        try:
            async with changing:
                running = self._running.get(user_id)
                if running is not None and not await running.alive():
                    log.warning("Chromium has ended and is started again")
                    await self._end(user_id)
                if key not in self._tabs:
                    await self._open(key)
                self._tabs.move_to_end(key)
                return self._tabs[key]
        except PlaywrightError as error:
            raise UnavailableError(f"Chromium does not start: {first_line(error)}") from None

    async def _open(self, key: tuple[str, str]) -> None:
        """Open a context, in the place of another one if there are many. Raises PlaywrightError, FullError, UnavailableError."""
        user_id = key[0]
        self._check_share(user_id)
        given_up = self._given_up()
        self._opening[user_id] += 1
        try:
            if given_up is not None:
                await self._close(given_up)
            if user_id not in self._running:
                self._running[user_id] = await self._launcher.launch()
            self._tabs[key] = await self._opened(self._running[user_id].browser, user_id)
        finally:
            self._opening.subtract((user_id,))
            self._opening += Counter()  # without those that have none

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
                viewport={"width": VIEWPORT_WIDTH, "height": VIEWPORT_HEIGHT},
                accept_downloads=False,
                proxy=proxy,
                service_workers="block",  # they outlive their pages, and nobody is told of the requests that they answer
            )
        except BaseException:
            await gate.stop()
            raise
        context.set_default_timeout(0)  # the task has its own time limit
        return Tabs(context, gate)

    def _given_up(self) -> tuple[str, str] | None:
        """The least recently used context of the user who has most, if there are many. Raises FullError if all are in use."""
        if len(self._tabs) + self._opening.total() < MAX_CONTEXTS:
            return None
        idle = [key for key, tabs in self._tabs.items() if not tabs.tasks]
        if not idle:
            raise FullError(f"all {MAX_CONTEXTS} browser pages are at work")
        of_users = Counter(user_id for user_id, _ in self._tabs)
        return max(idle, key=lambda key: of_users[key[0]])

    def _check_share(self, user_id: str) -> None:
        """Raises FullError if the user has as many at work as one may have."""
        at_work = sum(key[0] == user_id and tabs.tasks > 0 for key, tabs in self._tabs.items())
        if at_work >= MAX_AT_WORK:
            raise FullError(f"{MAX_AT_WORK} of this user's browser pages are at work")

    async def reap(self) -> None:
        """Close what has been idle for long. Runs until cancelled."""
        while True:
            await asyncio.sleep(REAP_S)
            try:
                await self.reap_now()
            except Exception:  # one that cannot be closed keeps no others open for good
                log.exception("idle pages could not be closed")

    async def reap_now(self) -> None:
        """Close idle contexts once, and browsers that have none."""
        limit = time.monotonic() - IDLE_S
        for key, tabs in list(self._tabs.items()):
            if self._tabs.get(key) is tabs and tabs.used_at < limit and not tabs.tasks:
                await self._close(key)
        for user_id in list(self._running):
            await self._end_unused(user_id)

    async def _close(self, key: tuple[str, str]) -> None:
        await self._tabs.pop(key).close()
        await self._end_unused(key[0])

    async def _end_unused(self, user_id: str) -> None:
        if user_id not in self._opening and not any(user_id == key[0] for key in self._tabs):
            await self._end(user_id)

    async def _end(self, user_id: str) -> None:
        """End a user's browser with its contexts and their connections."""
        running = self._running.pop(user_id, None)
        ended = [self._tabs.pop(key) for key in list(self._tabs) if key[0] == user_id]
        await asyncio.gather(*(tabs.gate.stop() for tabs in ended))
        if running is not None:
            await running.end()
