"""Which element a click is on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from server.embedded.browser import actions
from server.embedded.browser.service import ELSEWHERE
from tests.server.embedded.website import surfing

if TYPE_CHECKING:
    from pathlib import Path

PAGE = """<meta charset=utf-8><title>Shop</title><style>.off { display: none } button, a, p, span { display: block }</style>
<div class=off><span>Continue</span></div><span onclick="document.title = 'Continued'">Continue</span>
<button onclick="document.title = 'Deleted'">Delete account and log out</button>
<button onclick="document.title = 'Out'"> Log
 out </button>
<a href="#u" onclick="document.title = 'Unsubscribed'">Unsubscribe</a><a href="#s" onclick="document.title = 'Subscribed'">Subscribe</a>
<p>Prices &amp; more (€/kg)</p><p onclick="document.title = 'Prices'">prices</p>
<button id=gone onclick="document.title = 'Deleted'"><span id=in>Go on</span> and delete all</button>
<button id=icon aria-label="Remove the row" onclick="document.title = 'Removed'">x</button>
<button id=lower onclick="document.title = 'Bought'" title="Throw it away">Buy now</button>
<input id=mail type=submit value="Send" onclick="document.title = 'Sent'">
<button onclick="document.title = 'More'">Lire l'été: a/b "c" >> d</button>"""
ACCOUNT = 'that is "Delete account and log out", which was not asked for: click it by its whole name'
GO_ON = 'that is "Go on and delete all", which was not asked for: click it by its whole name'
ICON = 'that is "Remove the row", which was not asked for: click it by its whole name'
BUY = 'that is "Buy now", which was not asked for: click it by its whole name'
SEND = 'that is "Send", which was not asked for: click it by its whole name'


async def test_a_click_is_on_what_is_named_and_on_nothing_that_was_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first element that held the text was clicked, so "Log out" deleted an account."""
    async with surfing(tmp_path) as surfer:
        for parameters, title, message in (
            ({"text": "Log out"}, "Out", ""),
            ({"text": "log  OUT"}, "Out", ""),
            ({"text": "subscribe"}, "Subscribed", ""),
            ({"text": "Continue"}, "Continued", ""),
            ({"text": "Prices"}, "Prices", ""),
            ({"text": "account"}, "Shop", ACCOUNT),
            ({"text": "delete account"}, "Deleted", ""),
            ({"text": "Go on"}, "Shop", GO_ON),
            ({"selector": "#gone"}, "Shop", GO_ON),
            ({"selector": "#in"}, "Shop", GO_ON),
            ({"text": "Go on and delete all"}, "Deleted", ""),
            ({"selector": "#icon"}, "Shop", ICON),
            ({"text": "Remove the row"}, "Removed", ""),
            ({"selector": "#lower"}, "Shop", BUY),
            ({"text": "buy now"}, "Bought", ""),
            ({"selector": "#mail"}, "Shop", SEND),
            ({"text": "Send"}, "Sent", ""),
            ({"text": 'l\'ÉTÉ: a/b "c" >> d'}, "More", ""),
        ):
            await surfer.open(f"page?html={quote(PAGE)}")
            run = await surfer.do("click", parameters)
            assert (run.values["title"], run.message) == (title, message), parameters
        monkeypatch.setattr(actions, "ELEMENT_TIMEOUT_MS", 100)
        for part in ("scribe", "ét", " "):
            run = await surfer.do("click", {"text": part})
            assert run.message == f"{part} is not there"


PARTS = """<meta charset=utf-8><title>Shop</title><body onclick="document.title = 'Clicked'">
<my-button id=slotted>Delete account and log out</my-button><my-button id=part><b slot=other>Delete</b></my-button><my-own id=own></my-own>
<label id=label for=del>Continue</label><button id=del>Delete account</button><style>
#before::before { content: 'Delete ' 'all' } #after::after { content: attr(data-of) } #icon::before { content: '\\e900' }</style>
<button id=titled title="Delete it">X</button>
<button id=by></button><label for=by>Delete by label</label>
<div onclick="return">Delete all <span id=files>files</span></div><div onclick="return"><i id=mail>Hello</i><button>Delete</button></div>
<button title="Delete everything"><i id=lit>x</i></button><nav title="Delete or post"><a href=#2 id=page>2</a><input type=checkbox id=tick>
<button id=refresh aria-label=Refresh>&#8635;</button><i onclick="return" id=next>&gt;</i></nav>
<p title="Delete everything"><button id=within>x</button></p>
<p title="Delete everything"><button id=named>Go on</button></p><my-slot id=slot title="Delete all"></my-slot>
<button id=before></button><button id=after data-of="Delete">x</button><button id=icon title="Delete the row"></button>
<input id=box type=checkbox><label for=box>Delete all data</label><label id=around>Delete all <input id=inner type=checkbox></label>
<map name=map><area shape=rect coords=0,0,50,50 alt=Delete href=#gone></map><img id=image usemap=#map width=50 height=50 src=x>
<iframe id=frame srcdoc="<button style='position: fixed; inset: 0'>Delete all</button>"></iframe>
<my-button id=fine>Go on<style>.delete { color: red }</style></my-button><label id=too for=name>Name</label><input id=name>
<nav title="Order pages"><a id=pager href=#2>2</a> <a href=#3>3</a></nav><div title="Remove formats"><button id=bold>B</button><button>I</button></div>
<script>
function define(name, html) {
  customElements.define(name, class extends HTMLElement { connectedCallback() { this.attachShadow({ mode: 'open' }).innerHTML = html; } });
}
define('my-button', '<style>.delete { color: red }</style><button><slot></slot><slot name=other></slot><i hidden>delete</i></button>');
define('my-slot', '<button><i>+</i></button>');
define('my-own', '<p><button aria-label="Delete it">x</button></p>');
</script>"""


async def test_what_is_on_an_element_is_also_what_styles_slots_labels_maps_and_frames_put_there(tmp_path: Path) -> None:
    """Each of these deleted, though nobody had asked for that."""
    refused = (
        "slotted",
        "slotted button",
        "part button",
        "own",
        "own button",
        "label",
        "before",
        "after",
        "icon",
        "box",
        "around",
        "inner",
        "by",
        "files",
        "lit",
        "within",
        "titled",
        "slot i",
    )
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote(PARTS)}")
        for which in (*refused, "image", "frame"):
            run = await surfer.do("click", {"selector": f"#{which}"})
            assert "which was not asked for" in run.message, which
            assert "elete" in run.message, which
        assert (await surfer.do("click", {"text": "log out"})).values["title"] == "Shop"
        for which in (
            "fine",
            "fine button",
            "too",
            "named",
            "mail",
            "page",
            "tick",
            "refresh",
            "next",
            "pager",
            "bold",
        ):
            run = await surfer.do("click", {"selector": f"#{which}"})
            assert (run.message, run.values["title"]) == ("", "Clicked"), which
        assert (await surfer.do("click", {"text": "Delete account and log out"})).status == "ok"


CARD = """<button onclick="parent.postMessage('Paid', '*')">Pay now</button> <button>Delete all cards</button>
<input id=card oninput="parent.postMessage(this.value, '*')"><p id=said>said</p>"""
SAYS = "<title>Shop</title><script>onmessage = (event) => { document.title = event.data }</script>"


async def test_what_is_in_a_frame_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text was read, and nothing in it could be used."""
    async with surfing(tmp_path) as surfer:
        frame = f"<iframe src='/page?html={quote(CARD)}'></iframe>"
        await surfer.open(f"page?html={quote(SAYS + frame)}")
        run = await surfer.do("click", {"text": "pay now"})
        assert (run.status, run.message) == ("ok", "")
        assert (await surfer.do("wait", {"ms": 1})).values["title"] == "Paid"
        assert (await surfer.do("type", {"selector": "#card", "text": "1234"})).status == "ok"
        assert (await surfer.do("wait", {"selector": "#said"})).values["title"] == "1234"
        assert (await surfer.do("extract_text", {"selector": "#said"})).values["text"] == "said"
        run = await surfer.do("click", {"text": "all cards"})
        assert run.message == 'that is "Delete all cards", which was not asked for: click it by its whole name'
        monkeypatch.setattr(actions, "ELEMENT_TIMEOUT_MS", 100)
        assert (await surfer.do("click", {"text": "card"})).message == "card is not there"


OWN = """<p id=own hidden>Pay now or never</p><script>
onclick = () => { document.title = 'own' };
setTimeout(() => { own.hidden = false; own.insertAdjacentHTML('afterend', '<input id=card>') }, 700)
</script>"""


async def test_a_frame_of_another_site_takes_nothing_that_is_meant_for_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field with the same selector, or a button with that whole name, got what the page was to get a little later."""
    async with surfing(tmp_path) as surfer:
        frame = f"<iframe src='{surfer.site.url.replace('127.0.0.1', 'localhost')}/page?html={quote(CARD)}'></iframe>"
        await surfer.open(f"page?html={quote(SAYS + frame + OWN)}")
        assert (await surfer.do("type", {"selector": "#card", "text": "1234"})).values["title"] == "Shop"
        assert (await surfer.do("click", {"text": "Pay now"})).values["title"] == "own"
        monkeypatch.setattr(actions, "ELEMENT_TIMEOUT_MS", 600)
        run = await surfer.do("click", {"text": "Delete all cards"})
        assert run.message == f"Delete all cards is not there{ELSEWHERE}"


@pytest.mark.parametrize("style", ["display: none", "visibility: hidden", "width: 1px; height: 1px"])
async def test_what_is_in_a_frame_that_is_not_seen_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    async with surfing(tmp_path) as surfer:
        hidden = f"<iframe style='{style}' src='/page?html={quote(CARD)}'></iframe>"
        await surfer.open(f"page?html={quote(SAYS + hidden)}")
        monkeypatch.setattr(actions, "ELEMENT_TIMEOUT_MS", 600)
        for action, parameters in (("click", {"text": "Pay now"}), ("type", {"selector": "#card", "text": "1"})):
            run = await surfer.do(action, parameters)
            assert (run.status, run.values["title"]) == ("failed", "Shop")
            assert run.message.endswith(" is not there")
