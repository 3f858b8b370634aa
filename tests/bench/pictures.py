"""The console's pictures for README, taken anew: `python -m tests.bench.pictures`; `--size phone` and `--theme` for a look at the others."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.browser import DESK, PHONE, VIEWS, console, go, recording, say, see, turns_are_over
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.support.gateway import GatewayProcess

PICTURES = Path(__file__).parent.parent.parent / "static" / "docs" / "console"
SIZES = {"readme": DESK, "phone": PHONE}


async def take(gateway: GatewayProcess, folder: Path, theme: str, size: dict[str, int]) -> None:
    """Each view after three turns, the last of which is asked about."""
    async with console(gateway, theme=theme, size=size) as page:
        await page.set_input_files("#wav", recording("what-time-is-it"))
        await see(page, ".talk .turn[data-status=ok]")
        await say(page, "search for python tutorials")
        await turns_are_over(page, 2)
        await say(page, "forget my name")
        await see(page, ".ask")
        for view in VIEWS:
            await go(page, view)
            await arrange(page, view)
            await page.wait_for_timeout(500)  # canvases draw on the next frames, toasts of before leave
            await page.screenshot(path=folder / f"{view}.png")


async def arrange(page: Page, view: str) -> None:
    """Something of what the view is for."""
    if view == "turns":
        await page.click(".turn-row >> nth=1")
    elif view == "wire":
        await page.click(".vrow >> nth=4")
    elif view == "rest":
        await page.click(".detail button.primary")
        await see(page, "#answer-status")
    elif view == "system":
        await see(page, ".tile >> text=resident")
    elif view == "recordings":
        await page.click("text=Scrub this session")
        await page.press("canvas.track", "End")
        await page.press("canvas.track", "ArrowLeft")
    elif view == "lab":
        await page.select_option("[aria-label='Turn A']", label="What time is it?")
        await page.evaluate("document.querySelector('.lab canvas').scrollIntoView({ block: 'center' })")


def main(theme: str, size: str, folder: Path) -> None:
    """Take them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, running_gateway(Path(directory)) as gateway:
        asyncio.run(take(gateway, folder, theme, SIZES[size]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    parser.add_argument("--size", choices=list(SIZES), default="readme")
    parser.add_argument("--folder", type=Path, default=PICTURES)
    given = parser.parse_args()
    main(given.theme, given.size, given.folder)
