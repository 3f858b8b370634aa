"""What an action on a page begins: other pages, windows, downloads, and scripts without an end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil  # type: ignore[import-untyped] # the library carries no types
import pytest

from server.embedded.browser import actions, arrival
from server.embedded.browser.actions import DOWNLOAD, NO_WINDOW
from server.embedded.browser.arrival import BUSY
from server.embedded.browser.handling import ACT_TIMEOUT_MS
from server.embedded.browser.service import ENDED
from tests.server.embedded.website import processes_with, surfing

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.server.embedded.executing import Run
    from tests.server.embedded.website import Surfer

CLICK, ENTER = ("click", {"selector": "#go"}), ("press", {"key": "Enter"})
SLOW: dict[str, tuple[str, tuple[str, dict[str, Any]]]] = {
    "a link": ("<a id=go href=/gate>go</a>", CLICK),
    "a form": ("<form action=/gate><button id=go>go</button></form>", CLICK),
    "a form by its key": ("<form action=/gate><input autofocus></form>", ENTER),
    "a box": ("<input type=checkbox id=go onchange=\"location = '/gate'\">", CLICK),
    "a field": ("<input id=go oninput=\"location = '/gate'\">", ("type", {"selector": "#go", "text": "x"})),
    "a script that takes a while": (
        "<button id=go onclick=\"setTimeout(() => location = '/gate', 20)\">go</button>",
        CLICK,
    ),
    "a window": ("<a id=go href=/gate target=_blank>go</a>", CLICK),
    "a window of the page's base": ("<base target=_blank><a id=go href=/gate>go</a>", CLICK),
    "a window of a button": ("<form action=/gate><button id=go formtarget=_blank>go</button></form>", CLICK),
    "a window of a script": ("<button id=go onclick=\"window.open('/gate')\">go</button>", CLICK),
}


async def opened(surfer: Surfer, html: str) -> Run:
    return await surfer.open(f"page?html={quote('<title>Shop</title>' + html)}")


async def slowly(surfer: Surfer, path: str, action: str, parameters: dict[str, Any]) -> Run:
    """Do it, with a server that takes longer than an element may to become clickable."""
    doing = asyncio.get_running_loop().create_task(surfer.do(action, parameters), name=action)
    await surfer.site.is_asked(path)
    await surfer.do("wait", {"ms": ACT_TIMEOUT_MS + 500}, session="other")
    surfer.site.gate.set()
    return await doing


@pytest.mark.parametrize("way", SLOW)
async def test_what_leads_to_a_slow_server_is_waited_for(tmp_path: Path, way: str) -> None:
    """A click was told as one on nothing, and all others as done; the page opened behind that."""
    html, (action, parameters) = SLOW[way]
    async with surfing(tmp_path) as surfer:
        await surfer.open("form", session="other")
        await opened(surfer, html)
        run = await slowly(surfer, "gate", action, parameters)
        assert (run.status, run.message, run.values["title"]) == ("ok", "", "Open")
        assert surfer.site.asked.count("gate") == 1


@pytest.mark.parametrize("target", ["", "target=_blank"])
async def test_a_slow_download_is_told_too(tmp_path: Path, target: str) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form", session="other")
        await opened(surfer, f"<a id=go href='/slow download' {target}>go</a>")
        run = await slowly(surfer, "slow download", *CLICK)
        assert (run.status, run.message, run.values["title"]) == ("failed", DOWNLOAD, "Shop")


async def test_a_link_to_a_download_is_not_done_though_its_server_is_slow(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await opened(surfer, "<a id=go href='/slow download' download>go</a>")
        run = await surfer.do(*CLICK)
        assert (run.status, run.message, run.values["title"]) == ("failed", DOWNLOAD, "Shop")


@pytest.mark.parametrize(
    "handler", ["event.preventDefault(); alert('as what?')", "document.title += '!'; return false"]
)
async def test_a_link_that_the_page_keeps_from_downloading_is_clicked(tmp_path: Path, handler: str) -> None:
    """It was told to be a download, three seconds later: many pages ask for the format first."""
    async with surfing(tmp_path) as surfer:
        await opened(surfer, f'<a id=go href="/download" download onclick="{handler}">go</a>')
        run = await surfer.do(*CLICK)
        assert (run.status, run.message) == ("ok", "")
        assert "download" not in surfer.site.asked


async def test_a_page_of_another_site_opens_though_its_link_names_it_a_download(tmp_path: Path) -> None:
    """It was told that nothing was opened, three seconds later."""
    async with surfing(tmp_path) as surfer:
        other = surfer.site.url.replace("127.0.0.1", "localhost")
        await opened(surfer, f"<a id=go href='{other}/second' download>go</a>")
        run = await surfer.do(*CLICK)
        assert (run.status, run.message, run.values["title"]) == ("ok", "", "Second")


async def test_a_download_that_begins_behind_a_dialog_is_told(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await opened(surfer, "<a id=go href=/download download onclick=\"alert('now')\">go</a>")
        run = await surfer.do(*CLICK)
        assert (run.message, run.values["dialogs"], "download" in surfer.site.asked) == (DOWNLOAD, ["now"], True)


FRAMED = {
    "a link": "<a id=go target=inner href=/gate>go</a>",
    "a form": "<form target=inner action=/gate><button id=go>go</button></form>",
}


@pytest.mark.parametrize("way", FRAMED)
async def test_a_slow_page_of_a_frame_is_waited_for(tmp_path: Path, way: str) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form", session="other")
        await opened(surfer, f"<iframe name=inner></iframe>{FRAMED[way]}")
        doing = asyncio.get_running_loop().create_task(surfer.do(*CLICK), name="click")
        await surfer.site.is_asked("gate")
        await surfer.do("wait", {"ms": ACT_TIMEOUT_MS + 500}, session="other")
        assert not doing.done()
        surfer.site.gate.set()
        run = await doing
        assert (run.status, run.values["title"]) == ("ok", "Shop")


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<a id=go target=_top href=/second>go</a>", "Second"),
        ("<a id=go target=_parent href=/second>go</a>", "Second"),
        ("<form target=_top action=/second><button id=go>go</button></form>", "Second"),
        ("<iframe name=inner></iframe><a id=go target=inner href=/second>go</a>", "Shop"),
        ("<a id=go target=_blank href=mailto:a@b>go</a>", "Shop"),
        ("<button id=go onclick=\"window.open('/second').close()\">go</button>", "Shop"),
        ("<a id=go href=/nothing>go</a>", "Shop"),
        ("<a id=go href=#there>go</a>", "Shop"),
        ("<button id=go onclick=\"history.pushState(0, '', '/form')\">go</button>", "Shop"),
    ],
)
async def test_no_window_is_waited_for_that_does_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, html: str, title: str
) -> None:
    monkeypatch.setattr(actions, "WINDOW_S", 1_000.0)
    async with surfing(tmp_path) as surfer:
        await opened(surfer, html)
        run = await surfer.do(*CLICK, timeout_ms=60_000)
        assert (run.status, run.values["title"]) == ("ok", title)


async def test_a_window_that_never_shows_a_page_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "WINDOW_S", 0.5)
    async with surfing(tmp_path) as surfer:
        await opened(surfer, "<a id=go href=/nothing target=_blank>go</a>")
        run = await surfer.do(*CLICK)
        assert (run.status, run.message, run.values["title"]) == ("failed", NO_WINDOW, "Shop")


async def test_a_window_that_closes_itself_leaves_the_one_before(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        inner = quote("<title>Inner</title><button id=go onclick='window.close()'>close</button>")
        await opened(surfer, f"<a id=go target=_blank href='/page?html={inner}'>go</a>")
        assert (await surfer.do(*CLICK)).values["title"] == "Inner"
        assert (await surfer.do(*CLICK)).values["title"] == "Shop"


FOREVER = "for (;;);"
HANGING = {
    "while it is parsed": (f"text<script>{FOREVER}</script>", None),
    "later": (f"text<script>onload = () => setTimeout(() => {{ {FOREVER} }})</script>", None),
    "at a click": (f"text<button id=go onclick='{FOREVER}'>go</button>", CLICK),
    "at a key": (f"text<script>onkeydown = () => {{ {FOREVER} }}</script>", ENTER),
}


@pytest.mark.parametrize("when", HANGING)
async def test_a_script_without_an_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """It had the page waited for as long as a task may take."""
    monkeypatch.setattr(arrival, "PARSE_S", 1.0)
    monkeypatch.setattr(arrival, "ANSWER_S", 1.0)
    html, act = HANGING[when]
    async with surfing(tmp_path) as surfer:
        await opened(surfer, html)
        if act is not None:
            run = await surfer.do(*act)
            assert (run.status, run.values["title"]) == ("ok", "Shop")
        assert (await surfer.do("extract_text")).values["text"].startswith("text")
        assert (await surfer.do("screenshot")).status == "ok"


async def test_a_page_that_lets_nobody_read_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "ANSWER_S", 1.0)
    html = f"<script>onload = () => {{ const again = () => {{ setTimeout(again); {FOREVER} }}; setTimeout(again, 500) }}</script>"
    async with surfing(tmp_path) as surfer:
        await opened(surfer, html)
        await surfer.do("wait", {"ms": 600})
        run = await surfer.do("extract_text")
        assert (run.status, run.message) == ("failed", BUSY)
        assert (await surfer.open("form")).values["title"] == "Form"


async def test_a_driver_that_dies_ends_the_wait_for_a_page(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await opened(surfer, "<form action=/hang><input autofocus></form>")
        pressing = asyncio.get_running_loop().create_task(surfer.do(*ENTER), name="press")
        await surfer.site.hangs(1)
        for process in processes_with("run-driver"):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        run = await pressing
        assert (run.status, run.message) == ("failed", ENDED)
        assert (await surfer.open("form")).values["title"] == "Form"
