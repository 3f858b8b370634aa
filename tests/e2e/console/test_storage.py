"""A browser that stores nothing, or no more; and several tabs of one user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browser import go, in_writing, say, see, turns_are_over

if TYPE_CHECKING:
    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.gen_test(timeout=60)
BLOCKED = """
for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])
  Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
"""
FULL = """
IDBObjectStore.prototype.add = IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };
Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };
"""


@pytest.mark.parametrize("trouble", [BLOCKED, FULL], ids=["blocked", "full"])
async def test_a_browser_that_stores_nothing_is_good_for_a_session(
    console: Console, gateway: GatewayProcess, trouble: str
) -> None:
    async with console(gateway, signed_in=False) as page:
        await page.add_init_script(trouble)
        await page.goto("about:blank")
        await page.goto(f"{gateway.base}/console#token={gateway.token}")
        await see(page, "#status[data-state=online]")
        await in_writing(page)
        await say(page, "what time is it")
        await turns_are_over(page, 1)
        await see(page, ".toast >> text=This browser keeps nothing")
        await page.click("#theme")
        await go(page, "recordings")
        if trouble == BLOCKED:
            await see(page, "text=This browser keeps no sessions")
        await go(page, "lab")
        await page.click("#measure")
        await go(page, "talk")
        assert await page.locator(".turn[data-status=ok]").count() == 1


async def test_tabs_are_sessions_of_their_own(console: Console, gateway: GatewayProcess) -> None:
    """Closing one leaves the others, and a copied tab does not take the session from the first."""
    async with console(gateway) as page:
        tabs = [page]
        for _ in range(4):
            tab = await page.context.new_page()
            await tab.goto(f"{gateway.base}/console#token={gateway.token}")
            tabs.append(tab)
        for number, tab in enumerate(tabs):
            await see(tab, "#status[data-state=online]")
            await in_writing(tab)
            await say(tab, f"remember that my favourite number is {number}")
        for tab in tabs:
            await turns_are_over(tab, 1)
        sessions = {await tab.inner_text("#about") for tab in tabs}
        assert len(sessions) == 5
        async with page.expect_popup() as copied:  # `window.open` copies the tab's storage, as duplicating it does
            await page.evaluate("window.open('/console')")
        copy = await copied.value
        await see(copy, "#status[data-state=online]")
        assert await copy.inner_text("#about") not in sessions
        await tabs[-1].close()
        await say(page, "what time is it")
        await turns_are_over(page, 2)


async def test_a_gateway_with_another_key_leads_back_to_the_sign_in(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, pardon=("401",)) as page:
        await page.route(
            "**/api/v1/auth/ticket", lambda route: route.fulfill(status=401, json={"code": "UNAUTHENTICATED"})
        )
        await go(page, "wire")
        await page.click("#cut")
        await see(page, "#sign-in >> text=Sign in again")
        assert not await page.evaluate("sessionStorage.getItem('jarvis.token')"), "a refused token is forgotten"


@pytest.mark.parametrize(
    "left",
    [
        "localStorage.setItem('jarvis.console', JSON.stringify({ theme: 'sepia', mode: 'shout', rate: 'x' }))",
        "sessionStorage.setItem('jarvis.parked', JSON.stringify({ tail: [], client: {} }))",
        "sessionStorage.setItem('jarvis.parked', JSON.stringify({ tail: [] }))",
    ],
    ids=["settings", "session", "nothing"],
)
async def test_what_another_version_left_stops_no_page(console: Console, gateway: GatewayProcess, left: str) -> None:
    async with console(gateway) as page:
        await page.goto(f"{gateway.base}/live")
        await page.evaluate(left)
        await page.goto(f"{gateway.base}/console")
        await see(page, "#status[data-state=online]")
        assert await page.is_visible("#microphone")
