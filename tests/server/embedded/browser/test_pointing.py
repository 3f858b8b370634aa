"""Which element a click is on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from server.embedded.browser import actions
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


CARD = """<button onclick="parent.postMessage('Paid', '*')">Pay now</button> <button>Delete all cards</button>
<input id=card oninput="parent.postMessage(this.value, '*')"><p id=said>said</p>"""
SAYS = "<title>Shop</title><script>onmessage = (event) => { document.title = event.data }</script>"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # the other one in a process of its own
async def test_what_is_in_a_frame_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Its text was read, and nothing in it could be used."""
    async with surfing(tmp_path) as surfer:
        frame = f"<iframe src='{surfer.site.url.replace('127.0.0.1', host)}/page?html={quote(CARD)}'></iframe>"
        await surfer.open(f"page?html={quote(SAYS + '<p>Pay now or never</p>' + frame)}")
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
