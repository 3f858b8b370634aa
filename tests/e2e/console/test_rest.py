"""REST operations, and the two pages of reference."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

from server.errors import ERRORS
from tests.server.embedded.speech import folded
from tests.support.browser import (
    copied,
    go,
    recording,
    see,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess


async def test_an_operation_is_tried(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway, pardon=("422",)) as page:
        await go(page, "rest")
        await see(page, ".detail .path:has-text('/api/v1/agent/intent')")
        await page.click(".detail button.primary")
        await see(page, "#answer-status >> text=200")
        assert json.loads(await page.inner_text("#answer-body"))["intent"] == "get_time"
        await see(page, ".limit >> text=requests left")
        await page.click(".detail .segments >> text=JSON")
        await page.fill("[aria-label='Body as JSON']", '{"text": ""}')
        await page.click(".detail button.primary")
        await see(page, "#answer-status >> text=422")
        curl = await copied(page, "text=Copy as curl")
        assert curl.startswith(f"curl -sS -X POST '{gateway.base}/api/v1/agent/intent' -H 'Authorization: Bearer ")


async def test_what_is_copied_as_curl_runs_in_a_shell(
    console: Console, gateway: GatewayProcess, tmp_path: Path
) -> None:
    file = tmp_path / """it's; "a", $HOME `id`.wav"""
    shutil.copy(recording("what-time-is-it"), file)
    async with console(gateway) as page:
        await go(page, "rest")
        await page.fill(".detail textarea", """@say 'hello' "$HOME" `id` \\""")
        assert "intent" in await run_copied(page, tmp_path)
        await page.click(".operation >> text=voice.stt")
        await page.set_input_files(".detail input[type=file]", file)
        await page.fill("label:has-text('language') input", "en-US")
        assert folded((await run_copied(page, tmp_path))["text"]) == "what time is it"


async def run_copied(page: Page, folder: Path) -> Any:
    command = await copied(page, "text=Copy as curl")
    shell = await asyncio.create_subprocess_exec("sh", "-c", command, cwd=folder, stdout=asyncio.subprocess.PIPE)
    answer, _ = await shell.communicate()
    return json.loads(answer)


async def test_operations_with_sound_files_and_events(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await go(page, "rest")
        await page.click(".operation >> text=voice.tts")
        await page.click(".detail button.primary")
        await see(page, "audio[controls]")
        assert "200" in await page.inner_text(".detail")
        await page.click(".operation >> text=/^executor.os.command$/")
        await page.select_option("[aria-label='Answer as']", "text/event-stream")
        await page.click(".detail button.primary")
        await see(page, "#answer-body >> text=event: result")
        await page.click(".operation >> text=voice.stt")
        await page.set_input_files(".detail input[type=file]", recording("what-time-is-it"))
        await page.click(".detail button.primary")
        await see(page, "#answer-body >> text=what time is it")


async def test_the_reference_complains_of_nothing(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        await page.goto(f"{gateway.base}/redoc")
        await see(page, "#redoc h1")
        await see(page, "#redoc h2 >> text=Plan the steps")
        assert told == []


async def test_the_type_of_a_problem_leads_to_what_it_means(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.goto(f"{gateway.base}/docs#RATE_LIMITED")
        await see(page, "#RATE_LIMITED >> text=429")
        await until(page, "document.getElementById('RATE_LIMITED').getBoundingClientRect().top < innerHeight")
        shown = await page.evaluate("[...document.querySelectorAll('.errors dt')].map(({ id }) => id)")
        assert shown == list(ERRORS)
