"""Pages that hold more than anybody wants to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from server.embedded.browser.actions import MAX_TEXT_CHARS
from server.embedded.browser.handling import HIDDEN
from server.embedded.browser.reading import MAX_FRAMES, MAX_LINK_CHARS, MAX_LINKS, MAX_TITLE_CHARS, MAX_URL_CHARS
from server.embedded.browser.service import _well_formed
from server.embedded.executor import TaskOutcome
from tests.server.embedded.website import surfing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.embedded.executing import Run
    from tests.server.embedded.website import Surfer

LONG = """<title>t</title><body><p id=p></p><div id=d style="height: 3000px"></div><script>
const long = 'x'.repeat(3e6);
document.title = long; p.innerText = 'p'.repeat(3e6); history.replaceState(0, '', '/form?' + 'u'.repeat(1e5));
d.innerHTML = '<a></a>'.repeat(200);
for (const a of d.children) { a.href = 'http://a.example/' + 'u'.repeat(1e5); a.innerText = 'l'.repeat(1e4); }
</script>"""
REPLACED = """<script>
String.prototype.slice = function () { return this; };
String.prototype.toWellFormed = String.prototype.trim = String.prototype.slice;
Array.prototype.slice = Array.prototype.map = Array.prototype.filter = function () { return long; };
Math.round = JSON.stringify = () => long;
Object.defineProperty(Document.prototype, 'title', { get: () => long });
for (const name of ['innerText', 'href', 'textContent', 'hasChildNodes', 'closest'])
  for (const kind of [HTMLElement, HTMLAnchorElement, Node, Element])
    Object.defineProperty(kind.prototype, name, { get: () => long, set() {} });
</script>"""


async def opened(surfer: Surfer, html: str) -> Run:
    return await surfer.open(f"page?html={quote(html)}")


def bounded(values: dict[str, Any]) -> None:
    assert (len(values["title"]), len(values["url"])) == (MAX_TITLE_CHARS, MAX_URL_CHARS)


async def test_what_is_long_is_cut(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        for html in (LONG, LONG + REPLACED):
            bounded((await opened(surfer, html)).values)
            values = (await surfer.do("extract_text", {"selector": "#p"})).values
            assert (values["text"], values["truncated"]) == ("p" * MAX_TEXT_CHARS, True)
            values = (await surfer.do("links")).values
            bounded(values)
            assert [(len(link["text"]), len(link["url"])) for link in values["links"]] == [
                (MAX_LINK_CHARS, MAX_URL_CHARS)
            ] * MAX_LINKS
            values = (await surfer.do("scroll")).values
            bounded(values)
            assert values["y"] > 0
            run = await surfer.do("press", {"key": "Nonsense"})
            bounded(run.values)
            assert run.status == "failed"


async def test_no_character_is_cut_in_half(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        smiles = "<title></title><script>document.title = 'x' + '\\u{1f600}'.repeat(2000)</script>"
        title = (await opened(surfer, smiles)).values["title"]
        assert (title[:2], title[-2:]) == ("x\U0001f600", "\U0001f600\ufffd")
        half = "<title></title><script>document.title = 'half \\ud83d'</script>"
        assert (await opened(surfer, half)).values["title"] == "half \ufffd"
        many = "<p id=p></p><script>p.innerText = '\\u{1f600}'.repeat(50_001)</script>"
        await opened(surfer, many)
        values = (await surfer.do("extract_text")).values
        assert (values["text"], values["truncated"]) == ("\U0001f600" * MAX_TEXT_CHARS, True)


async def test_half_characters_leave_no_page(tmp_path: Path) -> None:
    """A message holds none: an address with one, which Chromium cannot parse and keeps as it is, ended the task."""
    script = """<title>half \\ud83d</title><a></a><a>l\\udfff</a><a>cut</a><p></p><script>
const [one, two, cut] = document.querySelectorAll('a'); document.title = 'half \\ud83d';
document.querySelector('p').innerText = 'x\\ud800y'; one.innerText = 'l\\udfff';
one.href = 'http://h:99999/\\ud800'; two.href = 'http://[\\ud83d'; cut.href = 'http://[/' + 'a'.repeat(URL_CHARS - 10) + '\\u{1f600}'.repeat(9);
alert('a\\udc00b'); history.replaceState(0, '', '#\\ud800');
</script>""".replace("URL_CHARS", str(MAX_URL_CHARS))
    async with surfing(tmp_path) as surfer:
        values = (await opened(surfer, script)).values
        assert (values["title"], values["dialogs"], values["url"][-10:]) == ("half \ufffd", ["a\ufffdb"], "#%EF%BF%BD")
        links = (await surfer.do("links")).values["links"]
        assert [link["url"] for link in links[:2]] == ["http://h:99999/\ufffd", "http://[\ufffd"]
        assert [link["text"] for link in links] == ["l\ufffd", "l\\udfff", "cut"]
        assert links[2]["url"][-2:] == "a\ufffd"
        assert "x\ufffdy" in (await surfer.do("extract_text")).values["text"]


def test_every_string_of_an_outcome_is_made_whole() -> None:
    values = {"a": ["\ud83d\ude00", {"b": "\ud83d"}], "c": 1.5, "d": "plain", "e": "\ufeffä"}
    whole = _well_formed(TaskOutcome(values, ok=False, message="\udfff!"))
    assert whole.values == {"a": ["\U0001f600", {"b": "\ufffd"}], "c": 1.5, "d": "plain", "e": "\ufeffä"}
    assert (whole.ok, whole.message) == (False, "\ufffd!")


SVG = "<svg xmlns='http://www.w3.org/2000/svg'><title>T</title><text y='20'>hello</text></svg>"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (f"page?type=image/svg%2bxml&html={quote(SVG)}", "Thello"),
        (f"page?html={quote('<title>t</title><frameset><frame></frameset>')}", ""),
        (f"page?html={quote('text<script>document.body.remove()</script>')}", ""),
        (f"page?html={quote('text<script>document.documentElement.remove()</script>')}", ""),
    ],
)
async def test_a_page_without_a_body_is_read_at_once(tmp_path: Path, page: str, text: str) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open(page)
        run = await surfer.do("extract_text")
        assert (run.status, "".join(run.values["text"].split())) == ("ok", text)
        assert (await surfer.do("scroll", {"to": "bottom"})).values["y"] == 0


async def test_a_form_whose_fields_are_named_like_its_properties_is_read(tmp_path: Path) -> None:
    names = ("innerText", "textContent", "closest", "title", "body", "querySelectorAll", "documentElement")
    fields = "".join(f"<input name={name}><img name={name}>" for name in names)
    async with surfing(tmp_path) as surfer:
        await opened(
            surfer, f"<title>Shop</title><form>hello{fields}<button type=button>go</button></form><a href=/a>link</a>"
        )
        run = await surfer.do("extract_text", {"selector": "form"})
        assert (run.values["title"], run.values["text"]) == ("Shop", "hellogo")
        assert (await surfer.do("click", {"text": "go"})).status == "ok"
        assert [link["text"] for link in (await surfer.do("links")).values["links"]] == ["link"]
        # Playwright reads this one itself
        await opened(surfer, "<form>hello<input name=getBoundingClientRect></form>")
        run = await surfer.do("click", {"selector": "form"})
        assert (run.status, run.message) == ("failed", HIDDEN)


SNARES = [
    "parentNode",
    "parentElement",
    "nodeType",
    "hasAttribute",
    "assignedSlot",
    "shadowRoot",
    "childNodes",
    "innerText",
]


@pytest.mark.parametrize("name", SNARES)
async def test_a_form_whose_fields_are_named_like_what_playwright_climbs_by_is_used(tmp_path: Path, name: str) -> None:
    """Its scripts turned in a circle between the form and its field, so that nothing on the page could be used."""
    html = f"""<title>Shop</title><form>hello<input name={name}><p onclick="document.title = 'There'">there</p>
<button type=button disabled>off</button></form><button onclick="document.title = 'Went'">go</button>"""
    async with surfing(tmp_path) as surfer:
        await opened(surfer, html)
        for action, parameters, title in (
            ("click", {"text": "go"}, "Went"),
            ("click", {"text": "there"}, "There"),
            ("click", {"selector": "body > button"}, "Went"),
            ("click", {"selector": "form p"}, "There"),
            ("type", {"selector": "input", "text": "x"}, "There"),
            ("wait", {"selector": "p"}, "There"),
        ):
            run = await surfer.do(action, parameters)
            assert (run.status, run.message, run.values["title"]) == ("ok", "", title), (action, parameters)
        assert (await surfer.do("extract_text", {"selector": "form"})).values["text"].startswith("hello\n\nthere")
        assert (await surfer.do("click", {"selector": "form button"})).status == "failed"
        await opened(surfer, html + "<div style='position: fixed; inset: 0'></div>")
        assert (await surfer.do("click", {"selector": "form p"})).status == "failed"


async def test_the_text_of_frames_is_read_behind_that_of_their_page(tmp_path: Path) -> None:
    """Of a page that consists of frames, nothing was read, and nothing said so."""
    inner = "<form>inner<input name=innerText></form><iframe srcdoc='<p>innermost'></iframe>"
    frames = (
        f"page<iframe src='/page?html={quote(inner)}'></iframe>"
        "<iframe srcdoc='hidden' style='display: none'></iframe><iframe srcdoc='pixel' width=1 height=1></iframe>"
    )
    loaded = "<script>onload = () => document.body.id = 'loaded'</script>"
    async with surfing(tmp_path) as surfer:
        await opened(surfer, frames + loaded)
        await surfer.do("wait", {"selector": "#loaded"})
        values = (await surfer.do("extract_text")).values
        assert (values["text"].split(), values["truncated"]) == (["page", "inner", "innermost"], False)
        many = f"<body></body><script>for (let i = 0; i <= {MAX_FRAMES}; i++) {{ const f = document.createElement('iframe'); f.srcdoc = 'f' + i; document.body.append(f); }}</script>"
        await opened(surfer, many + loaded)
        await surfer.do("wait", {"selector": "#loaded"})
        values = (await surfer.do("extract_text")).values
        assert (values["text"].split(), values["truncated"]) == ([f"f{i}" for i in range(MAX_FRAMES)], True)
        long = f"<script>document.write('x'.repeat({MAX_TEXT_CHARS}))</script>"
        await opened(surfer, f"<p>page</p><iframe src='/page?html={quote(long)}'></iframe>{loaded}")
        await surfer.do("wait", {"selector": "#loaded"})
        values = (await surfer.do("extract_text")).values
        assert (len(values["text"]), values["text"][:7], values["truncated"]) == (MAX_TEXT_CHARS, "page\n\nx", True)


async def test_a_page_is_scrolled_at_once_also_where_it_would_go_a_smooth_way(tmp_path: Path) -> None:
    """It was told where the page still was, on its way."""
    async with surfing(tmp_path) as surfer:
        await opened(surfer, "<style>html { scroll-behavior: smooth } div { height: 4000px }</style><div></div>")
        for to, y in (("down", 600), ("down", 1_200), ("up", 600), ("bottom", 3_216), ("top", 0)):
            assert (await surfer.do("scroll", {"to": to})).values["y"] == y
