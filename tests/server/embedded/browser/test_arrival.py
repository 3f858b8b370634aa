"""Pages that never come to an end, and what is shown of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from server.embedded.browser import arrival
from server.embedded.browser.arrival import BROKEN_OFF, ENDLESS, NOT_OPENED
from tests.server.embedded.website import surfing
from tests.support.gateway import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

RELOADING = {
    "by its head": "<title>Endless</title><meta http-equiv=refresh content=0>text",
    "while it is parsed": "<title>Endless</title>text<script>location.reload()</script>",
    "later": "<title>Endless</title>text<script>onload = () => location.reload()</script>",
}


@pytest.mark.parametrize("way", ["short", "chunks"])
async def test_an_answer_that_is_broken_off_is_shown_as_far_as_it_came(tmp_path: Path, way: str) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        values = (await surfer.open(f"broken?way={way}")).values
        assert (values["title"], values["status"]) == ("Half", 200)
        assert (await surfer.do("extract_text")).values["text"] == "half"
        assert (await surfer.do("screenshot")).status == "ok"
        await surfer.open("second")
        assert (await surfer.do("back")).values["title"] == "Half"
        assert (await surfer.do("back")).values["title"] == "Form"


@pytest.mark.parametrize("way", ["nothing", "not gzip"])
async def test_an_answer_of_which_nothing_came_is_a_failure(tmp_path: Path, way: str) -> None:
    async with surfing(tmp_path) as surfer:
        run = await surfer.do("navigate", {"url": f"{surfer.site.url}/broken?way={quote(way)}"})
        assert (run.status, run.message) == ("failed", BROKEN_OFF)
        run = await surfer.do("screenshot")
        assert (run.status, run.message) == ("failed", "the page is empty")
        assert (await surfer.open("form")).values["title"] == "Form"


async def test_a_click_on_what_is_broken_off_shows_what_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "PARSE_S", 0.5)
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote('<a href=/broken?way=short>on</a>')}")
        assert (await surfer.do("click", {"text": "on"})).values["title"] == "Half"


async def test_a_page_that_leads_to_one_that_cannot_be_opened_is_a_failure(tmp_path: Path) -> None:
    """Chromium's own error page was told as the one that was opened."""
    async with surfing(tmp_path) as surfer:
        nowhere = f"127.0.0.1:{free_port()}"
        html = f"<script>location = 'http://{nowhere}/'</script><script src=/hang></script>"
        run = await surfer.do("navigate", {"url": f"{surfer.site.url}/page?html={quote(html)}"})
        reason = f"{NOT_OPENED}: nothing answers at {nowhere}"
        assert (run.status, run.message, run.values) == ("failed", reason, {})
        run = await surfer.do("navigate", {"url": f"{surfer.site.url}/redirect?to=file:///etc/passwd"})
        assert run.message == "the page sends to an address that no page may send to"
        assert (await surfer.open("form")).values["title"] == "Form"


@pytest.mark.parametrize("link", ["<a href=/nothing>on</a>", "<a href=/nothing target=_blank>on</a>"])
async def test_a_click_on_a_link_to_a_page_that_cannot_be_opened_is_a_failure(tmp_path: Path, link: str) -> None:
    async with surfing(tmp_path) as surfer:
        nowhere = f"127.0.0.1:{free_port()}"
        await surfer.open(f"page?html={quote(link.replace('/nothing', f'http://{nowhere}/'))}")
        clicked = await surfer.do("click", {"text": "on"})
        assert (clicked.status, clicked.message) == ("failed", f"{NOT_OPENED}: nothing answers at {nowhere}")
        assert (await surfer.open("form")).values["title"] == "Form"


async def test_a_page_that_comes_slowly_is_shown_as_far_as_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "PARSE_S", 0.5)
    async with surfing(tmp_path) as surfer:
        assert (await surfer.open("broken?way=slow")).values["title"] == "Half"
        assert (await surfer.do("extract_text")).values["text"] == "half"
        surfer.site.gate.set()
        assert (await surfer.do("wait", {"selector": "#rest"})).status == "ok"


@pytest.mark.parametrize("way", RELOADING)
async def test_a_page_that_opens_itself_again_without_an_end_is_shown_or_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Each was waited for as long as a task may take."""
    monkeypatch.setattr(arrival, "PARSE_S", 1.0)
    monkeypatch.setattr(arrival, "READ_S", 1.0)
    async with surfing(tmp_path) as surfer:
        run = await surfer.do("navigate", {"url": f"{surfer.site.url}/page?html={quote(RELOADING[way])}"})
        assert (run.message, run.values.get("title")) == ("", "Endless") or (run.status, run.message) == (
            "failed",
            ENDLESS,
        )
        assert (await surfer.open("form")).values["title"] == "Form"


@pytest.mark.parametrize(
    "link",
    [
        "<a href=/download>get</a>",
        "<a href=/download target=_blank>get</a>",
        "<a href='/form' download>get</a>",
        "<a download=x.txt href='data:text/plain,x'>get</a>",
        "<form action=/download><button>get</button></form>",
    ],
)
async def test_a_click_on_a_download_says_that_it_is_not_taken(tmp_path: Path, link: str) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote('<title>Shop</title><button>other</button>' + link)}")
        run = await surfer.do("click", {"text": "get"})
        assert (run.status, run.message) == ("failed", "the address is a download, which is not taken")
        assert run.values["title"] == "Shop"
        assert (await surfer.do("click", {"text": "other"})).status == "ok"


LEADS_ON = "<title>Shop</title>text<script>fetch('/gate').then(() => { location = '/hang' })</script>"


async def test_a_page_that_leads_to_a_server_that_does_not_answer_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could use it until that server answered, and each task was told of a script without an end."""
    monkeypatch.setattr(arrival, "COMING_S", 0.5)
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote(LEADS_ON)}")
        surfer.site.gate.set()
        await surfer.site.hangs(1)
        run = await surfer.do("extract_text")
        assert (run.status, run.values.get("text")) == ("ok", "text")
        await surfer.site.hangs(0)


async def test_a_stop_goes_on_though_the_task_is_cancelled_again(tmp_path: Path) -> None:
    """A task over its time is cancelled twice, half a second later by the call's own limit: the page stayed as it was, and answered nobody."""
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote(LEADS_ON)}")
        surfer.site.gate.set()
        await surfer.site.hangs(1)
        assert surfer.service._chromium is not None
        tabs = surfer.service._chromium._tabs["ann", "s1"]
        stopping = asyncio.get_running_loop().create_task(tabs.stop_loading(), name="stop")
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait((stopping,))
        assert stopping.cancelled()
        assert (await surfer.do("extract_text")).status == "ok"
        await surfer.site.hangs(0)


async def test_a_click_waits_for_a_slow_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that took twenty seconds was told as a script without an end."""
    asked, answers = 0, arrival._answers

    async def ask(page: Page, doing: asyncio.Task[Any]) -> bool:
        nonlocal asked
        asked += 1
        if asked == 4:
            surfer.site.gate.set()
        return await answers(page, doing)

    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote('<a href=/gate>on</a>')}")
        monkeypatch.setattr(arrival, "_answers", ask)
        monkeypatch.setattr(arrival, "ANSWER_S", 0.5)
        run = await surfer.do("click", {"text": "on"})
        assert (run.status, run.values.get("title")) == ("ok", "Open")
