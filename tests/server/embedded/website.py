"""A website for the browser service, and a client that uses the service on it."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # the library carries no types
import tornado.httpserver
import tornado.web
from tornado.testing import bind_unused_port

from protos import browser_pb2_grpc
from server.embedded.browser.service import BrowserService
from server.embedded.executor import MAX_TIMEOUT_MS
from tests.server.embedded.executing import config, execute, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from tests.server.embedded.executing import Run

FORM = """<title>Form</title><h1>Hello</h1><a href="/second">Next page</a> <a href="/second" target="_blank">Window</a>
<a href="mailto:a@b">Mail</a><form action="/said"><input id="name" name="name"><button>Send it</button></form>
<button onclick="alert('first'); confirm('second'); this.textContent = 'asked'">Ask</button>
<div style="height: 3000px"></div><p>end</p>"""
HALF = "<title>Half</title>half"
NOISE = """<title>Noise</title><canvas id=c width=1280 height=800></canvas><script>
const g = c.getContext('2d'), d = g.createImageData(1280, 800); document.body.style.margin = 0;
for (let i = 0; i < d.data.length; i++) d.data[i] = i % 4 == 3 ? 255 : Math.random() * 256; g.putImageData(d, 0, 0);
</script>"""


class Site:
    """What a test looks at: addresses asked for, cookies sent, and the requests that hang; those of `gate` until it opens."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.hanging = 0
        self.changed = asyncio.Event()
        self.gate = asyncio.Event()

    async def is_asked(self, path: str) -> None:
        while path not in self.asked:
            self.changed.clear()
            await self.changed.wait()

    async def hangs(self, count: int) -> None:
        while self.hanging != count:
            self.changed.clear()
            await self.changed.wait()


class Served(tornado.web.RequestHandler):
    site: Site

    async def get(self, path: str) -> None:
        self.site.asked.append(path)
        self.site.changed.set()
        self.set_header("Content-Type", "text/html")
        match path:
            case "form":
                self.finish(FORM)
            case "leaving":
                self.finish("<title>Leaving</title><button>Edit</button><script>onbeforeunload = e => 'stay?'</script>")
            case "said":
                self.finish(f"<title>Said</title>{self.get_argument('name')}")
            case "second":
                self.finish("<title>Second</title><p id=late hidden>late</p>")
            case "noise":
                self.finish(NOISE)
            case "cookie":
                seen = self.get_cookie("who", "nobody")
                self.set_cookie("who", self.get_argument("who", ""))
                self.finish(f"<p>{seen}</p>")
            case "late":
                self.finish("<p id=p hidden>here</p><script>setTimeout(() => p.hidden = false, 200)</script>")
            case "download":
                self.set_header("Content-Disposition", "attachment; filename=x.bin")
                self.finish("x")
            case "nothing":
                self.set_status(204)
                self.finish()
            case "inwards":
                self.finish(f"<script>fetch('{self.get_argument('to')}').catch(() => 0)</script>")
            case "page":
                self.set_header("Content-Type", self.get_argument("type", "text/html"))
                self.finish(self.get_argument("html"))
            case "redirect":
                self.redirect(self.get_argument("to"))
            case "gate":
                await self.site.gate.wait()
                self.finish("<title>Open</title>open")
            case "slow download":
                await self.site.gate.wait()
                self.set_header("Content-Disposition", "attachment; filename=x.bin")
                self.finish("x")
            case "hang":
                await self.hang()
            case "broken":
                await self.breaks_off(self.get_argument("way"))
            case _:
                self.set_status(404)
                self.finish("<title>Nothing</title>nothing here")

    async def breaks_off(self, way: str) -> None:
        """Answers without their end, straight to the connection: Tornado would not send them."""
        head, text = "Transfer-Encoding: chunked", f"{len(HALF):x}\r\n{HALF}\r\n"
        if way != "chunks":
            head, text = "Content-Length: 1000", "" if way == "nothing" else HALF
        if way == "not gzip":
            head, text = "Content-Length: 3\r\nContent-Encoding: gzip", "xyz"
        stream = self.detach()
        await stream.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{head}\r\n\r\n{text}".encode())
        if way == "slow":
            await self.site.gate.wait()
            await stream.write("<p id=rest>rest".ljust(1000 - len(HALF)).encode())
        stream.close()

    async def hang(self) -> None:
        self.site.hanging += 1
        self.site.changed.set()
        await asyncio.Event().wait()

    def on_connection_close(self) -> None:
        self.site.hanging -= 1
        self.site.changed.set()


@asynccontextmanager
async def website() -> AsyncIterator[Site]:
    sock, port = bind_unused_port()
    site = Site(f"http://127.0.0.1:{port}")
    handler = type("Handler", (Served,), {"site": site})
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/(.*)", handler)]))
    server.add_socket(sock)
    try:
        yield site
    finally:
        server.stop()
        await server.close_all_connections()


class Surfer:
    """Gives tasks to the service."""

    def __init__(self, channel: Any, service: BrowserService, site: Site) -> None:
        self.stub = browser_pb2_grpc.BrowserExecutorStub(channel)
        self.service = service
        self.site = site

    async def do(self, action: str, parameters: dict[str, Any] | None = None, **who: Any) -> Run:
        """A task has as long as the longest may have: how fast the machine is, is not what is tested."""
        return await execute(self.stub, action, parameters, **{"timeout_ms": MAX_TIMEOUT_MS, **who})

    async def open(self, path: str, **who: Any) -> Run:
        run = await self.do("navigate", {"url": f"{self.site.url}/{path}"}, **who)
        assert run.status == "ok", run.message
        return run


@asynccontextmanager
async def surfing(tmp_path: Path, **options: str) -> AsyncIterator[Surfer]:
    """The site is on this machine, so the private network is open unless the test says otherwise."""
    service = BrowserService(config(tmp_path, **{"BROWSER_PRIVATE_NETWORK": "allow", **options}))
    async with website() as site, serving(service) as channel:
        yield Surfer(channel, service, site)


def processes_with(word: str) -> list[psutil.Process]:
    """Those below us whose command line holds the word; some end while we look."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def chromium_processes() -> list[psutil.Process]:
    return processes_with("--headless")


def unread_failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What asyncio has said of failures that nobody read: it does so when their future goes."""
    gc.collect()
    return [record.getMessage() for record in caplog.records if record.name == "asyncio"]
