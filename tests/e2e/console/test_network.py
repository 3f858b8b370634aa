"""A network that breaks."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING

from playwright.async_api import expect

from tests.support.browser import (
    go,
    in_writing,
    say,
    see,
    sounds,
    turns_are_over,
    until,
)
from tests.support.gateway import GatewayProcess

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page, Route

    from tests.support.browser import Console


# Texts of all toasts of a page.
TOLD = """
window.told = [];
const append = Element.prototype.append;
Element.prototype.append = function (...parts) {
  if (this.id === 'toasts') window.told.push(...parts.map((part) => part.textContent));
  return append.apply(this, parts);
};
"""


async def cut_until_try_now(page: Page) -> None:
    """Make "Cut for 5 s" last: on a busy machine, what a test does meanwhile takes longer."""

    async def lengthened(route: Route) -> None:
        response = await route.fetch()
        script = await response.text()
        assert "AWAY_MS = 5_000" in script
        await route.fulfill(response=response, body=script.replace("AWAY_MS = 5_000", "AWAY_MS = 3_600_000"))

    await page.route("**/console/wire.js", lengthened)
    await page.reload()
    await see(page, "#status[data-state=online]")


async def test_a_cut_socket_comes_back_and_nothing_is_lost(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "search for python tutorials")
        await until(page, "window.heard.length > 5")
        await go(page, "wire")
        await page.click("#cut")
        await see(page, ".toast >> text=nothing lost")
        await go(page, "talk")
        await see(page, ".turn[data-status=ok]")
        assert await page.inner_text(".agent .spoken") == await page.inner_text(".agent")
        (stretch,) = await sounds(page)
        assert stretch[1] - stretch[0] > 2_500, "all of the answer was heard, without a hole"


async def test_a_reload_goes_on_and_what_was_said_is_found_again(console: Console, gateway: GatewayProcess) -> None:
    words = f"remember that my lucky number is {uuid.uuid4().int % 1000}"
    async with console(gateway, token=gateway.own_token()) as page:  # it is signed out
        await cut_until_try_now(page)
        await in_writing(page)
        await say(page, words)
        await turns_are_over(page, 1)
        about = (await page.inner_text("#about")).rpartition(" · ")[0]
        await say(page, "what can you do")
        await page.reload()
        await see(page, "#status[data-state=online]")
        assert (await page.inner_text("#about")).startswith(about), "the session is another one"
        await see(page, f".turn .you >> text={words}")
        await turns_are_over(page, 2)
        await page.click("#nav [data-view=wire]")
        await see(page, ".vrow .type >> text=session.resumed")
        await go(page, "talk")
        await go(page, "wire")
        await page.click("text=Cut for 5 s")
        await go(page, "talk")
        await say(page, "what time is it")
        await see(page, ".turn .foot >> text=waits for the connection")
        await page.click("text=Try now")
        await turns_are_over(page, 3)
        await expect(page.locator(".talk .turn")).to_have_count(3)
        # another session of the same person finds it
        await page.evaluate("sessionStorage.removeItem('jarvis.parked')")
        await page.click("[aria-label='Sign out']")
        await see(page, "#sign-in")
        await page.goto(f"{gateway.base}/console#token={gateway.own_token()}")
        await page.reload()
        await see(page, "#status[data-state=online]")
        await go(page, "recordings")
        await page.fill("#past-words", words.rpartition(" ")[2] + " lucky")
        await page.click(f".past-open:has-text('{words}')")
        await page.press("canvas.track", "End")
        await see(page, ".recordings .turn .you >> text=what time is it")
        await page.click("#past")
        await page.click(f".past li:has-text('{words}') >> text=/^Forget$/")
        await see(page, "text=None has these words")


async def test_a_reload_while_the_reply_sounds_ends_its_sound_and_not_its_turn(
    console: Console, gateway: GatewayProcess
) -> None:
    """The reply is longer than what is sent ahead of its playing; what the earlier page had is never played, nor shown as heard."""
    async with console(gateway) as page:
        await say(page, "what can you do")
        await until(page, "window.heard.length > 10")
        await page.reload()
        await see(page, ".toast >> text=goes on in writing")
        await page.add_init_script(TOLD)
        await page.reload()
        await see(page, ".turn[data-status=ok]")
        assert await page.evaluate("window.told") == [], "the reload before has told it"
        assert 0 < len(await page.inner_text(".agent .spoken")) < len(await page.inner_text(".agent")) / 2
        await go(page, "wire")
        await see(page, "text=no open channels")
        assert await page.evaluate("window.heard.length") == 0


async def test_being_offline_is_told_and_can_be_ended(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await cut_until_try_now(page)
        await go(page, "wire")
        await page.click("text=Cut for 5 s")
        await see(page, "#status[data-state=waiting]")
        await see(page, "#banner >> text=socket was cut")
        await page.click("text=Try now")
        await see(page, "#status[data-state=online]")
        await expect(page.locator("#banner")).to_be_hidden()


async def test_what_is_typed_before_any_sound_was_loaded_waits_too(console: Console, gateway: GatewayProcess) -> None:
    """Without a gateway the worklet cannot be loaded: the answer comes in writing, and the next one aloud."""
    async with console(gateway, pardon=("ERR_", "worklet")) as page:
        await page.route("**/worklets/playout.js", lambda route: route.abort())
        await say(page, "what time is it")
        await turns_are_over(page, 1)
        await see(page, ".agent >> text=/^It is \\d/")
        await page.unroute("**/worklets/playout.js")
        await say(page, "what time is it")
        await turns_are_over(page, 2)
        assert await page.evaluate("window.heard.length") > 0


async def test_words_typed_while_the_gateway_is_away_for_long_are_said_to_the_next(
    console: Console, services: dict[str, str], tmp_path: Path
) -> None:
    """The client has given the session up meanwhile, and they are said once."""
    settings = {"WS_RESUME_SECONDS": "1", **services}
    gateway = GatewayProcess(tmp_path, **settings)
    try:
        async with console(gateway, pardon=("ERR_", "503")) as page:  # it drains, and is away then
            await in_writing(page)
            for count in (1, 2):
                await say(page, "what time is it")
                await turns_are_over(page, count)
            gateway.stop()
            await say(page, "what can you do")
            await see(page, ".turn .foot >> text=waits for the connection")
            await go(page, "wire")
            await see(page, ".channels td >> text=/^1$/")  # the next session's first channel
            await go(page, "talk")
            gateway = GatewayProcess(tmp_path, PORT=str(gateway.port), **settings)
            await page.evaluate("window.dispatchEvent(new Event('online'))")
            await turns_are_over(page, 3)
            await expect(page.locator(".talk .turn[data-status=ok]")).to_have_count(3)
    finally:
        gateway.stop()


async def test_a_gateway_that_does_not_answer_is_told(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False) as page:
        enough = asyncio.Event()

        async def keep_waiting(route: Route) -> None:
            await enough.wait()
            await route.continue_()

        await page.route("**/auth/ticket", keep_waiting)
        await page.evaluate(f"sessionStorage.setItem('jarvis.token', {json.dumps(gateway.token)})")
        await page.reload()
        await see(page, "#status[data-state=connecting]")
        await see(page, "#banner >> text=Still connecting")
        enough.set()
        await page.unroute_all(behavior="wait")
        await see(page, "#status[data-state=online]")
        await expect(page.locator("#banner")).to_be_hidden()


async def test_what_waits_for_the_connection_can_be_stopped(console: Console, gateway: GatewayProcess) -> None:
    """In Talk and in the Lab, and it is not said after all when there is a connection again."""
    async with console(gateway, pardon=("ERR_",)) as page:
        await in_writing(page)
        await say(page, "what time is it")
        await turns_are_over(page, 1)
        await page.route("**/auth/ticket", lambda route: route.abort())
        await go(page, "wire")
        await page.click("#cut")
        await go(page, "talk")
        await say(page, "what can you do")
        await see(page, ".turn .foot >> text=waits for the connection")
        await page.click("#hush")
        await see(page, ".turn[data-status=cancelled]:has-text('what can you do')")
        await expect(page.locator("#hush")).to_be_hidden()
        await go(page, "lab")
        await page.click("#again")
        await page.click(".lab >> text=/^Stop$/")
        await see(page, ".lab [role=status] >> text=Stopped.")
        await expect(page.locator("#again")).to_be_enabled()
        await page.unroute("**/auth/ticket")
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        await see(page, "#status[data-state=online]")
        await go(page, "talk")
        await say(page, "what time is it")
        await turns_are_over(page, 4)
        await expect(page.locator(".talk .turn[data-status=ok]")).to_have_count(2)


async def test_a_bad_network_is_shown_as_it_is_to_who_signs_in_next(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, token=gateway.own_token()) as page:
        await go(page, "lab")
        await page.fill("#network-delay", "30")
        await page.click("[aria-label='Sign out']")
        await page.click("text=Use a token")
        await page.fill("#sign-in textarea", gateway.own_token())
        await page.click("text=/^Continue$/")
        await see(page, "#status[data-state=online]")
        await expect(page.locator("#network-delay")).to_have_value("30")
        await page.fill("#network-delay", "0")
        await expect(page.locator("#network")).to_be_hidden()
