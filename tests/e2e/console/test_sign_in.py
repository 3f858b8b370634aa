"""Signing in, with a token and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.async_api import expect

from server.identity.users import add_user
from tests.support.browser import go, say, see, turns_are_over, until
from tests.support.gateway import client, running_gateway

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess


async def test_without_a_token_one_can_sign_in(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False, pardon=("401",)) as page:
        await see(page, "#sign-in")
        await page.fill("[name=username]", "nobody")
        await page.fill("[name=password]", "wrong")
        await page.click("#sign-in button.primary")
        await see(page, "[role=alert] >> text=Check name and password")
        await page.click("text=Use a token")
        await page.fill("#sign-in textarea", gateway.token)
        await page.click("text=/^Continue$/")
        await see(page, "#status[data-state=online]")
        await page.reload()
        await see(page, "#status[data-state=online]")
        await expect(page.locator("#sign-in"), "the token is kept for this tab").to_be_hidden()


async def test_a_developer_needs_no_token(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False) as page:
        await page.click("text=Continue as developer")
        await see(page, "#status[data-state=online]")
        await say(page, "what time is it")
        await see(page, ".agent >> text=/^It is \\d/")
        await page.click("nav >> text=System")
        await see(page, ".view >> text=developer")
        await expect(page.locator("#sign-in")).to_be_hidden()


async def test_a_token_that_is_refused_leads_back_to_the_sign_in(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False, pardon=("401",)) as page:
        await page.evaluate("sessionStorage.setItem('jarvis.token', 'not.a.token')")
        await page.reload()
        await see(page, "#sign-in >> text=Sign in again")
        assert await page.locator("#status[data-state=online]").count() == 0


async def test_duplicated_tabs_tell_each_other_their_newest_tokens(console: Console, tmp_path: Path) -> None:
    """A refresh token is good for one use: if both tabs used it, both would be signed out."""
    add_user(tmp_path / "users.json", "ada", "a long password", ["user"])
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="") as gateway:
        async with console(gateway, signed_in=False, pardon=("401", "503")) as page:
            await page.fill("[name=username]", "ada")
            await page.fill("[name=password]", "a long password")
            await page.click("#sign-in button.primary")
            await see(page, "#status[data-state=online]")
            async with page.expect_popup() as copied:  # copies the tab's storage, as duplicating it does
                await page.evaluate("window.open('/console')")
            copy = await copied.value
            await see(copy, "#status[data-state=online]")
            kept = "sessionStorage.getItem('jarvis.refresh')"
            first = await page.evaluate(kept)
            assert await copy.evaluate(kept) == first
            ended = {"code": "TOKEN_EXPIRED", "detail": "the token has expired"}
            await page.route("**/auth/ticket", lambda route: route.fulfill(status=401, json=ended), times=1)
            await go(page, "wire")
            await page.click("#cut")
            await until(page, f"{kept} !== '{first}'")
            await until(copy, f"{kept} === '{await page.evaluate(kept)}'")
            await see(page, "#status[data-state=online]")


async def _sign_in(page: Page, name: str) -> None:
    await page.fill("[name=username]", name)
    await page.fill("[name=password]", "a long password")
    await page.click("#sign-in button.primary")
    await see(page, "#status[data-state=online]")


async def test_the_session_goes_on_behind_a_sign_in_that_had_expired(console: Console, tmp_path: Path) -> None:
    """If the same user signs in again; another one begins a session."""
    for name in ("ada", "bob"):
        add_user(tmp_path / "users.json", name, "a long password", ["user"])
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="") as gateway:
        async with console(gateway, signed_in=False, pardon=("401", "503")) as page:
            await _sign_in(page, "ada")
            await say(page, "what time is it")
            await turns_are_over(page, 1)  # well or badly
            session = (await page.inner_text("#about")).split(" · ")[1]
            ended = {"code": "TOKEN_EXPIRED", "detail": "the token has expired"}
            for name in ("ada", "bob"):
                await page.route("**/auth/ticket", lambda route: route.fulfill(status=401, json=ended))
                await page.route("**/auth/refresh", lambda route: route.fulfill(status=401, json=ended))
                await go(page, "wire")
                await page.click("#cut")
                await see(page, "#sign-in >> text=The token has expired")
                await page.unroute_all()
                await _sign_in(page, name)
                goes_on = name == "ada"
                assert (session in await page.inner_text("#about")) == goes_on, name
                await go(page, "talk")
                await expect(page.locator(".turn >> text=what time is it"), name).to_have_count(int(goes_on))


async def test_a_link_that_was_used_still_signs_this_machine_in(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False, pardon=("401",)) as page:
        await page.goto("about:blank")
        await page.goto(f"{gateway.base}/console#code=was-used-in-another-tab")
        await see(page, "#status[data-state=online]")
        await expect(page.locator("#sign-in")).to_be_hidden()


async def test_a_link_signs_in_where_the_page_is_open_already(console: Console, gateway: GatewayProcess) -> None:
    """The browser loads no page for it, because only the part behind # differs."""
    async with console(gateway, signed_in=False) as page:
        await see(page, "#sign-in")
        await page.evaluate(f"location.hash = 'token={gateway.token}'")
        await see(page, "#status[data-state=online]")
        assert "token" not in page.url


async def test_a_session_that_was_opened_elsewhere_can_be_begun_anew(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        session = (await page.inner_text("#about")).split(" · ")[1]
        async with client(gateway, session):
            await see(page, "#banner >> text=opened elsewhere")
        await expect(page.locator("#sign-in"), "the user is still signed in").to_be_hidden()
        await say(page, "what time is it")  # it will never be sent
        await see(page, ".turn[data-status=failed] >> text=SESSION_TAKEN_OVER")
        await expect(page.locator("text=waits for the connection")).to_be_hidden()
        await page.click("text=Begin another here")
        await see(page, "#status[data-state=online]")
        assert session not in await page.inner_text("#about")
