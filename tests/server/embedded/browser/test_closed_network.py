"""An internet page that tries every way into this machine. The internet is 127.0.0.2 here, the closed network 127.0.0.1."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
import tornado.httpserver
import tornado.web
from tornado.netutil import bind_sockets

from server.embedded.addresses import Reach, address_reach, host_reach, literal
from server.embedded.browser import gate as browser_gate
from server.embedded.browser import lookups as browser_lookups
from tests.server.embedded.website import surfing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.embedded.addresses import Address
    from tests.server.embedded.website import Surfer

PUBLIC = ip_address("127.0.0.2")

ATTEMPTS = """<!doctype html><title>Attempts</title>
<link rel=prefetch href="INSIDE/prefetch"><link rel=preconnect href="INSIDE"><link rel=dns-prefetch href="INSIDE">
<link rel=stylesheet href="INSIDE/style"><script src="INSIDE/script" async></script>
<img src="INSIDE/image"><iframe src="INSIDE/frame"></iframe><iframe src="/redirect"></iframe>
<object data="INSIDE/object"></object><embed src="INSIDE/embed"><video src="INSIDE/video"></video>
<iframe src="data:text/html,<img src='INSIDE/from-data'>"></iframe>
<iframe src="view-source:INSIDE/source"></iframe><iframe src="file:///etc/passwd"></iframe>
<script>
const tries = [
  fetch('INSIDE/fetch'), fetch('INSIDE/opaque', {mode: 'no-cors'}), fetch('/redirect'),
  new Promise((yes, no) => { const s = new WebSocket('INSIDE/socket'.replace('http', 'ws')); s.onopen = yes; s.onerror = no; }),
  new Promise((yes, no) => { const s = new EventSource('INSIDE/events'); s.onopen = yes; s.onerror = no; }),
  new Promise((yes, no) => {
    const w = new Worker(URL.createObjectURL(new Blob([`fetch('INSIDE/worker').then(() => postMessage(1), () => postMessage(0))`])));
    w.onmessage = e => e.data ? yes() : no();
  }),
  navigator.serviceWorker.register('/worker.js').then(() => Promise.reject()),
  new Promise((yes, no) => { const x = new XMLHttpRequest(); x.open('POST', 'INSIDE/xhr'); x.onload = yes; x.onerror = no; x.send(); }),
];
navigator.sendBeacon('INSIDE/beacon', 'x');
Promise.allSettled(tries).then(all => { document.title = 'reached ' + all.filter(one => one.status == 'fulfilled').length; });
</script>"""

MORE = """<!doctype html><title>More</title>
<iframe src="/meta"></iframe><iframe src="/script"></iframe><iframe src="/header"></iframe><iframe src="/form"></iframe>
<iframe srcdoc="<meta http-equiv=refresh content='0;url=INSIDE/srcdoc'>"></iframe>
<link rel=modulepreload href="INSIDE/module"><link rel=manifest href="INSIDE/manifest"><link rel=icon href="INSIDE/icon">
<link rel=preload as=font href="INSIDE/preload" crossorigin><link rel=prerender href="INSIDE/prerender">
<style>@import 'INSIDE/import'; @font-face { font-family: f; src: url('INSIDE/font') } p { font-family: f; background: url('INSIDE/css') }</style>
<p>text</p><picture><source srcset="INSIDE/set"><img src="INSIDE/picture"></picture><audio src="INSIDE/audio" autoplay></audio>
<svg><image href="INSIDE/svg"/><use href="INSIDE/use#a"/></svg><video><track src="INSIDE/track" default></video>
<a id=ping href="#here" ping="INSIDE/ping">ping</a><script type=speculationrules>{"prefetch": [{"urls": ["INSIDE/speculated"]}], "prerender": [{"urls": ["INSIDE/prerendered"]}]}</script>
<script>
document.getElementById('ping').click();
const frame = document.createElement('iframe');
frame.src = URL.createObjectURL(new Blob([`<img src="INSIDE/from-blob">`], {type: 'text/html'})); document.body.append(frame);
new SharedWorker('/shared.js'); import('INSIDE/dynamic').catch(() => 0); new Image().src = 'INSIDE/img';
for (const urls of ['stun:127.0.0.1:UDP', 'turn:127.0.0.1:UDP', 'turn:127.0.0.1:TCP?transport=tcp', 'turns:127.0.0.1:TCP?transport=tcp']) {
  const peer = new RTCPeerConnection({iceServers: [{urls, username: 'u', credential: 'c'}], iceCandidatePoolSize: 2});
  peer.createDataChannel('x'); peer.createOffer().then(offer => peer.setLocalDescription(offer));
  peer.addIceCandidate({candidate: 'candidate:1 1 udp 2122260223 127.0.0.1 UDP typ host', sdpMid: '0'}).catch(() => 0);
}
new WebTransport('https://127.0.0.1:UDP/x').ready.catch(() => 0);  // waits for long
</script>"""


@asynccontextmanager
async def attacker(inside: str, udp_port: int = 9) -> AsyncIterator[str]:
    """A page at the public address, and redirects of every kind to what is inside. `udp_port`: of this machine."""
    ports = {"INSIDE": inside, "UDP": str(udp_port), "TCP": inside.rpartition(":")[2].partition("/")[0]}
    ways = {
        "/": ATTEMPTS,
        "/more": MORE,
        "/meta": "<meta http-equiv=refresh content='0;url=INSIDE/meta'>",
        "/script": "<script>location.replace('INSIDE/location')</script>",
        "/click": "<a id=on href='INSIDE/clicked'>on</a><script>document.getElementById('on').click()</script>"
        + "<p>text" * 1_000_000,  # is broken off
        "/form": "<form method=post action='INSIDE/form-sent'></form><script>document.forms[0].submit()</script>",
        "/window": "<a id=load href='INSIDE/download' download>load</a><script>open('INSIDE/window'); load.click()</script>",
        "/shared.js": "fetch('INSIDE/shared').catch(() => 0); importScripts('INSIDE/imported')",
    }

    class Page(tornado.web.RequestHandler):
        def get(self) -> None:
            page = ways[self.request.path]
            for name, value in ports.items():
                page = page.replace(name, value)
            self.set_header("Content-Type", "text/javascript" if self.request.path.endswith(".js") else "text/html")
            self.set_header("Link", f"<{inside}/linked>; rel=preload; as=style")
            self.finish(page)

    class Header(tornado.web.RequestHandler):
        def get(self) -> None:
            self.set_header("Refresh", f"0;url={inside}/refreshed")

    class ServiceWorker(tornado.web.RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", "text/javascript")
            self.finish(f"oninstall = event => event.waitUntil(fetch('{inside}/service-worker', {{mode: 'no-cors'}}))")

    sockets = bind_sockets(0, str(PUBLIC))
    redirect = ("/redirect", tornado.web.RedirectHandler, {"url": f"{inside}/redirected", "permanent": False})
    server = tornado.httpserver.HTTPServer(
        tornado.web.Application(
            [*((way, Page) for way in ways), ("/header", Header), ("/worker.js", ServiceWorker), redirect]
        )
    )
    server.add_sockets(sockets)
    try:
        yield f"http://{PUBLIC}:{sockets[0].getsockname()[1]}"
    finally:
        server.stop()
        await server.close_all_connections()


@asynccontextmanager
async def datagrams() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A UDP port of this machine, and what came there: STUN, QUIC."""
    received: list[bytes] = []

    class Ear(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _address: object) -> None:
            received.append(data)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Ear, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1], received
    finally:
        transport.close()


@pytest.fixture(autouse=True)
def internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """One address of this machine counts as public; names that end in .example resolve to this machine."""

    def reach(address: Address) -> Reach:
        return Reach.PUBLIC if address == PUBLIC else address_reach(address)

    def name_reach(host: str) -> Reach:
        return Reach.PUBLIC if literal(host) == PUBLIC else host_reach(host)

    def getaddrinfo(host: str, _port: Any, **_: Any) -> list[Any]:
        return [(0, 0, 0, "", ("127.0.0.1" if host.startswith("inside.") else str(PUBLIC), 0))]

    monkeypatch.setattr(browser_gate, "address_reach", reach)
    monkeypatch.setattr(browser_gate, "host_reach", name_reach)
    monkeypatch.setattr(browser_lookups, "getaddrinfo", getaddrinfo)


async def title_after(surfer: Surfer, url: str) -> str:
    """What the page calls itself once every attempt has ended."""
    assert (await surfer.do("navigate", {"url": url})).status == "ok"
    title = "Attempts"
    while title == "Attempts":
        title = str((await surfer.do("wait", {"ms": 100})).values["title"])
    return title


@pytest.mark.parametrize("host", ["127.0.0.1", "inside.example", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"])
async def test_no_request_of_a_page_leads_inside(tmp_path: Path, host: str) -> None:
    async with surfing(tmp_path, BROWSER_PRIVATE_NETWORK="") as surfer, datagrams() as (port, received):
        inside = surfer.site.url.replace("127.0.0.1", host)
        async with attacker(inside, port) as url:
            assert await title_after(surfer, url) == "reached 0"
            run = await surfer.do("navigate", {"url": f"{url}/redirect"})
            assert (run.status, run.message.endswith("a network that is closed to the browser")) == ("failed", True)
            for way in ("more", "window") if host == "inside.example" else ():
                await surfer.do("navigate", {"url": f"{url}/{way}"})
                await surfer.do("wait", {"ms": 1_000})
        assert (surfer.site.asked, received) == ([], [])


@pytest.mark.parametrize("way", ["click", "script", "meta", "redirect"])
async def test_a_page_that_leads_inside_is_told_that_it_is_closed(tmp_path: Path, way: str) -> None:
    """It was told that its server had broken its answer off, or that there was no connection."""
    async with surfing(tmp_path, BROWSER_PRIVATE_NETWORK="deny") as surfer, attacker(surfer.site.url) as url:
        run = await surfer.do("navigate", {"url": f"{url}/{way}"})
        assert run.status == "failed"
        assert run.message.endswith("127.0.0.1 is in a network that is closed to the browser")


async def test_a_name_that_comes_to_resolve_to_this_machine_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: every connection is judged by the very address it is made to."""
    answers = [str(PUBLIC)]

    def getaddrinfo(_host: str, _port: Any, **_: Any) -> list[Any]:
        return [(0, 0, 0, "", (answers[-1], 0))]

    monkeypatch.setattr(browser_lookups, "getaddrinfo", getaddrinfo)
    async with surfing(tmp_path, BROWSER_PRIVATE_NETWORK="") as surfer, attacker(surfer.site.url) as url:
        run = await surfer.do("navigate", {"url": url.replace(str(PUBLIC), "rebind.example")})
        assert (run.status, run.message) == ("ok", "")
        answers.append("127.0.0.1")
        run = await surfer.do("navigate", {"url": surfer.site.url.replace("127.0.0.1", "rebind.example")})
        words = "rebind.example leads into a network that is closed to the browser"
        assert (run.status, run.message) == ("failed", words)
        assert surfer.site.asked == []


SPELLINGS = [
    "127.0.0.1%C2%AD",
    "%E2%80%8B127.0.0.1",
    "0177.0.0.1",
    "2130706433",
    "0",
    "127.1",
    "localhost.",
    "a.localhost",
    "[::1]",
    "[::]",
    "[64:ff9b::7f00:1]",
    "[fe80::1]",
    "user@127.0.0.1",
    "\u2460\u2461\u2466.0.0.1",
    "inside.example.",
]


async def test_no_spelling_of_this_machine_is_opened(tmp_path: Path) -> None:
    async with surfing(tmp_path, BROWSER_PRIVATE_NETWORK="") as surfer:
        for host in SPELLINGS:
            run = await surfer.do("navigate", {"url": surfer.site.url.replace("127.0.0.1", host) + "/form"})
            assert (host, run.status, "closed to the browser" in run.message) == (host, "failed", True), run.message
        assert surfer.site.asked == []
