"""No page keeps its tab: another one takes its place, whatever the page does against that.

A page that is left runs its handlers of `beforeunload`, and those of `pagehide` when the other one's answer is there. It may also
hold every connection that the other one's request needs. So a page gets a few seconds for each of these, and is closed if that is
not enough. The time in which the request is at its server does not count: a slow server is no fault of the page that is left. Nor
does that of looking the name up and connecting, up to a limit, because the page may connect to the same host.
A page that goes elsewhere by itself meanwhile, which breaks the other one's request off, is closed at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error as PlaywrightError

from server.embedded.addresses import read_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import CDPSession, Page

    from server.embedded.browser.gate import BrowserGate
    from server.embedded.browser.tabs import Tabs

LEAVE_S = 5.0  # a usual page takes some milliseconds
REPORT_S = 1.0  # for a page to confirm that its requests are reported; a busy one does not, and is left without that
WAY_S = 20.0  # for looking the name up and connecting
DETACH_S = 0.5  # a page that is busy does so later


class StaysError(Exception):
    """The page has held up the opening of another one, or has broken it off, or has closed itself."""


class _Departure:
    """Whose turn it is: the page's, which has a limit, or the server's."""

    def __init__(self, limit: asyncio.Timeout, frame: str, gate: BrowserGate) -> None:
        self._limit = limit
        self._gate = gate
        self._host = ""
        self._way_until = 0.0
        self._frame = frame
        self._request = ""
        self._begun = 0  # the request and its redirects
        self._answered = False
        self._others = False  # the request is not the first
        self._goes_on = False  # the page, by itself
        self.over = False  # a last few events come after that
        # of every request, because some are told to be sent before they are told to have begun
        self._sent: Counter[str] = Counter()

    def begun(self, event: dict[str, Any]) -> None:
        if event.get("type") != "Document" or event.get("frameId") != self._frame:
            return
        if self._request != event["requestId"]:
            # Of two without an answer, one is the page's. After an answer, it is mostly that of the page that has come, but may still be
            # one of the page that is left: its server gets no time.
            second = bool(self._request) and not self._answered
            if second or (not self._request and event["initiator"]["type"] != "other"):
                self._go_on()
            self._others = bool(self._request)
            self._request, self._begun, self._answered = event["requestId"], 0, False
        self._begun += 1
        self._host = read_url(event["request"]["url"]).host
        self._way_until = asyncio.get_running_loop().time() + WAY_S
        self._turn(of_server=self._sent[self._request] >= self._begun)

    def sent(self, event: dict[str, Any]) -> None:
        self._sent[event["requestId"]] += 1
        if event["requestId"] == self._request and not self._answered:  # either may be told first
            self._turn(of_server=self._sent[self._request] >= self._begun)

    def way_changed(self) -> None:
        if self._request and self._sent[self._request] < self._begun:
            self._turn(of_server=False)

    def answered(self, event: dict[str, Any]) -> None:
        if event["requestId"] == self._request:
            self._answered = True
            self._turn(of_server=False)

    def broken_off(self, error: PlaywrightError | None = None) -> bool:
        """True if the page is why the other one did not come. A download, or an answer without a page, is not its doing."""
        unanswered = "net::ERR_ABORTED" in str(error) and not self._answered
        return self._goes_on or unanswered or "interrupted by another navigation" in str(error)

    def _go_on(self) -> None:
        if not self.over and not self._limit.expired():
            self._goes_on = True
            self._limit.reschedule(asyncio.get_running_loop().time())

    def _turn(self, *, of_server: bool) -> None:
        if not self.over and not self._goes_on and not self._limit.expired():
            until = asyncio.get_running_loop().time() + LEAVE_S
            if self._sent[self._request] < self._begun:  # a redirect has its own way
                until = self._way_until if self._gate.is_connecting(self._host) else min(until, self._way_until)
            self._limit.reschedule(None if of_server and not self._others else until)


@asynccontextmanager
async def leaving(tabs: Tabs, page: Page) -> AsyncIterator[None]:
    """Watch over the opening of an address in the page's place. Raises StaysError, PlaywrightError."""
    session: CDPSession | None = None
    limit = asyncio.timeout(LEAVE_S)
    try:
        async with limit:
            session = await tabs.context.new_cdp_session(page)
            target = await session.send("Target.getTargetInfo")
            departure = _Departure(limit, target["targetInfo"]["targetId"], tabs.gate)
            tabs.gate.on_change = departure.way_changed
            session.on("Network.requestWillBeSent", departure.begun)
            session.on("Network.requestWillBeSentExtraInfo", departure.sent)
            session.on("Network.responseReceived", departure.answered)
            enabling = asyncio.get_running_loop().create_task(
                _sent(session, "Network.enable"), name="watch a page leave"
            )
            try:
                # The request must not begin before it is reported: its server's time would count as the page's.
                await asyncio.wait((enabling,), timeout=REPORT_S)
                yield
                if departure.broken_off():  # then Playwright may wait for ever for what the page began
                    raise StaysError
            except PlaywrightError as error:
                if departure.broken_off(error):
                    raise StaysError from None
                raise
            finally:
                departure.over = True
                enabling.cancel()
    except TimeoutError:
        raise StaysError from None
    except PlaywrightError:
        if await tabs.lost():
            raise StaysError from None
        raise
    finally:
        tabs.gate.on_change = None
        if session is not None and not limit.expired():  # otherwise it ends with the page
            with suppress(PlaywrightError, TimeoutError):
                async with asyncio.timeout(DETACH_S):
                    await session.detach()


async def _sent(session: CDPSession, method: str) -> None:
    with suppress(Exception):  # the page has ended; for a dead driver, Playwright raises bare Exception
        await session.send(method)
