"""The console in a real browser, with a recording as its microphone."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import async_playwright

from tests.support.gateway import AUDIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.gen_test(timeout=90)
WAIT_MS = 30_000
XSS = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@asynccontextmanager
async def console(gateway: GatewayProcess, recording: str = "flite-slt-what-time-is-it") -> AsyncIterator[Page]:
    """Signed in by the start's link; fails on console errors and on requests to other hosts."""
    flags = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={AUDIO / recording}.wav%noloop",
        "--autoplay-policy=no-user-gesture-required",
        "--disable-background-networking",
    ]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, chromium_sandbox=False, args=flags)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: complaints.append(r.url) if not _is_ours(r.url, gateway.port) else None)
        await page.goto(f"{gateway.base}/console#token={gateway.token}")
        await page.wait_for_selector("#status[data-state=online]", timeout=WAIT_MS)
        yield page
        await browser.close()
    assert complaints == []


def _is_ours(url: str, port: int) -> bool:
    return url.startswith((f"http://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/", "data:", "blob:"))


async def test_the_spoken_words_appear_and_the_answer_is_played(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        assert "token" not in page.url
        await page.click("#microphone")
        await page.wait_for_selector("text=what time is it", timeout=WAIT_MS)
        await page.wait_for_selector("text=/^It is \\d/", timeout=WAIT_MS)
        # the mark moves with what the loudspeaker has played, so it reaches the end only when all of it was
        await page.wait_for_selector(".agent .heard >> text=/^It is \\d+:\\d+/", timeout=WAIT_MS)
        await page.wait_for_selector("text=first_audio", timeout=WAIT_MS)


async def test_a_typed_turn_is_answered_and_its_text_is_never_run(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.fill("#text", XSS)
        await page.press("#text", "Enter")
        await page.wait_for_selector("text=I did not understand", timeout=WAIT_MS)
        assert XSS in await page.inner_text(".you")
        assert await page.evaluate("window.hacked") is None


async def test_a_cut_socket_comes_back_and_goes_on(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.fill("#text", "help")
        await page.press("#text", "Enter")
        await page.wait_for_selector("text=tts.started", state="attached", timeout=WAIT_MS)
        await page.click("#cut")
        await page.wait_for_selector("text=nothing was lost", timeout=WAIT_MS)
        await page.wait_for_selector("#wire >> text=turn.done", state="attached", timeout=WAIT_MS)
        await page.fill("#text", "what time is it")
        await page.press("#text", "Enter")
        await page.wait_for_selector("text=/^It is \\d/", timeout=WAIT_MS)


async def test_a_risky_command_is_asked_about(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.fill("#text", "forget my name")
        await page.press("#text", "Enter")
        await page.click("text=Don’t", timeout=WAIT_MS)
        await page.wait_for_selector("text=I will not do it", timeout=WAIT_MS)


async def test_without_a_token_one_can_sign_in(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.evaluate("sessionStorage.clear()")
        await page.reload()
        await page.wait_for_selector("#sign-in", timeout=WAIT_MS)
        assert await page.is_visible("text=Sign in")
