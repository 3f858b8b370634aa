"""Which page an action works on: the one that the user was last told of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from playwright.async_api import Page

from server.embedded.browser import actions, arrival, departure
from server.embedded.browser.arrival import UNTOLD
from server.embedded.browser.tabs import CLOSED_ITSELF, CRASHED
from tests.server.embedded.executing import request
from tests.server.embedded.website import surfing, unread_failures

if TYPE_CHECKING:
    from pathlib import Path

    from server.embedded.browser.tabs import Tabs
    from tests.server.embedded.executing import Run
    from tests.server.embedded.website import Surfer

CLICK = ("click", {"selector": "#go"})
BEFORE = "; the page before it is open now"
BUSY = "<title>Busy</title>text<script>onload = () => setTimeout(() => { for (;;); })</script>"


def path(html: str) -> str:
    return f"page?html={quote(html)}"


def tabs_of(surfer: Surfer) -> Tabs:
    assert surfer.service._chromium is not None
    return surfer.service._chromium._tabs["ann", "s1"]


async def only(surfer: Surfer, count: int) -> None:
    while len(tabs_of(surfer).context.pages) != count:
        await asyncio.sleep(0.01)


async def window(surfer: Surfer, html: str, then: str = "") -> Run:
    """A shop whose link opens that in a window; and what the shop does `then` with it."""
    script = f"<script>go.onclick = () => {{ const inner = open('/{path(html)}'); {then} }}</script>"
    await surfer.open(path(f"<title>Shop</title><button id=go>go</button>{script}"))
    return await surfer.do(*CLICK)


async def test_a_page_that_was_left_opens_no_window_in_front(tmp_path: Path) -> None:
    """It took what was typed next for the page that the user had gone to."""
    async with surfing(tmp_path) as surfer:
        evil = "<script>open('/second'); fetch('/gate').then(() => open('/second'))</script>"
        await surfer.open(path(f"<title>Evil</title>{evil}"))
        await surfer.open("form")
        await only(surfer, 1)
        surfer.site.gate.set()
        run = await surfer.do("type", {"selector": "#name", "text": "secret"})
        assert (run.status, run.values["title"]) == ("ok", "Form")


async def test_nor_does_the_page_behind_a_window(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        inner = "<title>Inner</title><input id=name>"
        assert (await window(surfer, inner, "fetch('/gate').then(() => open('/second'))")).values["title"] == "Inner"
        surfer.site.gate.set()
        await surfer.site.is_asked("second")
        await only(surfer, 2)
        run = await surfer.do("type", {"selector": "#name", "text": "secret"})
        assert (run.status, run.values["title"]) == ("ok", "Inner")
        assert (await surfer.do("back")).values["title"] == "Shop"


async def test_a_window_that_no_action_has_opened_is_closed(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open(path("<title>Shop</title><script>fetch('/gate').then(() => open('/second'))</script>"))
        surfer.site.gate.set()
        await surfer.site.is_asked("second")
        await only(surfer, 1)
        assert (await surfer.do("extract_text")).values["title"] == "Shop"


async def test_the_page_behind_cannot_lead_a_page_elsewhere_that_the_user_has_opened(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await window(surfer, "<title>Inner</title>text", "fetch('/gate').then(() => { inner.location = '/second' })")
        await surfer.open("form")
        await only(surfer, 1)
        surfer.site.gate.set()
        assert (await surfer.do("extract_text")).values["title"] == "Form"
        assert (await surfer.do("back")).values["title"] == "Inner"


async def test_a_window_that_closes_while_nothing_is_done_is_told(tmp_path: Path) -> None:
    """What was meant for it went to the page that had closed it."""
    async with surfing(tmp_path) as surfer:
        await window(surfer, "<title>Inner</title><input id=name>", "fetch('/gate').then(() => inner.close())")
        surfer.site.gate.set()
        await only(surfer, 1)
        run = await surfer.do(*CLICK)
        assert (run.status, run.message, run.values["title"]) == ("failed", CLOSED_ITSELF + BEFORE, "Shop")
        assert (await surfer.do("extract_text")).values["title"] == "Shop"


async def test_a_window_that_closes_itself_while_it_loads_is_told(tmp_path: Path) -> None:
    """It was told as a crash."""
    async with surfing(tmp_path) as surfer:
        inner = "<title>Inner</title>text<script>setTimeout(() => close(), 300)</script><script src=/hang></script>"
        run = await window(surfer, inner)
        assert (run.status, run.message, run.values["title"]) == ("failed", CLOSED_ITSELF + BEFORE, "Shop")
        assert (await surfer.do("extract_text")).values["title"] == "Shop"


async def test_a_window_that_closes_itself_as_it_is_left_is_left(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await window(surfer, "<title>Inner</title>text<script>onbeforeunload = () => { setTimeout(close) }</script>")
        surfer.site.gate.clear()
        opening = asyncio.get_running_loop().create_task(surfer.open("gate"), name="open")
        await only(surfer, 1)
        surfer.site.gate.set()
        assert (await opening).values["title"] == "Open"
        await only(surfer, 1)


async def test_a_page_that_crashed_is_closed_and_told(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        inner = path("<title>Inner</title>text")
        # In another process
        await surfer.open(path(f"<title>Shop</title><a id=go href='/{inner}' target=_blank>go</a>"))
        assert (await surfer.do(*CLICK)).values["title"] == "Inner"
        context = tabs_of(surfer).context
        session = await context.new_cdp_session(context.pages[-1])
        crashing = asyncio.get_running_loop().create_task(session.send("Page.crash"), name="crash")
        await only(surfer, 1)
        await asyncio.gather(crashing, return_exceptions=True)
        run = await surfer.do("extract_text")
        assert (run.status, run.message, run.values["title"]) == ("failed", CRASHED + BEFORE, "Shop")


async def test_the_way_back_from_a_page_that_hangs_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "ANSWER_S", 1.0)
    monkeypatch.setattr(departure, "LEAVE_S", 1.0)
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        await surfer.open(path(BUSY))
        run = await surfer.do("back", timeout_ms=40_000)
        assert run.status == "ok" or run.message == "the page did not let itself be left, and was closed"
        await window(surfer, BUSY)
        assert (await surfer.do("back", timeout_ms=40_000)).values["title"] == "Shop"


async def test_no_page_is_forgotten_by_a_task_that_ends_while_it_makes_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with surfing(tmp_path) as surfer:
        await window(surfer, "<title>Inner</title>text")
        one = tabs_of(surfer)
        for turns in range(12):
            fresh = asyncio.get_running_loop().create_task(one.fresh(), name="fresh")
            for _ in range(turns):
                await asyncio.sleep(0)
            fresh.cancel()
            await asyncio.gather(fresh, return_exceptions=True)
        await only(surfer, 0)
        assert not one._pages
        assert (await surfer.open("form")).values["title"] == "Form"
        await only(surfer, 1)
    assert unread_failures(caplog) == []


async def test_a_page_is_closed_though_the_first_order_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that came just as it was closed ran on, and each later task waited for it. Playwright gives the order once, and then waits."""

    async def wait(_page: Page) -> None:
        await asyncio.Event().wait()

    async with surfing(tmp_path) as surfer:
        await window(surfer, "<title>Inner</title>text")
        with monkeypatch.context() as patched:
            patched.setattr(Page, "close", wait)
            await surfer.open("form")
            await only(surfer, 1)
        assert (await surfer.do("extract_text")).values["title"] == "Form"


GOT = """<title>Evil</title><input id=q autofocus oninput="document.title = 'Got it'" onkeydown="document.title = 'Got it'">"""
TASKS = {"type": {"selector": "#q", "text": "secret"}, "press": {"key": "Enter"}, "click": {"selector": "#q"}}


def elsewhere(surfer: Surfer) -> str:
    return surfer.site.url.replace("127.0.0.1", "localhost")


async def is_at(surfer: Surfer, url: str) -> None:
    while tabs_of(surfer).context.pages[-1].url != url:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("action", TASKS)
async def test_a_page_that_has_gone_elsewhere_by_itself_is_told_before_it_is_used(tmp_path: Path, action: str) -> None:
    """What was meant for a page got another one, which had taken its place between two tasks."""
    async with surfing(tmp_path) as surfer:
        evil = f"{elsewhere(surfer)}/{path(GOT)}"
        script = f"<script>fetch('/gate').then(() => {{ location = '{evil}' }})</script>"
        await surfer.open(path(f"<title>Login</title><input id=q autofocus>{script}"))
        surfer.site.gate.set()
        await is_at(surfer, evil)
        run = await surfer.do(action, TASKS[action])
        assert (run.status, run.message) == ("failed", f"{UNTOLD} {elsewhere(surfer)}")
        assert (run.values["url"], run.values["title"]) == (evil, "Evil")
        assert (await surfer.do(action, TASKS[action])).status == "ok"


async def test_also_if_it_goes_there_while_an_element_is_looked_for(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        script = f"fetch('/gate').then(() => {{ location = '{elsewhere(surfer)}/{path(GOT)}' }})"
        await surfer.open(path(f"<title>Login</title>text<script>{script}</script>"))
        async for event in surfer.stub.Execute(request("type", TASKS["type"])):
            if event.progress.message == "the browser is ready":
                surfer.site.gate.set()
        assert event.result.message == f"{UNTOLD} {elsewhere(surfer)}"
        assert (await surfer.do("extract_text")).values["title"] == "Evil"


async def test_within_its_origin_a_page_moves_as_it_likes(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        script = f"fetch('/gate').then(() => {{ location = '/{path(GOT)}&moved' }})"
        await surfer.open(path(f"<title>Shop</title><script>{script}</script>"))
        surfer.site.gate.set()
        await is_at(surfer, f"{surfer.site.url}/{path(GOT)}&moved")
        assert (await surfer.do("type", TASKS["type"])).values["title"] == "Got it"


NEVER = {
    "a font": "<style>@font-face { font-family: x; src: url(/hang) } p { font-family: x }</style><p>text",
    "a frame that is busy": f"<p>text</p><iframe src='ELSEWHERE/{path('<script>for (;;);</script>')}'></iframe>",
    "a style": "<p>text</p><link rel=stylesheet href=/hang><p>more</p>",
}


@pytest.mark.parametrize("what", NEVER)
async def test_a_picture_does_not_wait_for_what_never_comes(tmp_path: Path, what: str) -> None:
    """It was waited for as long as a task may take."""
    async with surfing(tmp_path) as surfer:
        elsewhere = surfer.site.url.replace("127.0.0.1", "localhost")  # in a process of its own
        await surfer.open(path(NEVER[what].replace("ELSEWHERE", elsewhere)))
        run = await surfer.do("screenshot")
        assert (run.status, run.values["media_type"]) == ("ok", "image/png")


async def test_a_page_that_shows_nothing_has_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "SHOWN_S", 1.0)
    async with surfing(tmp_path) as surfer:
        await surfer.open(path("<head><link rel=stylesheet href=/hang></head><p>text"))
        run = await surfer.do("screenshot")
        assert (run.status, run.message) == ("failed", actions.NOT_SHOWN)


async def test_an_alert_between_two_tasks_is_told_with_the_next_one(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open(path("<script>fetch('/gate').then(() => { alert('late'); fetch('/second') })</script>"))
        surfer.site.gate.set()
        await surfer.site.is_asked("second")
        run = await surfer.do("press", {"key": "Nonsense"})
        assert (run.status, run.values["dialogs"]) == ("failed", ["late"])
        assert "dialogs" not in (await surfer.do("extract_text")).values
