"""Elements that are clicked and written to, and what keeps them from it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from server.embedded.browser import actions
from server.embedded.browser.handling import ACT_TIMEOUT_MS, GONE, NOT_CLICKED, is_tried, matter
from server.embedded.browser.reading import hold
from tests.server.embedded.website import surfing

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Locator

    from tests.server.embedded.executing import Run
    from tests.server.embedded.website import Surfer

CLICK = ("click", {"selector": "#go"})
LONG = f"const end = Date.now() + {ACT_TIMEOUT_MS + 500}; while (Date.now() < end);"
COVER = "document.body.insertAdjacentHTML('beforeend', '<{0} style=\\'position: fixed; inset: 0; width: 100%; height: 100%\\'></{0}>');"


async def opened(surfer: Surfer, html: str) -> Run:
    return await surfer.open(f"page?html={quote('<title>Shop</title>' + html)}")


def button(hover: str) -> str:
    return f'<button id=go onmouseenter="{hover}" onclick="document.title = \'Clicked\'">go</button>'


async def test_a_click_is_one_click(tmp_path: Path) -> None:
    """A trial before it hovered, so that another element was clicked."""
    html = """<button id=go onmouseenter="document.body.append('hovered ')" onclick="document.body.append('clicked ')">go</button>"""
    async with surfing(tmp_path) as surfer:
        await opened(surfer, html)
        assert (await surfer.do(*CLICK)).status == "ok"
        assert (await surfer.do("extract_text")).values["text"] == "gohovered clicked"


async def test_what_is_covered_is_not_clicked(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await opened(surfer, "<a id=go href=/second>go</a><div style='position: fixed; inset: 0'></div>")
        run = await surfer.do(*CLICK)
        assert (run.status, run.message) == ("failed", "#go is covered by something else")
        assert "second" not in surfer.site.asked


async def test_a_handler_that_takes_longer_than_a_click_is_waited_for(tmp_path: Path) -> None:
    takes = ACT_TIMEOUT_MS + 500
    html = f"<button id=go onclick=\"const end = Date.now() + {takes}; while (Date.now() < end); location = '/second'\">go</button>"
    async with surfing(tmp_path) as surfer:
        await opened(surfer, html)
        run = await surfer.do(*CLICK)
        assert (run.status, run.values["title"]) == ("ok", "Second")


async def test_so_is_one_of_a_field(tmp_path: Path) -> None:
    """What was written was told as a field that is not there."""
    takes = ACT_TIMEOUT_MS + 500
    html = f'<input id=go oninput="const end = Date.now() + {takes}; while (Date.now() < end);"><input id=off disabled>'
    async with surfing(tmp_path) as surfer:
        await opened(surfer, html)
        assert (await surfer.do("type", {"selector": "#go", "text": "Ann"})).status == "ok"
        run = await surfer.do("type", {"selector": "#off", "text": "Ann"})
        assert (run.status, run.message) == ("failed", "#off is disabled")


@pytest.mark.parametrize("hover", [LONG + COVER.format("div"), COVER.format("iframe"), LONG + COVER.format("iframe")])
async def test_a_click_before_which_something_covers_the_element_is_not_told_as_done(
    tmp_path: Path, hover: str
) -> None:
    """Playwright's log said that it had clicked, and its answer too where a frame had come."""
    async with surfing(tmp_path) as surfer:
        await opened(surfer, button(hover))
        run = await surfer.do(*CLICK)
        assert (run.status, run.message, run.values["title"]) == ("failed", NOT_CLICKED, "Shop")


async def test_a_click_behind_a_handler_of_the_mouse_that_takes_long_is_done(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await opened(surfer, button(LONG))
        run = await surfer.do(*CLICK)
        assert (run.status, run.values["title"]) == ("ok", "Clicked")


async def test_an_element_that_goes_as_it_is_pressed_was_clicked(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await opened(surfer, "<button id=go onpointerdown=\"this.remove(); document.title = 'Chosen'\">go</button>")
        run = await surfer.do(*CLICK)
        assert (run.status, run.values["title"]) == ("ok", "Chosen")


WAITS = "<div id=box><button id=go disabled>Continue</button><input id=q disabled></div>"
OTHER = """<button id=go onclick="document.title = 'Deleted'">Delete</button><input id=q oninput="document.title = 'Got it'">"""
UNASKED = 'that is "Delete", which was not asked for: click it by its whole name'
CHANGES = {
    "the page": "box.innerHTML = other",
    "another document": "document.open(); document.write(other); document.close()",
    "another page": "location = `/page?html=${encodeURIComponent(other)}`",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("action", ["click", "type"])
async def test_what_was_looked_at_is_what_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, change: str
) -> None:
    """What had come into its place meanwhile was clicked, and got what was typed."""
    async with surfing(tmp_path) as surfer:

        async def hold_then_change(element: Locator, timeout_ms: float) -> Locator:
            held = await hold(element, timeout_ms)
            surfer.site.gate.set()
            return held

        monkeypatch.setattr(actions, "hold", hold_then_change)
        script = f"const other = `{OTHER}`; fetch('/gate').then(() => {{ {CHANGES[change]} }})"
        await opened(surfer, f"{WAITS}<script>{script}</script>")
        parameters = {"selector": "#go"} if action == "click" else {"selector": "#q", "text": "x"}
        run = await surfer.do(action, parameters)
        again = action == "click" and change != "another page"  # what has come is looked at too
        assert (run.status, run.message) == ("failed", UNASKED if again else GONE)
        assert run.values["title"] in {"Shop", ""}
        run = await surfer.do("click", {"text": "Delete"})
        assert (run.status, run.values["title"]) == ("ok", "Deleted")


KEPT = """<script>for (const kind of ['pointerdown', 'mousedown']) addEventListener(kind, (event) => event.stopImmediatePropagation(), true)
</script><button id=go>Go</button>"""
ANEW = """<title>new</title><div id=box></div><script>
let once = true;
const make = () => {
  box.innerHTML = '<button id=go>Go</button>';
  go.onclick = () => { document.title = 'clicked' };
  go.onmouseenter = () => { if (once) { once = false; make() } };
};
make();
</script>"""
# In each frame; an animation of CSS may stand still for its first ones
MOVING = """<script>
let x = 0;
const move = () => {
  if (self.go) go.style.marginLeft = `${++x % 400}px`;
  requestAnimationFrame(move);
};
move();
</script>"""


@pytest.mark.parametrize(
    ("html", "action", "words"),
    [
        ("<button id=go disabled>go</button>", "click", "is disabled"),
        ("<fieldset disabled><input id=go></fieldset>", "type", "is disabled"),
        ("<input id=go readonly>", "type", "is read-only"),
        (f"{MOVING}<button id=go>go</button>", "click", "does not stand still"),
        ("<div inert><button id=go>go</button></div>", "click", "is blocked by something that is open on the page"),
        ("<button id=go hidden>go</button>", "click", "is hidden"),
    ],
)
async def test_what_is_the_matter_with_an_element_is_told(tmp_path: Path, html: str, action: str, words: str) -> None:
    """Each was told as one that is not there."""
    async with surfing(tmp_path) as surfer:
        await opened(surfer, html)
        run = await surfer.do(action, {"selector": "#go", **({"text": "x"} if action == "type" else {})})
        assert (run.status, run.message) == ("failed", f"#go {words}")


LOG = """Timeout 1ms exceeded.
Call log:
  - waiting for locator("#go").first
    - locator resolved to <button id="go">go</button>
  - attempting click action
    - performing click action
"""


def test_the_mouse_came_if_the_last_attempt_did() -> None:
    covered = "    - <p> intercepts pointer events\n"
    assert is_tried(LOG)
    assert is_tried(LOG + "    - click action done\n")
    assert not is_tried(LOG + covered)
    assert not is_tried(LOG + covered + "  - retrying click action\n    - waiting 20ms\n")
    assert not is_tried(LOG.replace("    - performing", "    - <p id='performing"))
    # lines that are written several times are so once
    assert not is_tried(LOG + "  2 \u00d7 retrying click action\n      - waiting 20ms\n  " + covered)


def test_what_was_the_matter_is_in_the_log() -> None:
    assert matter(LOG + "    - <p> intercepts pointer events\n") == "is covered by something else"
    moving = LOG.replace("performing click action", "element is not stable")
    assert matter(moving + "    - <body> intercepts pointer events\n") == "does not stand still"
    assert matter(LOG + "    2 \u00d7 waiting for it\n      - element is not enabled\n    - retrying") == "is disabled"
    assert matter(LOG) == "is there, but the page took too long to let it be used"
    assert matter(LOG.partition("    - locator")[0]) == "is not there"
    assert matter(LOG + "\n" * 200_000) == matter(LOG)  # read once: ten thousand took seven seconds


async def test_a_field_that_does_not_take_a_text_is_told_with_what_it_holds(tmp_path: Path) -> None:
    """All of these were done, and nothing or something else was sent."""
    no = "the field did not take that"
    async with surfing(tmp_path) as surfer:
        for kind, text, message in (
            ("type=date", "30.11.2026", no),
            ("type=time", "half past", no),
            ("type=month", "Nov", no),
            ("maxlength=3", "abcdef", f'{no}, and holds "abc"'),
            ("type=range max=10", "70", f'{no}, and holds "10"'),
            ("type=password maxlength=3", "abcdef", "the field holds something else now"),
            ("oninput=\"this.value = ''\"", "gone", no),
            (
                "type=range max=10 oninput=\"history.replaceState(0, '', '?to=' + this.value)\"",
                "70",
                f'{no}, and holds "10"',
            ),
            ("maxlength=3 oninput='location.hash = this.value'", "abcdef", f'{no}, and holds "abc"'),
            ("type=date", "2026-11-30", ""),
            ("oninput=\"this.value = this.value.toUpperCase() + ' '\"", "ab 1", ""),
        ):
            await surfer.open(f"page?html={quote(f'<input id=q {kind}>')}")
            run = await surfer.do("type", {"selector": "#q", "text": text})
            assert (run.status, run.message) == ("failed" if message else "ok", message), (kind, text)


@pytest.mark.parametrize("way", ["<iframe id=go srcdoc='<p>frame</p>'></iframe>", KEPT])
async def test_a_click_that_the_page_keeps_to_itself_is_done(tmp_path: Path, way: str) -> None:
    """It was told as failed, and done again."""
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote(way)}")
        run = await surfer.do("click", {"selector": "#go"})
        assert (run.status, run.message) == ("ok", "")


async def test_a_button_that_is_made_anew_as_the_mouse_comes_is_clicked(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open(f"page?html={quote(ANEW)}")
        run = await surfer.do("click", {"selector": "#go"})
        assert (run.status, run.values["title"]) == ("ok", "clicked")
