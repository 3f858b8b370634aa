"""Which element a click is on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from server.embedded.browser import actions
from tests.server.embedded.website import surfing

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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
<input id=sent type=submit value="Send" onclick="document.title = 'Sent'">
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
            ({"selector": "#sent"}, "Shop", SEND),
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
