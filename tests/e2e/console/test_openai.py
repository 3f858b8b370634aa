"""The console as a client of OpenAI's Realtime API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.async_api import expect

from tests.support.browser import go, in_writing, say, see, sounds, turns_are_over

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess


async def speak_openai(page: Page) -> None:
    await page.select_option("label:has-text('Dialect') select", "openai")


async def see_on_the_wire(page: Page, *kinds: str) -> None:
    for kind in kinds:
        await page.fill("input[type=search]", f"channel:openai type:{kind}")
        await see(page, f".vrow .type >> text={kind}")


async def test_typed_words_are_answered_in_openais_dialect(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        await speak_openai(page)
        await say(page, "what time is it")
        await see(page, ".agent >> text=/^It is \\d/")
        await say(page, "forget my name")  # asked about in words, and answered in words
        await turns_are_over(page, 2)
        await say(page, "no")
        await see(page, ".agent >> text=I will not do it")
        await expect(page.locator(".fault")).to_have_count(0)
        await go(page, "wire")
        await see_on_the_wire(page, "session.created", "session.update", "conversation.item.create", "response.done")


async def test_spoken_words_are_answered_in_openais_dialect(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await speak_openai(page)
        await page.click("#microphone")
        await see(page, ".you >> text=what time is it")
        await see(page, ".agent >> text=/^It is \\d/")
        await turns_are_over(page, 1)
        assert await sounds(page), "nothing was heard"
        await see(page, ".panel .waterfall >> text=End of turn")
        await go(page, "wire")
        await page.fill("input[type=search]", "channel:openai")
        await expect(
            page.locator(".vrow .type >> text=output_audio.delta"), "sound is for those who ask"
        ).to_have_count(0)
        await see_on_the_wire(page, "input_audio_buffer.speech_started", "response.output_audio.delta")
        await page.reload()  # the conversation stays, the session of that dialect ends
        await go(page, "turns")
        await see(page, ".turn-row >> text=what time is it")
        await go(page, "lab")  # its sound was kept: it is heard again
        await page.click("#again")
        await see(page, "text=1 turn run again")
        await see(page, "[aria-label='Run again'] td:nth-child(2) >> text=same")


async def test_a_socket_that_is_refused_is_told(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.route_web_socket("**/v1/realtime**", lambda socket: socket.close(code=4000, reason="not today"))
        await page.reload()  # only pages that are opened behind it have the route
        await see(page, "#status[data-state=online]")
        await speak_openai(page)
        await say(page, "what time is it")
        await see(page, ".toast >> text=not today")
        await go(page, "wire")
        await see(page, ".vrow[data-bad=true] >> text=not today")
        await expect(page.locator("#status[data-state=online]"), "the page's own session goes on").to_have_count(1)
