"""The JavaScript client alone."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.server.embedded.speech import folded
from tests.support.browser import WAIT_MS, until
from tests.support.gateway import ROOT, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Browser

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess

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
        assert "you what time is it" in map(folded, said)
        assert any(line.startswith("hearing: ") for line in said)
        await until(page, "window.heard.length > 5")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is of http.server
        pass


@contextmanager
def elsewhere() -> Iterator[str]:
    """The client's files on another origin than the gateway's."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(STATIC)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_page_is_told_why_it_gets_no_session(shared_browser: Browser, gateway: GatewayProcess) -> None:
    """Browsers tell a WebSocket nothing. The client finds out what can be found out."""
    why = """([url, token]) => import('/jarvis-client.js').then(({ JarvisClient }) => {
      const client = new JarvisClient(url, { token });
      return client.connect().then(() => 'ready', (error) => error.code).finally(() => client.close());
    })"""
    with elsewhere() as base:
        page = await shared_browser.new_page()
        await page.goto(f"{base}/package.json")
        assert await page.evaluate(why, [gateway.base, gateway.token]) == "ORIGIN_REFUSED"
        assert await page.evaluate(why, [f"http://127.0.0.1:{free_port()}", gateway.token]) == "UNREACHABLE"
        assert await page.evaluate(why, [base, gateway.token]) == "REFUSED"
        await page.goto(f"{gateway.base}/console/package.json")
        assert await page.evaluate(why.replace("/jarvis", "/console/jarvis"), [gateway.base, "no.token"]) == (
            "UNAUTHENTICATED"
        )
        assert await page.evaluate(why.replace("/jarvis", "/console/jarvis"), [gateway.base, gateway.token]) == "ready"
        await page.close()
