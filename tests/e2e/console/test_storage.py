"""A browser that stores nothing, or no more; and several tabs of one user."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.support.browser import WAIT_MS, forget_toasts, go, in_writing, say, see, turns_are_over

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess

BLOCKED = """
for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])
  Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
"""
FULL = """
IDBObjectStore.prototype.add = IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };
Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };
"""

# A promise of an open database, to run in another page of the console's origin.
OPEN = """
const open = (version, upgrade) => new Promise((resolve, reject) => {
  const request = indexedDB.open('jarvis.console', version);
  request.onupgradeneeded = () => upgrade?.(request.result);
  request.onsuccess = () => resolve(request.result);
  request.onerror = request.onblocked = () => reject(new Error('blocked, or failed'));
});
const all = async (name) => {
  const db = await open();
  db.onversionchange = () => db.close();
  const rows = db.objectStoreNames.contains(name) ? db.transaction(name).objectStore(name).getAll() : {};
  await new Promise((resolve) => { rows.onsuccess = resolve; if (rows.readyState !== 'pending') resolve(); });
  db.close();
  return rows.result ?? [];
};
"""
# The database gives nothing until `window.isRead`.
SLOW = """
const { getAllKeys } = IDBIndex.prototype;
IDBIndex.prototype.getAllKeys = function (id) {
  const held = {};
  const ask = () => { const asked = getAllKeys.call(this, id); asked.onsuccess = () => { held.result = asked.result; held.onsuccess(); }; };
  const wait = () => { if (window.isRead) ask(); else this.objectStore.get(0).onsuccess = wait; }; // or the transaction would end
  wait();
  return held;
};
"""
DAMAGE = """async () => {
  const [{ id, userId }] = await all('sessions');
  const db = await open();
  const writing = db.transaction(['sessions', 'lines'], 'readwrite');
  for (const row of [{ id: 'without words', userId }, { id: 'of types', userId, words: 3, startedAt: 'x', bytes: null, turns: {} }])
    writing.objectStore('sessions').put(row);
  for (const lines of [undefined, 3, [null, {}, { n: 'x', at: 1, direction: 'in', message: {} }, { n: 9e5, at: 1, direction: 'in', bytes: 'x' }]])
    writing.objectStore('lines').add({ id, lines });
  await new Promise((resolve) => { writing.oncomplete = resolve; });
  db.close();
}"""
LATER = """async () => {
  await new Promise((resolve) => { indexedDB.deleteDatabase('jarvis.console').onsuccess = resolve; });
  (await open(7, (db) => db.createObjectStore('sessions', { keyPath: 'number' }))).close();
}"""


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
        await expect(page.locator(".turn[data-status=ok]")).to_have_count(1)


async def test_a_database_that_never_opens_keeps_no_page_waiting(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        session = await page.inner_text("#about")
        await page.add_init_script("IDBFactory.prototype.open = () => ({});")
        await page.reload()
        await see(page, "#status[data-state=online]")
        assert (await page.inner_text("#about")).split(" · ")[:2] == session.split(" · ")[:2]
        await go(page, "recordings")
        await see(page, "text=This browser keeps no sessions (it does not answer)")


async def test_a_session_is_resumed_while_its_past_is_read(console: Console, gateway: GatewayProcess) -> None:
    """Nothing of either is lost or doubled, even if the page is left in between."""
    async with console(gateway) as page:
        await in_writing(page)
        await say(page, "what time is it")
        await turns_are_over(page, 1)
        await _kept(page, gateway, 1)
        await say(page, "what can you do")
        await page.add_init_script(SLOW)
        for _ in range(2):
            await page.reload()
            await see(page, "#status[data-state=online]")
            await see(page, "#main >> text=Reading the past…")
            await expect(page.locator(".view")).to_have_count(0)
        await page.evaluate("window.isRead = true")
        await turns_are_over(page, 2)
        await expect(page.locator(".talk .turn[data-status=ok]")).to_have_count(2)
        await go(page, "recordings")
        async with page.expect_download() as saved:
            await page.click("text=Save this session")
        lines = [json.loads(line) for line in (await (await saved.value).path()).read_text().splitlines()[1:]]
        assert [line["at_ms"] for line in lines] == sorted(line["at_ms"] for line in lines)
        for way in ("in", "out"):
            told = [line["message"] for line in lines if line["direction"] == way]
            numbers = [
                each["seq"] for each in told if "seq" in each and each["type"] != "ack"
            ]  # that of the other side
            assert numbers == list(range(1, len(numbers) + 1)), way
        assert sum(line["message"]["type"] == "session.resumed" for line in lines) == 2


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
        await expect(page.locator("#microphone")).to_be_visible()


async def _elsewhere(page: Page, gateway: GatewayProcess, script: str) -> Any:
    """Run it in another tab of that origin."""
    tab = await page.context.new_page()
    await tab.goto(f"{gateway.base}/live")
    done = await tab.evaluate(f"() => {{ {OPEN} return ({script})(); }}")
    await tab.close()
    return done


async def _kept(page: Page, gateway: GatewayProcess, turns: int) -> None:
    """Wait until the browser has a session of so many turns."""
    async with asyncio.timeout(WAIT_MS / 1000):
        while turns not in [row.get("turns") for row in await _elsewhere(page, gateway, "() => all('sessions')")]:
            await asyncio.sleep(0.1)


async def test_a_damaged_row_hides_no_other_session(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        await say(page, "what time is it")
        await turns_are_over(page, 1)
        await _kept(page, gateway, 1)
        await _elsewhere(page, gateway, DAMAGE)
        await page.goto(f"{gateway.base}/live")
        await page.evaluate("sessionStorage.clear()")
        await page.goto(f"{gateway.base}/console#token={gateway.token}")
        await see(page, "#status[data-state=online]")
        await go(page, "recordings")
        await see(page, ".past li >> nth=2")
        await page.click(".past-open >> text=what time is it")
        await see(page, "canvas.track")
        await page.click("#past")
        await page.click("[aria-label='Past sessions'] >> text=Forget all")
        await see(page, "text=None yet")


async def test_a_database_of_another_form_is_made_anew(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False) as page:
        await _elsewhere(page, gateway, LATER)
        await page.goto("about:blank")
        await page.goto(f"{gateway.base}/console#token={gateway.token}")
        await see(page, "#status[data-state=online]")
        await in_writing(page)
        await say(page, "what time is it")
        await _kept(page, gateway, 1)


async def test_another_tab_may_change_the_database(console: Console, gateway: GatewayProcess) -> None:
    """It is not kept waiting by a page that has the database open, and that page stores what follows."""
    async with console(gateway) as page:
        await in_writing(page)
        await say(page, "what time is it")
        await _kept(page, gateway, 1)
        await _elsewhere(page, gateway, "() => open(99).then((db) => db.close())")
        await say(page, "what time is it")
        await _kept(page, gateway, 2)
        await _elsewhere(
            page,
            gateway,
            "() => new Promise((done) => { indexedDB.deleteDatabase('jarvis.console').onsuccess = done; })",
        )
        await say(page, "what time is it")
        await _kept(page, gateway, 3)


async def test_a_link_to_what_is_not_there_says_so(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        for link in ("turns/999", "wire/999", "rest/memory.boil", "lab/999", "kitchen"):
            await forget_toasts(page)
            await page.evaluate(f"location.hash = '{link}'")
            await see(page, ".toast >> text=is not here, or not any more")
        shown = await page.inner_text("#nav [aria-current=page]")
        await page.evaluate("location.hash = 'main'")  # the link that skips to the view
        await page.wait_for_timeout(50)
        assert await page.inner_text("#nav [aria-current=page]") == shown
        assert await page.locator(".toast >> text=main").count() == 0


async def test_the_past_is_there_at_once_and_without_what_still_runs(console: Console, gateway: GatewayProcess) -> None:
    """To forget it must not destroy what another tab needs for a reload."""
    token = gateway.own_token(f"past-{uuid.uuid4().hex[:6]}")
    async with console(gateway, token=token) as page:
        await in_writing(page)
        await say(page, "what time is it")
        await turns_are_over(page, 1)
        await _kept(page, gateway, 1)
        tab = await page.context.new_page()
        await tab.goto(f"{gateway.base}/console#token={token}")
        await see(tab, "#status[data-state=online]")
        await go(tab, "recordings")
        await see(tab, "text=None yet")
        await page.close()  # now it is past
        await tab.close()
        tab = await page.context.new_page()
        await tab.goto(f"{gateway.base}/console#recordings")
        await tab.click("text=Use a token")
        await tab.fill("#sign-in textarea", token)
        await tab.click("text=/^Continue$/")
        await see(tab, ".past-open >> text=what time is it")
