"""Signing in, with a token and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browser import (
    say,
    see,
)

if TYPE_CHECKING:
    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.gen_test(timeout=120)


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
        assert not await page.is_visible("#sign-in"), "the token is kept for this tab"


async def test_a_developer_needs_no_token(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False) as page:
        await page.click("text=Continue as developer")
        await see(page, "#status[data-state=online]")
        await say(page, "what time is it")
        await see(page, ".agent >> text=/^It is \\d/")
        await page.click("nav >> text=System")
        await see(page, ".view >> text=developer")
        assert not await page.is_visible("#sign-in")


async def test_a_token_that_is_refused_leads_back_to_the_sign_in(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, signed_in=False, pardon=("401",)) as page:
        await page.evaluate("sessionStorage.setItem('jarvis.token', 'not.a.token')")
        await page.reload()
        await see(page, "#sign-in >> text=Sign in again")
        assert await page.locator("#status[data-state=online]").count() == 0
