"""Pages that do not want to be left, and pages that open too many others."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import grpc
import grpc.aio
import pytest
from playwright.async_api import Error as PlaywrightError

from server.embedded.browser import departure, lookups
from server.embedded.browser.gate import BrowserGate
from server.embedded.browser.lookups import Names
from server.embedded.browser.service import CROWDED
from server.embedded.browser.tabs import MAX_DIALOGS, MAX_TABS
from tests.server.embedded.website import surfing, unread_failures

if TYPE_CHECKING:
    from pathlib import Path

    from server.embedded.browser.tabs import Tabs
    from tests.server.embedded.website import Surfer

HOLDING = {
    "busy": "fetch('/gate').then(() => { for (;;); })",
    "before": "onbeforeunload = () => { for (;;); }",
    "after": "onpagehide = () => { for (;;); }",
    "asking": "onbeforeunload = onunload = () => { for (;;) alert('stay'); }",
    "connections": "for (let i = 0; i < 100; i++) fetch('/hang?' + i).catch(() => 0)",
}
GOING_ON = {
    "once": "onbeforeunload = () => { setTimeout(() => location.href = '/hang', 0) }",
    "for ever": "fetch('/gate').then(() => setInterval(() => location.href = '/hang?' + Math.random(), 1))",
    "by a form": """document.write('<form action=/hang>');
fetch('/gate').then(() => setInterval(() => document.forms[0].submit(), 1))""",
}


STORM = "<script>onkeydown = () => { for (let i = 0; i < 50; i++) open('/hang?' + i) }</script>"


def page(script: str) -> str:
    return f"page?html={quote(f'<title>Hostile</title><script>{script}</script>')}"


def event(request: str, kind: str = "Document", frame: str = "main", initiator: str = "other") -> dict[str, Any]:
    return {
        "requestId": request,
        "type": kind,
        "frameId": frame,
        "initiator": {"type": initiator},
        "request": {"url": "http://a.example/"},
    }


def no_gate() -> BrowserGate:
    return BrowserGate(Names().of("ann"), private_open=True)


def tabs_of(surfer: Surfer) -> Tabs:
    assert surfer.service._chromium is not None
    return surfer.service._chromium._tabs["ann", "s1"]


@pytest.mark.parametrize("how", HOLDING)
async def test_a_page_that_does_not_let_itself_be_left_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Each held its session for as long as a task may take."""
    async with surfing(tmp_path) as surfer:
        await surfer.open(page(HOLDING[how]))
        if how == "connections":
            await surfer.site.hangs(6)  # as many as Chromium opens to a site
        surfer.site.gate.set()
        monkeypatch.setattr(departure, "LEAVE_S", 0.5)
        assert (await surfer.open("form")).values["title"] == "Form"
        assert (await surfer.do("extract_text", {"selector": "h1"})).values["text"] == "Hello"


@pytest.mark.parametrize("how", GOING_ON)
async def test_a_page_that_goes_elsewhere_itself_is_left(tmp_path: Path, how: str) -> None:
    """Each broke the next page off, or had its title waited for without an end."""
    async with surfing(tmp_path) as surfer:
        await surfer.open(page(GOING_ON[how]))
        surfer.site.gate.set()
        while how != "once" and "hang" not in surfer.site.asked:
            await asyncio.sleep(0.01)
        # Chromium itself may stop a page that goes elsewhere so often: then it is not closed.
        shown = (await surfer.open("form")).values
        assert (shown["url"], shown["title"]) == (f"{surfer.site.url}/form", "Form")


async def test_what_is_no_page_leaves_the_old_one_where_it_is(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        for path in ("download", "nothing"):
            run = await surfer.do("navigate", {"url": f"{surfer.site.url}/{path}"})
            assert (run.status, run.values["title"]) == ("failed", "Form")
            assert surfer.site.asked.count(path) == 1


async def test_a_page_that_holds_up_the_way_back_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        await surfer.open(page(HOLDING["before"]))
        with monkeypatch.context() as patch:
            patch.setattr(departure, "LEAVE_S", 0.5)
            run = await surfer.do("back")
        assert (run.status, run.message) == ("failed", "the page did not let itself be left, and was closed")
        assert (await surfer.do("extract_text")).message == "no page is open"
        assert (await surfer.open("form")).values["title"] == "Form"


async def test_the_time_in_which_the_server_thinks_is_no_fault_of_the_page() -> None:
    async with asyncio.timeout(60) as limit:
        one = departure._Departure(limit, "main", no_gate())
        one.begun(event("of the page", kind="Fetch"))
        one.begun(event("of a frame", frame="inner"))
        one.sent(event("of the page"))
        one.sent(event("of a frame"))
        assert limit.when() is not None
        one.begun(event("one"))
        assert limit.when() is not None
        one.sent(event("one"))
        assert limit.when() is None
        one.sent(event("one"))  # a redirect, which is told to be sent before it is told to have begun
        one.begun(event("one"))
        assert limit.when() is None
        one.begun(event("one"))
        assert limit.when() is not None
        one.sent(event("one"))
        one.answered(event("of the page"))
        assert limit.when() is None
        one.answered(event("one"))
        assert limit.when() is not None
        one.over = True
    one.begun(event("two"))  # an error here would be that of whoever uses Playwright next


@pytest.mark.parametrize("requests", [[event("its own", initiator="script")], [event("its own"), event("the other")]])
async def test_what_a_page_begins_itself_ends_its_time(requests: list[dict[str, Any]]) -> None:
    async with asyncio.timeout(60) as limit:
        one = departure._Departure(limit, "main", no_gate())
        for begun in requests:
            one.begun(begun)
        at = limit.when()
        one.sent(event(requests[-1]["requestId"]))
        one.answered(event(requests[-1]["requestId"]))
        assert one.broken_off(PlaywrightError("net::ERR_ABORTED"))
        assert at is not None
        assert limit.when() == at <= asyncio.get_running_loop().time()
        limit.reschedule(None)


async def test_the_page_that_has_come_may_go_on() -> None:
    async with asyncio.timeout(60) as limit:
        one = departure._Departure(limit, "main", no_gate())
        one.begun(event("the other"))
        assert one.broken_off(PlaywrightError("net::ERR_ABORTED"))
        one.answered(event("the other"))
        assert not one.broken_off(PlaywrightError("net::ERR_ABORTED; a download"))
        one.begun(event("of the one that has come", initiator="script"))
        assert not one.broken_off()
        one.over = True


async def test_what_is_begun_before_the_page_has_come_gets_no_time_at_its_server() -> None:
    """On a busy machine, the page that is left had time to go elsewhere after the answer: that server was waited for without an end."""
    async with asyncio.timeout(60) as limit:
        one = departure._Departure(limit, "main", no_gate())
        one.begun(event("the other"))
        one.sent(event("the other"))
        one.answered(event("the other"))
        one.begun(event("its own", initiator="script"))
        one.sent(event("its own"))
        assert limit.when() is not None
        one.over = True


async def test_an_answer_may_be_told_before_its_request() -> None:
    """On a busy machine. A page that did not let itself be left then held its session for as long as a task may take."""
    async with asyncio.timeout(60) as limit:
        one = departure._Departure(limit, "main", no_gate())
        one.begun(event("one"))
        one.answered(event("one"))
        one.sent(event("one"))
        assert limit.when() is not None
        one.over = True


async def test_a_page_that_goes_on_by_itself_is_no_error_of_the_next_task(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with surfing(tmp_path) as surfer:
        for _ in range(5):
            with suppress(grpc.aio.AioRpcError):  # some take too long
                await surfer.do("navigate", {"url": f"{surfer.site.url}/{page('location.reload()')}"}, timeout_ms=500)
        assert (await surfer.open("form")).values["title"] == "Form"
    assert unread_failures(caplog) == []


async def test_a_slow_server_is_asked_once_and_the_way_back_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departure, "LEAVE_S", 3.0)
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        opening = asyncio.get_running_loop().create_task(surfer.open("gate"), name="slow")
        while "gate" not in surfer.site.asked:
            await surfer.do("wait", {"ms": 10}, session="other")
        await surfer.do("wait", {"ms": 3_500}, session="other")  # longer than a page may take
        surfer.site.gate.set()
        assert (await opening).values["status"] == 200
        assert surfer.site.asked.count("gate") == 1
        assert (await surfer.do("back")).values["title"] == "Form"


async def test_no_worker_of_a_page_answers_in_the_server_s_place(tmp_path: Path) -> None:
    """Chromium does not tell when its requests are sent: a slow server's time counted as that of the page that is left."""
    worker = f"/page?type=text/javascript&html={quote('onfetch = event => event.respondWith(fetch(event.request))')}"
    shown = f"""const all = navigator.serviceWorker;
all.register('{worker}').then(() => all.getRegistrations()).then(found => {{ document.body.textContent = found.length }})"""
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote(f'<body>…<script>{shown}</script>')}")
        while (text := (await surfer.do("extract_text")).values["text"]) == "…":
            await asyncio.sleep(0.01)
        assert text == "0"


async def test_of_many_dialogs_the_last_ones_are_told(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        run = await surfer.open(page(f"for (let i = 0; i < {MAX_DIALOGS + 5}; i++) alert(i)"))
        assert run.values["dialogs"] == [str(number) for number in range(5, MAX_DIALOGS + 5)]


async def test_a_name_that_is_looked_up_for_long_is_no_fault_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, asked = threading.Event(), threading.Event()

    def slowly(_host: str, *_: Any, **__: Any) -> list[Any]:
        asked.set()
        answer.wait()
        return [(0, 0, 0, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(lookups, "getaddrinfo", slowly)
    monkeypatch.setattr(departure, "LEAVE_S", 3.0)
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        url = surfer.site.url.replace("127.0.0.1", "slow.example") + "/second"
        opening = asyncio.get_running_loop().create_task(surfer.do("navigate", {"url": url}), name="slow")
        while not asked.is_set():
            await asyncio.sleep(0.01)
        await surfer.do("wait", {"ms": 3_500}, session="other")  # longer than a page may take
        answer.set()
        assert (await opening).values["title"] == "Second"
        assert (await surfer.do("back")).values["title"] == "Form"


async def test_windows_that_a_page_opens_in_numbers_are_closed_at_once(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        storm = page("for (let i = 0; i < 30; i++) open('/second?' + i)")
        run = await surfer.do("navigate", {"url": f"{surfer.site.url}/{storm}"})
        assert (run.status, run.message) in {("ok", ""), ("failed", CROWDED)}  # the page may be there before they are
        while len(tabs_of(surfer).context.pages) > MAX_TABS:
            await asyncio.sleep(0.01)
        assert (await surfer.open("form")).values["title"] == "Form"


async def test_nor_do_windows_wait_in_numbers_for_a_server(tmp_path: Path) -> None:
    """Playwright tells of a window when its server has answered: until then, there was no end of them."""
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote(STORM)}")
        tabs = tabs_of(surfer)
        browser = tabs.context.browser
        assert browser is not None
        session = await browser.new_browser_cdp_session()
        with suppress(grpc.aio.AioRpcError):
            await surfer.do("press", {"key": "a"}, timeout_ms=3_000)
        while len((await session.send("Target.getTargets"))["targetInfos"]) > 2 * MAX_TABS:
            await asyncio.sleep(0.01)
        assert (await surfer.open("form")).values["title"] == "Form"
