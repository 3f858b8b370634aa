"""Keyboard, themes and phones; axe checks every view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.support.browser import (
    DESK,
    PHONE,
    VIEWS,
    go,
    in_writing,
    open_recording,
    say,
    see,
    session_file,
    turns_are_over,
    until,
)
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess

STATIC = ROOT / "static"
WCAG = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}


async def test_everything_is_reached_by_keyboard(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        for number, words in enumerate(("what time is it", "list files"), start=1):
            await page.keyboard.press("Escape")
            await page.evaluate("document.activeElement.blur()")
            await page.keyboard.press("/")
            await page.keyboard.type(f"{words}\n")
            await turns_are_over(page, number)
        await page.keyboard.press("Escape")
        for key, view in enumerate(VIEWS, start=1):
            await page.keyboard.press(str(key))
            await see(page, f"#nav [data-view={view}][aria-current=page]")
        await page.keyboard.press("2")
        await see(page, ".turn-row >> nth=1")
        await tab_to(page, "Turns, newest first")
        await page.keyboard.press("ArrowDown")
        await see(page, ".turn-row[aria-selected=true] >> text=what time is it")
        await page.keyboard.press("3")
        await see(page, ".vrow >> nth=1")
        await tab_to(page, "Messages, newest last")
        await page.keyboard.press("Home")
        await page.keyboard.press("ArrowDown")  # behind the handshake
        await see(page, ".wire-detail >> text=session.ready")
        await page.keyboard.press("Escape")
        await expect(page.locator(".wire-detail")).to_be_hidden()
        await page.keyboard.press("?")
        await see(page, "dialog[open]")
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog")).to_be_hidden()


async def test_the_focus_stays_where_a_redraw_puts_the_same_thing(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        await say(page, "what time is it")
        await turns_are_over(page, 1)
        await go(page, "wire")
        await page.focus(".band")
        await page.evaluate("document.querySelector('.band').old = true")
        await page.evaluate("document.querySelector('#cut').click()")
        await see(page, ".vrow >> text=session.resumed")
        await until(page, "!document.querySelector('.band').old")
        assert await page.evaluate("document.activeElement === document.querySelector('.band')")


async def tab_to(page: Page, label: str) -> None:
    """Its focus can be seen, as that of everything on the way."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        found = await page.evaluate(
            "[document.activeElement.getAttribute('aria-label'), getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert found[1] != "none", found
        if found[0] == label:
            return
    raise AssertionError(f"{label} is not reached")


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_nothing(console: Console, gateway: GatewayProcess, theme: str) -> None:
    async with console(gateway, theme=theme) as page:
        assert await violations(page) == []
        await say(page, "list files")
        await say(page, "forget my name")
        await see(page, ".ask")
        for view in VIEWS:
            await go(page, view)
            await fill_view(page, view)
            assert await violations(page) == [], view


async def fill_view(page: Page, view: str) -> None:
    if view == "recordings":
        await page.click("text=Scrub this session")
    elif view == "wire":
        await page.click(".vrow >> nth=2")
        await page.click("text=Send a message by hand")
    elif view == "rest":
        await see(page, ".detail .path")
    elif view == "system":
        await see(page, ".tile")


async def test_axe_finds_nothing_on_a_phone_or_at_the_sign_in(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, size=PHONE, theme="light", token=gateway.own_token()) as page:
        await page.click("[aria-label='Timing, audio and voice']")
        await page.click("summary >> text=Voice")
        await in_writing(page)
        assert await violations(page) == []
        await page.click("[aria-label='Timing, audio and voice']")
        await say(page, "list files")
        await see(page, ".turn[data-status=ok]")
        for view in VIEWS:
            await go(page, view)
            await fill_view(page, view)
            assert await violations(page) == [], view
            assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
        await page.click("[aria-label='Sign out']")
        await see(page, "#sign-in")
        assert await violations(page) == []


ALL_DOWN = """
for (const id of ['services', 'network']) document.getElementById(id).hidden = false;
document.getElementById('services').textContent = 'stt, tts, intent, planner, safety, browser, os, search, memory down';
"""


@pytest.mark.parametrize("width", [390, 320])
async def test_a_long_name_leaves_a_question_readable_on_a_phone(
    console: Console, gateway: GatewayProcess, width: int
) -> None:
    """A name without a place to break: its words, what it asks for and until when stand beside Approve."""
    async with console(gateway, size={**PHONE, "width": width}) as page:
        await say(page, f"create a folder called {'x' * 120}")
        await see(page, ".ask")
        await page.evaluate(LONG_WORDS)
        assert await page.evaluate(OUTSIDE) == []


# Also in a step's title, and in what was heard of an interrupted reply.
LONG_WORDS = """
const long = 'x'.repeat(120);
document.querySelector('.step .mono').textContent = long;
const foot = document.querySelector('.turn .foot');
foot.hidden = false;
foot.textContent = `interrupted after “${long}”`;
"""
OUTSIDE = """
[...document.querySelectorAll('.turn *')]
  .filter((each) => each.getBoundingClientRect().right > innerWidth || each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0)
  .map((each) => `${each.tagName}.${each.className}: ${each.textContent.slice(0, 40)}`)
"""


async def test_nothing_is_wider_than_a_phone(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, size=PHONE) as page:
        await page.click("[aria-label='Timing, audio and voice']")
        await page.click("summary >> text=Voice")
        await in_writing(page)
        await page.click("[aria-label='Timing, audio and voice']")
        for number in (1, 2):
            await say(page, f"remember that my very favourite number of all numbers is {number}")
            await turns_are_over(page, number)
        await page.evaluate(ALL_DOWN)
        box = await page.locator("[aria-label='Sign out']").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= PHONE["width"]
        for view in VIEWS:
            await go(page, view)
            await fill_view(page, view)
            if view == "lab":
                await page.select_option("select[aria-label='Turn B']", index=2)
                await see(page, "table[aria-label=Difference] td")
            wide = "[...document.querySelectorAll('main, .view, .card')].map((part) => part.scrollWidth - part.clientWidth)"
            assert max(await page.evaluate(wide)) <= 0, view


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_a_recording_with_a_long_name_stays_inside(
    console: Console, gateway: GatewayProcess, tmp_path: Path, size: dict[str, int]
) -> None:
    final = {"type": "stt.final", "channel": 1, "text": "x" * 3000}
    lines = [{"at_ms": 1, "direction": "in", "message": final}]
    async with console(gateway, size=size) as page:
        await open_recording(page, session_file(tmp_path / f"{'x' * 120}.jsonl", lines))
        await page.press("canvas.track", "End")
        await see(page, ".recordings .turn")
        assert await page.evaluate(BEYOND) == []
        await page.click("text=See it in Turns and Wire")
        for view in ("recordings", "turns", "wire", "lab"):
            await go(page, view)
            assert await page.evaluate(BEYOND) == [], view


BEYOND = """
[...document.querySelectorAll('main :is(p, h2, caption, button, select, input, textarea, .card)')]
  .filter((each) => each.getBoundingClientRect().right > innerWidth || each.matches('h2, p') && each.scrollWidth > each.clientWidth + 1)
  .map((each) => `${each.tagName}.${each.className}: ${each.textContent.slice(0, 40)}`)
"""


async def violations(page: Page) -> list[str]:
    found = (await Axe().run(page, options=WCAG)).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}" for each in found for node in each["nodes"]
    ]


async def test_the_theme_is_kept(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, theme="light") as page:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = await page.evaluate(ground)
        await page.click("#theme")
        assert await page.evaluate(ground) != light
        await page.reload()
        await see(page, "#status[data-state=online]")
        assert await page.evaluate(ground) != light


def test_the_console_is_small() -> None:
    """With the client, its codec and the worklets."""
    client = [STATIC / "jarvis-client.js", STATIC / "jarvis" / "codec.js", *(STATIC / "worklets").iterdir()]
    files = [STATIC / "index.html", *(STATIC / "console").iterdir(), *client]
    assert sum(file.stat().st_size for file in files) <= 280 * 1024
