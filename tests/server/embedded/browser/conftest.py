"""One browser for the tests of a module. Each test has a service of its own, and the browser is empty when the service gets it.

To start a driver and two browsers, one as the trial of the service's start, was most of the CPU of a test.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tornado.ioloop import IOLoop

from server.embedded.browser.launching import Launcher, Running, find_chromium
from server.embedded.browser.pages import Chromium
from server.embedded.browser.service import wants_sandbox
from tests.server.embedded.executing import config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLEAR_S = 1.0  # for a browser to become empty; a page that is busy does not let itself be closed
started = Launcher.launch


class Lent(Running):
    """The browser, for one service."""

    async def end(self) -> None:
        """Close all that is open in it, or else the browser itself: the next test starts it again."""
        try:
            async with asyncio.timeout(CLEAR_S):
                for context in self.browser.contexts:
                    with suppress(Exception):  # for a dead driver, Playwright raises bare Exception
                        await context.close()
        except TimeoutError:
            await super().end()


class Lender:
    """Starts the browser for the first test that needs it, and again if a test has ended it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._launcher: Launcher | None = None
        self._running: Running | None = None

    async def lend(self) -> Lent:
        if self._launcher is None:
            self._launcher = Launcher(
                find_chromium(""), self._directory, sandbox=wants_sandbox(config(self._directory))
            )
            self._launcher.prepare()
        if self._running is not None and not await self._running.alive():
            await self._running.end()
            self._running = None
        if self._running is None:
            self._running = await started(self._launcher)
        return Lent(self._running.browser, self._running.pulse, self._running.process)

    async def stop(self) -> None:
        if self._running is not None:
            await self._running.end()
        if self._launcher is not None:
            await self._launcher.stop()
        self._launcher = self._running = None


@pytest.fixture(scope="module")
def loop_of_module() -> Iterator[IOLoop]:
    """Playwright's connection belongs to the loop on which it was made."""
    loop = IOLoop()
    yield loop
    loop.close(all_fds=True)


@pytest.fixture
def io_loop(loop_of_module: IOLoop) -> Iterator[IOLoop]:
    asyncio.set_event_loop(loop_of_module.asyncio_loop)  # type: ignore[attr-defined] # Tornado's loop
    yield loop_of_module
    asyncio.set_event_loop(None)


@pytest.fixture(scope="module")
def lender(loop_of_module: IOLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lender]:
    lender = Lender(tmp_path_factory.mktemp("browser"))
    yield lender
    loop_of_module.run_sync(lender.stop)


@pytest.fixture
def own_browser(loop_of_module: IOLoop, lender: Lender) -> None:
    """For tests of how browsers start and end, and of what is left of them: no browser but those of the test's own services."""
    loop_of_module.run_sync(lender.stop)


@pytest.fixture(autouse=True)
def _lent_browser(request: pytest.FixtureRequest, lender: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the first user of a service; others get one of their own."""
    if "own_browser" in request.fixturenames:
        return
    lent = False

    async def start(chromium: Chromium) -> None:
        chromium._launcher.prepare()

    async def launch(launcher: Launcher) -> Running:
        nonlocal lent
        if lent:
            return await started(launcher)
        lent = True
        return await lender.lend()

    monkeypatch.setattr(Chromium, "start", start)
    monkeypatch.setattr(Launcher, "launch", launch)
