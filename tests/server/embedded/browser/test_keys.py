"""What a key would activate is judged like a click that was asked for without words."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import grpc.aio
import pytest

from tests.server.embedded.website import surfing

if TYPE_CHECKING:
    from pathlib import Path

DONE = "document.title = 'Done'"
DELETE = f'<button onclick="{DONE}">Delete account</button>'
FOCUSED = DELETE.replace("<button", "<button autofocus id=at")
SHADOW = """<div id=host></div><script>
const root = host.attachShadow({ mode: 'open' });
root.innerHTML = `<button onclick="top.document.title = 'Done'">Delete account</button>`;
root.firstChild.focus();</script>"""
FRAME = f"""<iframe id=f srcdoc='{FOCUSED.replace("document", "top.document").replace("'", "&#39;")}'></iframe>
<script>f.onload = () => f.contentDocument.getElementById('at').focus()</script>"""

WORDS = '"Delete account", which was not asked for'
NEXT, CHOICE = f"the key would activate {WORDS}: click it by its whole name", f"the key may choose {WORDS}"


def form(field: str, button: str = "Delete account", *, kind: str = "submit") -> str:
    return f'<form onsubmit="{DONE}; return false">{field}<button type={kind}>{button}</button><button>Save</button></form>'


REFUSED = [
    (FOCUSED, "Enter"),
    (FOCUSED, "NumpadEnter"),
    (FOCUSED, "Space"),
    (FOCUSED, "Shift+Enter"),
    (FOCUSED, "ControlLeft+Shift+Enter"),
    (FOCUSED.replace("Delete", "De&shy;letes"), "Enter"),
    (f'<a href=# autofocus onclick="{DONE}">Delete account</a>', "Enter"),
    (f'<span autofocus tabindex=0 onkeydown="{DONE}">Delete account</span>', "Enter"),
    (f'<span autofocus tabindex=0 onkeydown="{DONE}">Delete account</span>', "Space"),
    (f'<details ontoggle="{DONE}"><summary autofocus>Delete account</summary>x</details>', "Enter"),
    (form("<input autofocus>"), "Enter"),
    (form("<input type=checkbox autofocus>"), "Enter"),
    (form("<input type=date autofocus>"), "Enter"),
    (form("<select autofocus><option>a</select>"), "Enter"),
    (form("<input autofocus name=getRootNode><input name=elements><img name=querySelectorAll>"), "Enter"),
    (f'<input form=f autofocus><form id=f onsubmit="{DONE}; return false"><button>Delete account</button></form>', "Enter"),
    (f'<form onsubmit="{DONE}; return false"><input autofocus><input type=image alt="Delete account"></form>', "Enter"),
    (SHADOW, "Enter"),
    (FRAME, "Enter"),
]  # fmt: skip


async def test_a_key_activates_nothing_that_was_not_asked_for(tmp_path: Path) -> None:
    """A plan tabbed to "Delete account" and pressed Enter: nobody was asked."""
    async with surfing(tmp_path) as surfer:
        for html, key in REFUSED:
            await surfer.open(f"page?html={quote('<meta charset=utf-8><title>Here</title>' + html)}")
            run = await surfer.do("press", {"key": key})
            assert run.status == "failed", (html, key)
            assert run.message.startswith('the key would activate "De'), run.message
            assert run.message.endswith('account", which was not asked for: click it by its whole name')
            assert run.values["title"] == "Here", (html, key)


def radios(*labels: str) -> str:
    return "".join(
        f'<label><input type=radio name=r {"autofocus checked" if not at else ""} onchange="{DONE}">{label}</label>'
        for at, label in enumerate(labels)
    )


def choices(handler: str, second: str = "Delete account") -> str:
    return f"<form {handler}><select autofocus><option>Keep<option>{second}</select></form>"


async def test_an_arrow_chooses_nothing_that_was_not_asked_for(tmp_path: Path) -> None:
    """An arrow clicks the next radio button, and a list may send its form as soon as something else is chosen."""
    at_once = f'onchange="{DONE}"'
    async with surfing(tmp_path) as surfer:
        for html, key, message in (
            (radios("Keep", "Delete account", "Go on"), "ArrowDown", NEXT),
            (radios("Keep", "Go on", "Delete account"), "ArrowUp", NEXT),
            (radios("Keep", "Go on", "Ask", "Delete account"), "ArrowRight", NEXT),
            (radios("Keep", "Go on", "Delete account", "Ask"), "ArrowDown", ""),
            (radios("Keep", "Go on"), "ArrowLeft", ""),
            (choices(at_once), "ArrowDown", CHOICE),
            (choices(at_once), "End", CHOICE),
            (choices(at_once), "d", CHOICE),
            (choices(at_once).replace("<form", "<p").replace("<select", f"<select {at_once}"), "ArrowDown", CHOICE),
            (choices(at_once, "Go on"), "ArrowDown", ""),
            (choices(""), "ArrowDown", None),  # it only chooses
            (choices(at_once), "Tab", None),
        ):
            await surfer.open(f"page?html={quote('<meta charset=utf-8><title>Here</title>' + html)}")
            run = await surfer.do("press", {"key": key})
            assert run.message == (message or ""), (html, key)
            assert run.values["title"] == ("Done" if message == "" else "Here"), (html, key)


PRESSED = [
    (FOCUSED.replace("Delete account", "Next"), "Enter", "Done"),
    (FOCUSED.replace("Delete account", "Next"), "Space", "Done"),
    (FOCUSED, "Tab", "Here"),
    (FOCUSED, "a", "Here"),
    (f'<p>How to delete an account</p><input autofocus onkeydown="{DONE}">' + DELETE, "Enter", "Done"),
    (f"<p>How to delete an account</p>{DELETE}<script>onkeydown = () => {{ {DONE} }}</script>", "Space", "Done"),
    (form("<input autofocus aria-label='Order number'>", "Search"), "Enter", "Done"),
    (form("<input autofocus>", kind="button"), "Enter", "Done"),
    (form("<input autofocus>", kind="reset"), "Space", "Here"),
    (form(f'<textarea autofocus oninput="{DONE}">delete</textarea>'), "Enter", "Done"),
    (f'<div contenteditable autofocus oninput="{DONE}">delete</div>', "Space", "Done"),
]  # fmt: skip


async def test_other_keys_are_pressed(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        for html, key, title in PRESSED:
            await surfer.open(f"page?html={quote('<meta charset=utf-8><title>Here</title>' + html)}")
            run = await surfer.do("press", {"key": key})
            assert (run.status, run.message, run.values["title"]) == ("ok", "", title), (html, key)


async def test_one_key_is_pressed_at_a_time(tmp_path: Path) -> None:
    """Of `Tab+Enter`, Enter was judged before Tab had led it to "Delete account", which it then activated."""
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote('<title>Here</title><input autofocus>' + DELETE)}")
        for keys in ("Tab+Enter", "Tab+Space", "Shift+Tab+NumpadEnter", "Tab+Tab+Space", "Tab+ArrowDown", "Enter+a"):
            with pytest.raises(grpc.aio.AioRpcError, match="key: string should match pattern"):
                await surfer.do("press", {"key": keys})
            assert (await surfer.do("wait", {"ms": 50})).values["title"] == "Here", keys


async def test_an_access_key_does_nothing(tmp_path: Path) -> None:
    """If one does some day, what it would activate has to be judged too."""
    async with surfing(tmp_path) as surfer:
        html = "<title>Here</title>" + DELETE.replace("<button", "<button accesskey=d")
        await surfer.open(f"page?html={quote(html)}")
        for key in ("Alt+d", "Alt+KeyD", "AltLeft+d", "Alt+Shift+d", "Alt+Shift+D"):
            assert (await surfer.do("press", {"key": key})).values["title"] == "Here"


async def test_a_text_that_is_typed_presses_nothing(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote('<title>Here</title>' + form('<input id=q><textarea id=t></textarea>'))}")
        for field in ("#q", "#t"):
            run = await surfer.do("type", {"selector": field, "text": "a\nb\n"})
            assert (run.status, run.values["title"]) == ("ok", "Here")
