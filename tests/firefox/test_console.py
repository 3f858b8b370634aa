"""The console in Firefox: both worklets, a file and a microphone at two rates, and the views that differ between browsers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.browser import recording
from tests.support.firefox import firefox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.firefox import FirefoxPage
    from tests.support.gateway import GatewayProcess

TYPE = "document.querySelector('#text').value = 'what time is it'; document.querySelector('.typed').requestSubmit()"
MICROPHONE = "document.querySelectorAll('.panel .numbers dd')[3].textContent"
PRESS = "document.querySelector('#microphone').click()"


async def test_a_turn_is_spoken_typed_and_looked_at(gateway: GatewayProcess, tmp_path: Path) -> None:
    async with firefox(tmp_path) as page:
        await page.open(f"{gateway.base}/console#token={gateway.token}")
        await page.see("#status[data-state=online]")
        await page.evaluate(TYPE)
        await page.see(".turn[data-status=ok] .agent", "It is ")
        assert await page.evaluate("document.querySelector('.agent .spoken').textContent.length > 8"), "it sounded"
        await page.upload("#wav", recording("what-time-is-it"))
        await page.see(".turn:last-child .you", "time is it?")
        await page.see(".turn:last-child[data-status=ok] .agent", "It is ")
        for choice, rate in (("device", " kHz"), ("16000", "16 kHz")):
            await choose(page, "Rate", choice)
            await open_and_close_the_microphone(page, rate)
        await page.evaluate("location.hash = '#wire'")
        await page.see(".band", "time is it?")
        await page.see(".vrow .type", "turn.done")
        await page.evaluate("location.hash = '#lab'")
        await page.see("table[aria-label='Decisions in turn A'] td", "speech begins")
        await page.evaluate("location.hash = '#talk'")
        await choose(page, "Dialect", "openai")
        await page.evaluate(TYPE)
        await page.until("document.querySelectorAll('.talk .turn').length === 3")
        await page.see(".turn:last-child[data-status=ok] .agent", "It is ")
        await open_and_close_the_microphone(page, "24 kHz")


async def open_and_close_the_microphone(page: FirefoxPage, rate: str) -> None:
    await page.evaluate(PRESS)
    await page.see("#microphone[data-state=open]")
    await page.until(f"{MICROPHONE}.endsWith('{rate}')")
    await page.evaluate(PRESS)
    await page.see("#microphone[data-state=off]")


async def choose(page: FirefoxPage, label: str, value: str) -> None:
    find = f"[...document.querySelectorAll('.panel label')].find((each) => each.textContent.startsWith('{label}'))"
    await page.evaluate(f"(({{ control }}) => {{ control.value = '{value}'; control.onchange(); }})({find})")
