"""The JavaScript client alone."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import (
    WAIT_MS,
    until,
)
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.gen_test(timeout=120)
STATIC = ROOT / "static"


async def test_the_readme_shows_how_to_use_the_client(console: Console, gateway: GatewayProcess) -> None:
    """The block of README as it is printed, on the port of this gateway."""
    blocks = re.findall(r"```js\n(.*?)```", (STATIC.parent / "README.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "/console/jarvis-client.js" in block]
    assert len(block.splitlines()) <= 15
    script = f"const token = {json.dumps(gateway.token)};\n" + block.replace(":8000", f":{gateway.port}")
    said: list[str] = []
    async with console(gateway, signed_in=False) as page:
        page.on("console", lambda message: said.append(message.text))
        await page.route(
            "**/console/readme.js", lambda route: route.fulfill(body=script, content_type="text/javascript")
        )
        await page.evaluate("import('/console/readme.js').then(() => true)")
        async with asyncio.timeout(WAIT_MS / 1000):
            while not any(line.startswith("agent: It is ") for line in said):
                await asyncio.sleep(0.05)
        assert "you: What time is it?" in said
        assert any(line.startswith("hearing: ") for line in said)
        await until(page, "window.heard.length > 5")
