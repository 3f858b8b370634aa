"""M7, browser executor: Playwright on the system's Chromium, one browser per user and one isolated context per session."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from server.embedded.addresses import private_network_open, read_url
from server.embedded.browser.actions import (
    ACTIONS,
    STEPS,
    NavigateParameters,
    Work,
    net_error_words,
)
from server.embedded.browser.arrival import (
    BUSY,
    COMING,
    ERROR_PAGE,
    FailedError,
    attended,
    come,
    is_open,
    refuse_unshown,
    told,
)
from server.embedded.browser.handling import HIDDEN, NOT_THERE, matter
from server.embedded.browser.launching import find_chromium, first_line
from server.embedded.browser.pages import Chromium
from server.embedded.browser.pipe import MAX_PROCESS_BYTES
from server.embedded.browser.pointing import shows_others
from server.embedded.browser.reading import read_where
from server.embedded.browser.tabs import MAX_TABS
from server.embedded.executor import Action, ExecutorService, Parameters, Task, TaskOutcome
from server.embedded.neighbours import check_routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.embedded.browser.tabs import Tabs
    from server.embedded.service import EmbeddedConfig

LOOKING = frozenset({"extract_text", "links", "screenshot", "scroll", "wait"})  # the others may lead to another page
WITHOUT_PAGE = frozenset({"navigate", "back"})  # the others need an open page
NO = frozenset({"0", "false", "no", "off"})
_TOO_LARGE = f"took more than {MAX_PROCESS_BYTES // 1024**2} MiB of memory"
CRASHED = f"the page has ended: it crashed, or {_TOO_LARGE}"
ENDED = f"the browser ended, or its page crashed or {_TOO_LARGE}; the next task starts it again"
NO_PAGE = "no page is open"
ELSEWHERE = ", or in a frame of another site, where nothing can be used: open its address to use it"
CROWDED = f"the page was closed, because more than {MAX_TABS} windows were open"
# Of Playwright's scripts: a form's fields took names that these need
_SCRIPT_ERROR = re.compile(r"(Type|Range|Reference)Error: ")
WHERE_TIMEOUT_S = 1.0  # for the title of a page that has just failed


class BrowserService(ExecutorService):
    """Runs browser actions in a Chromium for each user; idle pages are closed."""

    name: ClassVar[str] = "browser"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._chromium: Chromium | None = None
        self._reaper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find Chromium and check that it starts. Raises MissingPartError."""
        executable = find_chromium(self.config.option("CHROMIUM_PATH"))
        private_open = private_network_open(self.config)
        if not private_open:
            check_routes()
        chromium = Chromium(
            executable,
            self.config.directory,
            private_open=private_open,
            sandbox=wants_sandbox(self.config),
        )
        try:
            await chromium.start()
        except BaseException:
            await chromium.stop()
            raise
        self._chromium = chromium
        self._reaper = asyncio.get_running_loop().create_task(chromium.reap(), name="idle browser pages")

    async def stop(self) -> None:
        """End the browser."""
        if self._reaper is not None:
            self._reaper.cancel()
        if self._chromium is not None:
            await self._chromium.stop()

    def actions(self) -> Mapping[str, Action]:
        """The actions on a page."""
        return ACTIONS

    async def perform(self, name: str, parameters: Parameters, task: Task) -> TaskOutcome:
        """Run an action on the conversation's page."""
        assert self._chromium is not None, "calls are refused until start() is done"
        await task.tell(begin_words(name, parameters), percent=0)
        async with self._chromium.tabs(task.user_id, task.session_id) as tabs:
            try:
                outcome = _well_formed(await self._attempt(tabs, name, parameters, task))
            except asyncio.CancelledError:
                await tabs.stop_loading()
                raise
            if "url" in outcome.values:
                tabs.told_url = outcome.values["url"]
            if tabs.dialogs:  # also those since the task before
                told = {"dialogs": [text for text, _ in tabs.dialogs]}
                if declined := [text for text, asks in tabs.dialogs if asks]:
                    told["declined"] = declined
                outcome = _well_formed(replace(outcome, values={**outcome.values, **told}))
                tabs.dialogs.clear()
        await task.tell("done" if outcome.ok else outcome.message, percent=100)
        return outcome

    async def _attempt(self, tabs: Tabs, name: str, parameters: Parameters, task: Task) -> TaskOutcome:
        crashed, tabs.crashed = tabs.crashed, False
        tabs.crowded = False
        try:
            step = _step(tabs, name, parameters, task, no_page=CRASHED if crashed else NO_PAGE)
            with nullcontext() if name in LOOKING else tabs.acting():
                values = await (step if name in WITHOUT_PAGE else attended(tabs, step))
        except FailedError as failed:
            return TaskOutcome(await _where(tabs), ok=False, message=str(failed))
        except PlaywrightTimeout as late:
            where = await _where(tabs)
            if where:
                message = await _missing(tabs, parameters, str(late))
            else:
                message = COMING if tabs.current is not None and tabs.is_left(tabs.current) else BUSY
            return TaskOutcome(where, ok=False, message=message)
        except PlaywrightError as error:
            return TaskOutcome(await _where(tabs), ok=False, message=await _words(tabs, error, parameters))
        return TaskOutcome(values)


async def _step(tabs: Tabs, name: str, parameters: Parameters, task: Task, no_page: str) -> dict[str, Any]:
    page = await (tabs.page() if name == "navigate" else told(tabs))
    if name not in WITHOUT_PAGE:
        await come(tabs, page)
        if page.is_closed() or not await is_open(page):
            raise FailedError(tabs.lost_words or no_page)
    if name != "navigate":
        refuse_unshown(tabs, task.asked_at)
    await task.tell("the browser is ready", percent=20)
    return await STEPS[name](Work(tabs, page, task), parameters)


def _well_formed(outcome: TaskOutcome) -> TaskOutcome:
    """Everything that leaves a page: its strings may hold half a character, which no message can."""
    return replace(outcome, values=_whole(outcome.values), message=_whole(outcome.message))


def _whole(value: Any) -> Any:
    match value:
        case str():
            halves = value.encode("utf-16", "surrogatepass") if not value.isascii() else b""
            return halves.decode("utf-16", "replace") if halves else value
        case dict():
            return {name: _whole(one) for name, one in value.items()}
        case list():
            return [_whole(one) for one in value]
    return value


def wants_sandbox(config: EmbeddedConfig) -> bool:
    """Whether to use Chromium's sandbox. It refuses root, and some containers lack it (CHROMIUM_SANDBOX=false)."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return False
    return config.option("CHROMIUM_SANDBOX", "true").strip().lower() not in NO


async def _words(tabs: Tabs, error: PlaywrightError, parameters: Parameters) -> str:
    """Why it failed, from the best source: the gate, Chromium's error, or Playwright's."""
    if "has been closed" in str(error) or "crashed" in str(error):
        return CROWDED if tabs.crowded and not tabs.crashed else ENDED
    reason = ""
    if isinstance(parameters, NavigateParameters) and "net::ERR_SOCKS" in str(error):
        reason = await tabs.unreachable_words() or tabs.gate.reason(read_url(parameters.url).host)
    line = first_line(error)
    return reason or net_error_words(str(error)) or (HIDDEN if _SCRIPT_ERROR.match(line) else line)


def begin_words(name: str, parameters: Parameters) -> str:
    """What is about to be done, without any typed text."""
    if isinstance(parameters, NavigateParameters):
        return f"opening {read_url(parameters.url).host or parameters.url}"
    return ACTIONS[name].description.lower()


def missing_words(parameters: Parameters, message: str) -> str:
    """The message for an element that did not appear or could not be used. `message`: Playwright's."""
    named = getattr(parameters, "selector", None) or getattr(parameters, "text", None) or "the element"
    return f"{str(named)[:80]} {matter(message)}"


async def _missing(tabs: Tabs, parameters: Parameters, message: str) -> str:
    words = missing_words(parameters, message)
    others = words.endswith(NOT_THERE) and tabs.current is not None and await shows_others(tabs.current)
    return words + ELSEWHERE if others else words


async def _where(tabs: Tabs) -> dict[str, Any]:
    """The page's address and title after a failure, if available."""
    try:
        async with asyncio.timeout(WHERE_TIMEOUT_S):
            page = await tabs.page()
            shown = await read_where(page)
            return shown if not page.url.startswith(ERROR_PAGE) else {}
    except (PlaywrightError, TimeoutError):
        return {}
