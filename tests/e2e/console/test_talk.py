"""Talking to the agent: speech, typed words, risky commands."""

from __future__ import annotations

import math
import random
from array import array
from typing import TYPE_CHECKING

from playwright.async_api import expect

from tests.support.browser import (
    WAIT_MS,
    give_ear,
    go,
    in_writing,
    recording,
    say,
    see,
    see_gone,
    sounds,
    speak,
    turns_are_over,
    until,
)
from tests.support.gateway import ROOT, speech

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess

STATIC = ROOT / "static"


async def test_the_spoken_words_appear_and_the_answer_is_played(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        assert "token" not in page.url
        await page.evaluate(
            """() => new MutationObserver(() => {
              if (document.querySelector('.you[data-final=false] span:not(:empty)')) window.grew = true;
            }).observe(document.querySelector('.history'), { subtree: true, childList: true, characterData: true, attributes: true })"""
        )
        await page.click("#microphone")
        await see(page, ".you[data-final=true] >> text=what time is it")
        assert await page.evaluate("window.grew"), "words come while they are spoken"
        await see(page, ".agent >> text=/^It is \\d/")
        await until(page, "document.querySelector('.agent .spoken').textContent.length > 8")
        await see(page, ".turn[data-status=ok]")
        stretches = await sounds(page)
        assert stretches, "nothing was heard"
        assert stretches[0][1] - stretches[0][0] > 700
        await see(page, ".panel .waterfall >> text=End of turn")


async def test_speech_silences_the_answer(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await listening(page)
        await speak(page, recorded("search-python-tutorials"))
        await until(page, "window.heard.length > 5")
        await speak(page, recorded("what-time-is-it"))
        await see(page, ".foot >> text=interrupted")
        await see(page, ".agent >> text=/^It is \\d/")
        await see(page, ".turn[data-status=ok]")
        first = (await sounds(page, gap_ms=450))[0]
        assert first[1] - first[0] < 2_900, "the whole answer takes 3.4 s"
        heard = await page.inner_text(".turn[data-status=interrupted] .agent .spoken")
        assert len(heard) < len(await page.inner_text(".turn[data-status=interrupted] .agent"))


async def listening(page: Page) -> None:
    """Open the microphone of `speak`."""
    await give_ear(page)
    await page.click("#microphone")
    await see(page, "#microphone[data-state=open]")


async def test_a_sound_that_is_no_voice_does_not_touch_the_answer(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.evaluate(
            """() => new MutationObserver(() => {
              if (document.querySelector('.agent[data-paused=true]')) window.paused = true;
            }).observe(document.querySelector('.history'), { subtree: true, childList: true, characterData: true, attributes: true })"""
        )
        await listening(page)
        await speak(page, recorded("search-python-tutorials"))
        await until(page, "window.heard.length > 5")
        await speak(page, clap())
        await see(page, ".turn[data-status=ok]")
        assert not await page.evaluate("window.paused")
        assert await page.inner_text(".agent .spoken") == await page.inner_text(".agent")
        await expect(page.locator(".turn"), "a sound is no turn").to_have_count(1)


async def test_push_to_talk_by_the_space_bar(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await give_ear(page)
        await page.click("text=Push to talk")
        await page.keyboard.down(" ")
        await see(page, "#microphone[data-state=held]")
        await speak(page, recorded("what-time-is-it"))
        await see(page, ".you >> text=/time/")
        await page.keyboard.up(" ")
        await see(page, "#microphone[data-state=armed]")
        await see(page, ".agent >> text=/^It is \\d/")
        turns = await page.locator(".turn").count()
        await page.focus("#microphone")  # the bar speaks, it does not press the button too
        await page.keyboard.down(" ")
        await see(page, "#microphone[data-state=held]")
        await page.keyboard.up(" ")
        await see(page, "#microphone[data-state=armed]")
        assert await page.locator("#microphone[data-state=off]").count() == 0
        assert turns == 1


async def test_a_view_is_found_as_it_was_left(console: Console, gateway: GatewayProcess) -> None:
    box = "document.querySelector('.talk .history')"
    is_at_end = f"{box}.scrollTop > 100 && {box}.scrollTop + {box}.clientHeight > {box}.scrollHeight - 5"
    async with console(gateway) as page:
        await in_writing(page)
        for number in range(9):
            await say(page, f"what time is it, {number}")
        await turns_are_over(page, 9)
        await until(page, is_at_end)
        await go(page, "wire")
        await go(page, "talk")
        await until(page, is_at_end)
        await page.evaluate(f"{box}.scrollTop = 40")
        await go(page, "wire")
        await go(page, "talk")
        await until(page, f"{box}.scrollTop === 40")
        await say(page, "list files")  # who asks wants to see the answer
        await until(page, is_at_end)


async def test_a_file_is_a_microphone_too(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        await page.set_input_files("#wav", recording("list-files"))
        await see(page, ".you >> text=files in the current directory")  # "Bliss files", now and then
        await see(page, ".step .output")
        await see(page, ".agent >> text=/^There /")
        await see(page, "#microphone[data-state=off]")
        await page.set_input_files("#wav", STATIC / "index.html")
        await see(page, ".toast >> text=no sound that this browser can read")
        await expect(page.locator(".turn"), "what is no sound is no turn").to_have_count(1)


async def test_a_risky_command_is_asked_about(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        await say(page, "forget my name")
        for what in ("memory.delete", "risk high", "user.name"):  # what an approval is for
            await see(page, f".ask >> text={what}")
        await page.click("text=Deny", timeout=WAIT_MS)
        await see(page, ".badge >> text=declined")
        await see(page, ".agent >> text=I will not do it")
        await say(page, "remember that my name is ada")
        await turns_are_over(page, 2)
        await say(page, "forget my name")
        await page.click(".ask >> text=Approve", timeout=WAIT_MS)
        await turns_are_over(page, 3)
        assert await page.inner_text(".turn:last-child .badge") == "done"


async def test_escape_stops_the_answer(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "what can you do")
        await until(page, "window.heard.length > 5")
        await page.keyboard.press("Escape")
        await see(page, ".foot >> text=cancelled")
        assert sum(end - start for start, end in await sounds(page)) < 5_000, "the whole answer takes ten"
        await see_gone(page, "#hush")


def recorded(name: str) -> bytes:
    return speech(f"flite-slt-{name}", silence_ms=0)


def clap() -> bytes:
    """A tenth of a second of noise that dies away: a sound without words."""
    noise = random.Random(3)
    samples = (noise.gauss(0, 1) * math.exp(-n / 300) * 20_000 for n in range(1_600))
    return array("h", (round(max(-32_000, min(32_000, sample))) for sample in samples)).tobytes()
