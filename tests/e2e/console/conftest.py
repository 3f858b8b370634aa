"""One browser for all tests of the console. Each test has a context of its own: storage, permissions, pages."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tornado.ioloop import IOLoop

from tests.support import browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Browser

    from tests.support.browser import Console


@pytest.fixture(scope="package")
def io_loop() -> Iterator[IOLoop]:
    """One loop for these tests, since Playwright's connection belongs to the loop on which it was made."""
    loop = IOLoop()
    yield loop
    loop.close(all_fds=True)


@pytest.fixture(scope="package")
def shared_browser(io_loop: IOLoop) -> Iterator[Browser]:
    stack = AsyncExitStack()
    yield io_loop.run_sync(lambda: stack.enter_async_context(browser.launched()))
    io_loop.run_sync(stack.aclose)


@pytest.fixture
def console(shared_browser: Browser) -> Console:
    """`tests.support.browser.console` in the shared browser."""
    return partial(browser.console, browser=shared_browser)
