"""System, observed sessions and recordings."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING

from playwright.async_api import expect

from streaming.protocol.messages import TurnParams
from tests.server.embedded.speech import folded
from tests.support.browser import (
    WAIT_MS,
    go,
    open_recording,
    recording,
    say,
    see,
    turns_are_over,
    until,
)
from tests.support.gateway import ROOT, client, listen

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess

STATIC = ROOT / "static"
SERVICES = ("stt", "tts", "intent", "planner", "safety", "browser", "os", "search", "memory")


async def test_the_system_is_shown_as_it_is(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "what time is it")
        await see(page, ".turn[data-status=ok]")
        await go(page, "system")
        for name in SERVICES:
            await see(page, f"[aria-label=Services] tr:has-text('{name}') .badge >> text=circuit closed")
        await see(page, "table[aria-label='Live sessions'] >> text=this one")
        await see(page, "table[aria-label='Calls to services'] >> text=Recognize")
        await see(page, "table[aria-label='Turns, by stage'] >> text=first_audio")
        await expect(page.locator("[aria-label=Services] .badge >> text=circuit closed")).to_have_count(len(SERVICES))
        await see(page, "[aria-label=Services] tr:has-text('stt') [aria-label='stt, the last ten minutes: closed']")
        await expect(page.locator("#services")).to_be_hidden()
        await go(page, "talk")
        down = {"status": "down", "circuit": "open", "reason": "it left"}
        health = json.dumps({"status": "ready", "version": "1", "services": {"tts": down}})
        await page.route("**/health", lambda route: route.fulfill(body=health))
        await page.click("#services >> text=tts down")
        await see(page, "[aria-label=Services] >> text=it left")
        await see(page, "[aria-label='tts, the last ten minutes: closed, then down']")


async def test_what_a_gateway_said_last_is_shown_when_it_is_gone(console: Console, gateway: GatewayProcess) -> None:
    """Also if the view was never opened before."""
    async with console(gateway, pardon=("ERR_FAILED",)) as page:
        await page.wait_for_event("requestfinished", lambda request: request.url.endswith("/metrics"), timeout=WAIT_MS)
        await page.context.route(re.compile("/(health|metrics|ws/stats)$"), lambda route: route.abort())
        await go(page, "system")
        await see(page, ".fault >> text=what is below is what it said last")
        await expect(page.locator("[aria-label=Services] .badge >> text=circuit closed")).to_have_count(len(SERVICES))


async def test_another_session_is_observed(console: Console, gateway: GatewayProcess) -> None:
    kitchen = f"kitchen-{uuid.uuid4().hex[:6]}"
    async with client(gateway, kitchen) as other, console(gateway) as page:
        await go(page, "system")
        await page.click(f"table[aria-label='Live sessions'] tr:has-text('{kitchen}') >> text=Observe")
        await see(page, ".channels caption >> text=Nothing is sent here")
        await expect(page.locator(".wire .source option:checked")).to_have_text(f"Observed: {kitchen}")
        await expect(page.locator("#cut"), "it would be this page's own socket").to_be_hidden()
        await expect(page.locator(".composer")).to_be_hidden()
        await listen(other.open(TurnParams(text="what time is it")))
        await see(page, ".vrow .type >> text=turn.reply")
        await go(page, "turns")
        await see(page, ".turn-row >> text=what time is it")
        await see(page, ".one-turn .agent >> text=/^It is \\d/")
        await go(page, "recordings")
        await page.click("text=Scrub the observed session")
        await page.press("canvas.track", "End")
        await see(page, ".recordings .agent >> text=/^It is \\d/")
        assert float((await page.inner_text(".clock")).split("0:")[-1]) > 0
        await page.click("[aria-label='Stop observing']")
        await until(page, "document.querySelectorAll('.source:not([hidden])').length === 0")
        await go(page, "wire")
        await see(page, ".channels caption >> text=no open channels")


async def test_a_session_is_saved_opened_and_scrubbed(
    console: Console, gateway: GatewayProcess, tmp_path: Path
) -> None:
    file = tmp_path / "session.jsonl"
    async with console(gateway) as page:
        await page.set_input_files("#wav", recording("what-time-is-it"))
        await see(page, ".turn[data-status=ok]")
        await say(page, "what time is it")
        await turns_are_over(page, 2)
        await go(page, "recordings")
        async with page.expect_download() as download:
            await page.click("text=Save this session")
        await (await download.value).save_as(file)
        await open_recording(page, file)
        await page.press("canvas.track", "Home")
        await expect(page.locator(".recordings .turn")).to_have_count(0)
        await page.press("canvas.track", "End")
        await turns_are_over(page, 2, ".recordings")
        assert "what time is it" in folded(await page.inner_text(".recordings .you >> nth=0"))
        await page.press("canvas.track", "Home")
        await page.click("[aria-label=Play]")
        await see(page, ".recordings .you >> text=what time is it")
        assert float((await page.inner_text(".clock")).split("0:")[-1]) > 4
        await page.set_input_files("#recording", STATIC / "index.html")
        await see(page, ".toast >> text=no recording")
    text = file.read_text()
    assert gateway.token not in text
    assert "resume_token" not in text
