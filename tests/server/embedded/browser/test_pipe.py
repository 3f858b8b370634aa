"""Messages between Chromium and the driver that no page may send."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped] # the library carries no types
import pytest

from server.embedded.browser import pipe
from server.embedded.browser.launching import find_chromium
from server.embedded.browser.pages import Chromium
from server.embedded.browser.pipe import Messages, too_large
from server.embedded.browser.service import CRASHED, ENDED
from server.embedded.service import MissingPartError
from tests.server.embedded.executing import request
from tests.server.embedded.website import chromium_processes, processes_with, surfing

pytestmark = pytest.mark.usefixtures("own_browser")


def sent(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\0"


def fed(stream: bytes, piece_bytes: int) -> bytes:
    messages = Messages()
    return b"".join(messages.feed(stream[at : at + piece_bytes]) for at in range(0, len(stream), piece_bytes))


@pytest.mark.parametrize("piece_bytes", [1, 7, 1_000_000])
def test_what_is_too_long_or_unused_is_dropped_and_answers_become_errors(
    monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    monkeypatch.setattr(pipe, "MAX_MESSAGE_BYTES", 150)
    first, last = sent({"method": "Page.loadEventFired", "params": {}}), sent({"id": 9, "result": {"x": "\u00e9"}})
    long = {"value": "x" * 500 + ',"sessionId":"FORGED"}'}
    stream = (
        first
        + sent({"method": "Network.requestWillBeSent", "params": long, "sessionId": "AB"})
        + sent({"method": "Runtime.consoleAPICalled", "params": {}, "sessionId": "AB"})
        + sent({"id": 7, "result": long, "sessionId": "AB"})
        + sent({"id": 8, "result": long})
        + last
    )
    error = {"code": -32000, "message": "what the page holds is too long"}
    assert fed(stream, piece_bytes) == (
        first + sent({"id": 7, "error": error, "sessionId": "AB"}) + sent({"id": 8, "error": error}) + last
    )


def test_a_message_without_an_end_is_not_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "MAX_MESSAGE_BYTES", 100)
    messages = Messages()
    for _ in range(1_000):
        assert messages.feed(b"x" * 100) == b""
    assert len(messages._held) == 100


FLOODS = (
    "console.log(long)",
    "setTimeout(() => { throw new Error(long) })",
    "fetch('/form', { method: 'POST', body: long }).catch(() => 0)",
    "new Image().src = 'data:image/png;base64,' + long",
    "new Worker(URL.createObjectURL(new Blob(['console.log(\"w\".repeat(3e7))'])))",
)


def drivers() -> set[int]:
    """Those of this process; other tests have some too."""
    below = psutil.Process().children(recursive=True)
    return {one.pid for one in below if "run-driver" in " ".join(one.cmdline())}


def highest_bytes(process: int) -> int:
    """Memory of a process, at its highest."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


MANY = """const each = long.slice(0, 1e6), frame = document.createElement('iframe');
frame.name = each;
document.documentElement.append(frame);
for (let at = 0; at < 15; at++) new WebSocket('ws://127.0.0.1:9/' + each + at).close();
for (let at = 0; at < 3; at++) new Worker('data:text/javascript,//' + each + at)"""


def test_of_what_playwright_keeps_only_the_beginning_of_long_texts_is_passed_on() -> None:
    """Web pages filled the memory of the driver, and of all services, with addresses of WebSockets."""
    request = {"requestId": "A1", "request": {"url": "u" * 9_000, "headers": {"x" * 9_000: "y" * 9_000, "z": "1"}}}
    stack = {"requestId": "A2", "initiator": {"type": "script", "stack": ["s" * 90] * 10_000}}
    cut: list[Any] = []
    for params in (
        request,
        stack,
        {**request, "request": {"url": "u", "headers": {str(at): "y" for at in range(9_999)}}},
    ):
        passed = fed(sent({"method": "Network.requestWillBeSent", "params": params, "sessionId": "AB"}), 1_000)
        assert len(passed) <= pipe.MAX_EVENT_BYTES + 1
        cut.append(json.loads(passed[:-1]))
        assert (cut[-1]["method"], cut[-1]["sessionId"]) == ("Network.requestWillBeSent", "AB")
    assert cut[0]["params"]["request"]["url"] == "u" * 4_096
    assert cut[0]["params"]["request"]["headers"] == {"x" * 4_096: "y" * 4_096, "z": "1"}
    assert cut[1]["params"]["initiator"]["type"] == "script"
    whole = sent({"id": 1, "result": {"data": "x" * 100_000}})
    assert fed(whole, 1_000) == whole
    for unused in (
        {"method": "Network.webSocketCreated", "params": {"requestId": "12.3", "url": "ws://a"}},
        {"method": "Network.requestWillBeSent", "params": {"requestId": "12.3", "request": {"url": "http://a"}}},
    ):
        assert fed(sent(unused), 1_000) == b""


async def test_no_page_sends_the_driver_what_it_likes(tmp_path: Path) -> None:
    """One message of 30 MB takes the driver more than twice as much memory; one of 512 MB ended it, with everybody's pages."""
    others = drivers()
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        (driver,) = drivers() - others
        before = highest_bytes(driver)
        for flood in (*FLOODS, MANY):
            html = (
                f"<title>begun</title><script>const long = 'x'.repeat(3e7); {flood}; document.title = 'done'</script>"
            )
            assert (await surfer.open(f"page?html={quote(html)}")).values["title"] == "done"
            await surfer.do("wait", {"ms": 1_000})
        assert highest_bytes(driver) - before < 30_000_000


async def test_no_page_changes_its_address_as_often_as_it_likes(tmp_path: Path) -> None:
    """Each change passes through Chromium's main process, the driver and the service. Chromium allows 200 in ten seconds."""
    changing = "for (let at = 0; at < 2000; at++) location.hash = at; document.title = location.hash.slice(1)"
    async with surfing(tmp_path) as surfer:
        run = await surfer.open(f"page?html={quote(f'<title>begun</title><script>{changing}</script>')}")
        assert int(run.values["title"]) < 1_999


async def test_a_folder_that_takes_no_script_is_told(tmp_path: Path) -> None:
    chromium = Chromium(find_chromium(""), tmp_path / "none", private_open=False, sandbox=False)
    with pytest.raises(MissingPartError, match=r"Chromium is started by a script in .*none: No such file"):
        await chromium.start()


BUSY = """<title>busy</title><canvas></canvas><script>
new Worker(URL.createObjectURL(new Blob(['1'])));
document.querySelector('canvas').getContext('webgl');
requestAnimationFrame(function draw() { requestAnimationFrame(draw); });
</script>"""


def nice_values(process: int) -> set[int]:
    """Those of its threads: each has its own."""
    stats = [thread.read_text(errors="replace") for thread in Path(f"/proc/{process}/task").glob("*/stat")]
    return {int(stat.rpartition(")")[2].split()[16]) for stat in stats}


async def test_no_thread_of_a_browser_has_a_higher_priority_than_the_services(tmp_path: Path) -> None:
    """As root, Chromium gives itself more, if it may."""
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote(BUSY)}")
        own = os.nice(0)
        found = [min(nice_values(process.pid)) for process in chromium_processes()]
        assert len(found) > 3
        assert min(found) == own


GROWING = """<title>growing</title><script>
const held = [];
function grow() {
  const more = new Uint8Array(1 << 25);
  for (let at = 0; at < more.length; at += 4096) more[at] = at | 1;
  held.push(more);
}
fetch('/gate').then(() => setInterval(grow, 10));
</script>"""


async def test_a_page_that_takes_too_much_memory_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "MAX_PROCESS_BYTES", 300 * 1024 * 1024)
    async with surfing(tmp_path) as surfer:
        await surfer.open("form", session="another")
        await surfer.open(f"page?html={quote(GROWING)}")
        async for event in surfer.stub.Execute(request("wait", {"selector": "#never"})):
            if event.progress.message == "the browser is ready":
                surfer.site.gate.set()
        assert (event.result.status, event.result.message) == ("failed", ENDED)
        assert (await surfer.open("form")).values["title"] == "Form"
        surfer.site.gate.clear()
        await surfer.open(f"page?html={quote(GROWING)}")
        surfer.site.gate.set()
        chromium = surfer.service._chromium
        assert chromium is not None
        while not chromium._tabs["ann", "s1"].crashed:
            await surfer.do("extract_text", session="another")
        assert (await surfer.do("extract_text")).message == CRASHED
        assert (await surfer.do("extract_text")).message == "no page is open"
        assert (await surfer.do("extract_text", session="another")).status == "ok"


async def test_all_processes_of_a_browser_are_watched(tmp_path: Path) -> None:
    """Threads of Chromium start some; and its network service, which keeps what pages send, shares the fate of the browser."""
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        (program,) = processes_with("browser/pipe.py")
        before = {process.pid for process in program.children(recursive=True)}
        watched = set(pipe._below(program.pid))
        after = {process.pid for process in program.children(recursive=True)}
        assert len(watched) > 3
        assert before & after <= watched
        assert processes_with("network.mojom") == []


def test_what_is_swapped_out_counts() -> None:
    status = "VmRSS:\t 9 kB\nRssAnon:\t 1 kB\nRssFile:\t 4 kB\nRssShmem:\t 2 kB\nVmSwap:\t 16 kB\n"
    assert pipe.own_bytes(status) == 19 * 1024


def test_children_of_all_threads_are_found() -> None:
    found: list[int] = []

    def start() -> None:
        with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
            found.extend((child.pid, *pipe._below(os.getpid())))

    thread = Thread(target=start)
    thread.start()
    thread.join()
    assert found[0] in found[1:]


def holding(mebibytes: int) -> str:
    html = f"<title>held</title><script>const held = new Uint8Array({mebibytes} << 20).fill(1)</script>"
    return f"page?html={quote(html)}"


async def test_who_has_most_memory_loses_a_page_and_not_who_has_the_largest_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "MAX_ALL_BYTES", 1050 * 1024 * 1024)
    async with surfing(tmp_path) as surfer:
        await surfer.open(holding(400), user="bob")
        await surfer.open(holding(300), user="eve", session="1")
        await surfer.do("navigate", {"url": f"{surfer.site.url}/{holding(300)}"}, user="eve", session="2")
        chromium = surfer.service._chromium
        assert chromium is not None
        while not any(chromium._tabs["eve", session].crashed for session in "12"):
            assert (await surfer.do("extract_text", user="bob")).status == "ok"
        assert (await surfer.do("wait", {"ms": 1}, user="bob")).values["title"] == "held"


def test_the_largest_processes_of_the_user_who_has_most_end_until_all_have_room() -> None:
    assert too_large({1: {10: 10, 11: 90, 12: 40, 13: 30}}, 80, 100) == [11]
    assert too_large({1: {10: 10, 11: 70, 12: 60, 13: 50}}, 80, 100) == [11, 12]
    assert too_large({1: {10: 90}, 2: {20: 95}}, 80, 1_000) == [10, 20]
    assert too_large({1: {10: 80}, 2: {20: 20}}, 80, 100) == []
    assert too_large({1: {10: 70}, 2: {20: 30, 21: 40, 22: 35}}, 80, 140) == [21]
    assert too_large({1: {10: 70}, 2: {20: 30, 21: 40, 22: 35}}, 80, 100) == [21, 10]
