"""What was approved is done only in the document that was open when the question was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from server.embedded.browser import pointing
from server.embedded.browser.arrival import UNSHOWN
from server.embedded.browser.tabs import CLOSED_ITSELF
from tests.server.embedded.executing import request
from tests.server.embedded.website import surfing

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from server.embedded.browser.tabs import Tabs
    from tests.server.embedded.executing import Run
    from tests.server.embedded.website import Surfer

DELETE = "<button onclick=\"document.title = 'Deleted'\">Delete</button>"
HOUR_S = 3600
ASKED_MS_AGO = HOUR_S * 500


def path(html: str) -> str:
    return f"page?html={quote(html)}"


OTHER = path(f"<title>Other</title>{DELETE}")


def tabs_of(surfer: Surfer) -> Tabs:
    assert surfer.service._chromium is not None
    return surfer.service._chromium._tabs["ann", "s1"]


async def asked(surfer: Surfer, html: str) -> None:
    """That page was opened an hour ago, and half an hour ago the user was asked. The rest of a test comes after that."""
    await surfer.open(path(f"<title>Shop</title>{html}"))
    ask(surfer)


def ask(surfer: Surfer) -> None:
    tabs = tabs_of(surfer)
    tabs._since -= HOUR_S
    for signals in tabs._signals.values():
        signals.document_since -= HOUR_S
        for frame in signals._frames:
            signals._frames[frame] -= HOUR_S


async def approved(surfer: Surfer) -> Run:
    return await surfer.do("click", {"text": "Delete"}, asked_ms_ago=ASKED_MS_AGO)


def at_the_gate(script: str) -> str:
    """It does that once the gate opens, and then asks for /second."""
    return f"<script>fetch('/gate').then(() => {{ {script} }}).then(() => fetch('/second'))</script>"


async def moved_by_itself(surfer: Surfer, title: str) -> None:
    surfer.site.gate.set()
    while await tabs_of(surfer).context.pages[-1].title() != title:
        await surfer.do("wait", {"ms": 10}, session="other")


MOVES = {
    "a script": f"location = '/{OTHER}'",
    "in the place of its entry": f"location.replace('/{OTHER}')",
    "a script, to another site": f"location = location.origin.replace('127.0.0.1', 'localhost') + '/{OTHER}'",
    "a refresh": f"document.head.innerHTML = `<meta http-equiv=refresh content='0;url=/{OTHER}'>`",
    "written in its place": f"document.open(); document.write(`<title>Other</title>{DELETE}`); document.close()",
    "a script's words": f"words = `<title>Other</title>{DELETE}`; location = 'javascript:words'",
    "its own address again": "sessionStorage.n ? document.title = 'Other' : (sessionStorage.n = 1, location.reload())",
}


@pytest.mark.parametrize("how", MOVES)
async def test_not_on_another_page_to_which_it_went_by_itself(tmp_path: Path, how: str) -> None:
    """A page that moved on while the question was open had its own button clicked there."""
    async with surfing(tmp_path) as surfer:
        await surfer.open("form", session="other")
        await asked(surfer, DELETE + at_the_gate(MOVES[how]))
        await moved_by_itself(surfer, "Other")
        run = await approved(surfer)
        assert (run.status, run.message, run.values["title"]) == ("failed", UNSHOWN, "Other")
        ask(surfer)
        assert (await approved(surfer)).values["title"] == "Deleted"


async def test_nor_if_it_goes_there_while_the_element_is_looked_for(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await asked(surfer, f"text{at_the_gate(MOVES['a script'])}")
        clicking = request("click", {"text": "Delete"}, asked_ms_ago=ASKED_MS_AGO)
        async for event in surfer.stub.Execute(clicking):
            if event.progress.message == "the browser is ready":
                surfer.site.gate.set()
        assert (event.result.status, event.result.message) == ("failed", UNSHOWN)
        assert (await surfer.do("extract_text")).values["title"] == "Other"


async def test_nor_on_a_page_to_which_an_action_has_led(tmp_path: Path) -> None:
    """A click on "Delete" waited for its approval, another task opened another page, and that one's "Delete" was clicked."""
    async with surfing(tmp_path) as surfer:
        await surfer.open(OTHER)
        await asked(surfer, f"<a href='/{OTHER}'>Next</a>{DELETE}")
        await surfer.do("click", {"text": "Next"})
        assert (await approved(surfer)).message == UNSHOWN
        ask(surfer)
        await surfer.do("back")
        run = await approved(surfer)
        assert (run.message, run.values["title"]) == (UNSHOWN, "Shop")
        await surfer.open("second", asked_ms_ago=ASKED_MS_AGO)


IN_FRAME = path(
    "<title>Frame</title><button onclick=\"top.document.title = 'Deleted'\">Delete</button><a href='/second'>Away</a>"
)
OTHER_FRAME = path(f"<title>Other</title>{DELETE.replace('document', 'top.document')}")
FRAME = f"<iframe id=f name=its src='/{IN_FRAME}'></iframe>"
MOVES_OF_FRAME = {
    "the page": f"f.src = '/{OTHER_FRAME}'",
    "a script of it": f"f.contentWindow.location = '/{OTHER_FRAME}'",
}


async def test_nor_in_a_frame_that_shows_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that moved on while the question was open had its own button clicked there."""
    monkeypatch.setattr(pointing, "LOOK_MS", 100)
    async with surfing(tmp_path) as surfer:
        await surfer.open("form", session="other")
        for how, move in MOVES_OF_FRAME.items():
            await asked(surfer, FRAME + at_the_gate(move))
            surfer.site.gate.set()
            while await tabs_of(surfer).context.pages[-1].frames[-1].title() != "Other":
                await surfer.do("wait", {"ms": 10}, session="other")
            run = await approved(surfer)
            assert (run.message, run.values["title"]) == (UNSHOWN, "Shop"), how
            surfer.site.gate.clear()
        ask(surfer)
        assert (await approved(surfer)).values["title"] == "Deleted"
        await asked(surfer, f"{FRAME}<a href='/{OTHER_FRAME}' target=its>Next</a>")
        await surfer.do("click", {"text": "Next"})
        assert (await approved(surfer)).message == UNSHOWN


async def test_but_in_one_that_stays_or_has_loaded_only_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointing, "LOOK_MS", 100)
    outer = path(f"{FRAME}<p>text")
    ad = "ad.src = '/form'; ad.removeAttribute('srcdoc'); document.body.append(document.createElement('iframe'))"
    async with surfing(tmp_path) as surfer:
        for html in (
            f"<iframe src='/{outer}'></iframe><iframe id=ad srcdoc=text></iframe>{at_the_gate(ad)}",
            at_the_gate(f"document.body.insertAdjacentHTML('beforeend', `{FRAME}`)"),
        ):
            await asked(surfer, html)
            surfer.site.gate.set()
            await surfer.site.is_asked("second")
            assert (await approved(surfer)).values["title"] == "Deleted"
            surfer.site.gate.clear()
            surfer.site.asked.clear()


APPLICATION = f"""<a href='#two'>Two</a><input id=find oninput="history.replaceState(0, '', '?find')"
onkeydown="history.pushState(0, '', '?key')" autofocus>{DELETE}"""
WITHIN: dict[str, tuple[str, dict[str, Any]]] = {
    "a link": ("click", {"text": "Two"}),
    "a search": ("type", {"selector": "#find", "text": "x"}),
    "a key": ("press", {"key": "a"}),
}


@pytest.mark.parametrize("how", WITHIN)
async def test_nor_at_another_address_in_the_document_to_which_an_action_has_led(tmp_path: Path, how: str) -> None:
    async with surfing(tmp_path) as surfer:
        await asked(surfer, APPLICATION)
        await surfer.do(*WITHIN[how])
        assert (await approved(surfer)).message == UNSHOWN
        ask(surfer)
        assert (await approved(surfer)).values["title"] == "Deleted"


async def test_nor_on_the_page_behind_a_window_that_has_closed(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        inner = path(f"<title>Inner</title>{DELETE}{at_the_gate('close()')}")
        await surfer.open(
            path(f"<title>Shop</title><button onclick=\"window.open('/{inner}')\">Window</button>{DELETE}")
        )
        assert (await surfer.do("click", {"text": "Window"})).values["title"] == "Inner"
        ask(surfer)
        await surfer.open("form", session="other")
        surfer.site.gate.set()
        while len(tabs_of(surfer).context.pages) > 1:
            await surfer.do("wait", {"ms": 10}, session="other")
        assert (await surfer.do("extract_text")).message.startswith(CLOSED_ITSELF)
        run = await approved(surfer)
        assert (run.message, run.values["title"]) == (UNSHOWN, "Shop")


LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "reads": ("extract_text", {}),
    "lists links": ("links", {}),
    "takes a picture": ("screenshot", {}),
    "scrolls": ("scroll", {}),
    "waits": ("wait", {"ms": 1}),
}
SAME = {
    "rewrites its address": "history.replaceState(0, '', '?clean')",
    "adds an address": "history.pushState(0, '', '?two')",
    "names its part": "location.hash = 'part'",
    "begins a download": "location = '/download'",
    "asks for nothing": "location = '/nothing'",
    "leads its frame elsewhere": "frames[0].location = '/form'",
    "gets a frame of another site": "document.body.append(Object.assign(document.createElement('iframe'), { src: location.href.replace('127.0.0.1', 'localhost') }))",
}


@pytest.mark.parametrize("how", SAME)
async def test_but_in_the_same_document_whatever_becomes_of_its_address(tmp_path: Path, how: str) -> None:
    """It was refused if the page had rewritten its own address, and the user then looked at it."""
    async with surfing(tmp_path) as surfer:
        await asked(surfer, f"{DELETE}<iframe srcdoc=text></iframe>{at_the_gate(SAME[how])}")
        surfer.site.gate.set()
        await surfer.site.is_asked("second")
        for look in LOOKS.values():
            assert (await surfer.do(*look)).status == "ok"
        assert (await approved(surfer)).values["title"] == "Deleted"


@pytest.mark.parametrize("look", LOOKS)
async def test_also_if_the_page_rewrites_it_just_as_the_user_looks(tmp_path: Path, look: str) -> None:
    scrolled = "onscroll = () => history.replaceState(0, '', '?scrolled')"
    async with surfing(tmp_path) as surfer:
        await asked(surfer, f"{DELETE}<div style='height: 3000px'></div><script>{scrolled}</script>")
        await surfer.do(*LOOKS[look])
        assert (await approved(surfer)).values["title"] == "Deleted"


async def test_and_after_actions_that_lead_nowhere(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await asked(surfer, f"<input id=name autofocus><a href='/download'>Get</a>{DELETE}")
        await surfer.do("type", {"selector": "#name", "text": "x"})
        await surfer.do("press", {"key": "Tab"})
        await surfer.do("click", {"text": "Get"})
        await surfer.do("navigate", {"url": f"{surfer.site.url}/nothing"})
        assert (await approved(surfer)).values["title"] == "Deleted"


async def test_and_right_after_a_page_has_come(tmp_path: Path) -> None:
    """Also one that was redirected, that goes on loading, and that a script has filled."""
    slow = path(f"<title>Slow</title>{DELETE}<img src=/gate><iframe src=/hang loading=lazy></iframe>")
    filled = "<button onclick=\"window.open().document.write(`<button onclick='document.title = 7'>Delete</button>`)\">Fill</button>"
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"redirect?to=/{quote(slow)}")
        ask(surfer)
        surfer.site.gate.set()
        assert (await approved(surfer)).values["title"] == "Deleted"
        await surfer.open(path(filled))
        assert (await surfer.do("click", {"text": "Fill"})).values["url"] == "about:blank"
        ask(surfer)
        assert (await approved(surfer)).values["title"] == "7"
