"""Strangers' text costs no more than its length, however it is made: `re` holds up all services of the process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from server.embedded.search.documents import folder
from server.embedded.search.index import SearchIndex
from server.embedded.search.text import PIECE_CHARS, from_html, from_markdown, heading
from tests.support.processor import bounded_work

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONG_CHARS = 256 * 1024

MARKDOWN = (
    *("\n", " ", "\t", "\n ", "[", "![", "[x", "[a][", "[a](", "[a]((", "![](", "\n[a", "\n[a]: ", "\n 1", "\n- "),
    *(
        "#",
        "\n#",
        "\n# ",
        "*",
        "*a ",
        "**",
        "`",
        "\n```",
        "~",
        "_",
        "\n-",
        "\n= ",
        "|",
        " |",
        ":",
        ":a",
        "\n.. ",
        "a\n=",
    ),
    *("<", "<a ", "</a", "&", "&#", "&#1", "1", "x", "x\n===\n"),
)
HTML = (
    *("<", "<a ", "<a", "</", "</a ", "<!", "<!--", "<!-", "<?", "<a b='", '<a b="', "<a =", "<a = ", "<![CDATA["),
    *("<script>", "<style></", "<title>", "</title ", "<svg>", "<svg></p>", "<svg><head></title>", "<p>"),
    *("&", "&#", "&#1", "x", " ", "\n"),
)


@pytest.mark.parametrize("read", [from_markdown, heading])
@pytest.mark.parametrize("repeated", MARKDOWN)
def test_no_markdown_is_read_again_and_again(read: Callable[[str], str], repeated: str) -> None:
    text = f"x{repeated * (LONG_CHARS // len(repeated))} x"
    with bounded_work():
        assert len(read(text)) <= len(text)


@pytest.mark.parametrize("repeated", HTML)
def test_no_html_is_read_again_and_again(repeated: str) -> None:
    text = repeated * (LONG_CHARS // len(repeated))
    with bounded_work():
        assert len("".join(from_html(text))) <= len(text)


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("[![built](a.svg)](b) [wiki](https://x.example/a_(b)) [a\nb](c)", "wiki a\nb"),
        ("- a\n* b\n  1. c\n\n\n> d\n-\ne", "a\nb\nc\n\n\nd\n\ne"),
        ("a\n\n[x]: https://x.example 'y'\n- - -\n\t***\nb", "a\n\n\n\n\nb"),
        (".. note:: x\n:ref:`leek` at 10:30:15", "leek at 10:30:15"),
        ("a  |  b |c", "a b c"),
        ("* * *\n*a* * b", "a * b"),
    ],
)
def test_what_is_not_words_is_left_out(markdown: str, plain: str) -> None:
    assert from_markdown(markdown) == plain


@pytest.mark.parametrize(
    ("html", "read"),
    [
        ("<p title='a > b'>c</p  x>d", ("", "cd")),
        ("a<!-- <p>b --> c <!doctype html>d</>e < f", ("", "a c de < f")),
        ("<TITLE>a <b> &amp; c</TITLE><svg><title>icon</title>x</svg>d", ("a <b> & c", "d")),
        ("<script>if (a </b/) '<p>'</script >a<style>b</style>c<script>d", ("", "ac")),
        ("<svg><svg>a</svg>b<svg>c", ("", "b")),
        ("a<p b='c> d", ("", "a")),
        ("a<!-- b", ("", "a")),
        ("<p don't>a</p> it's", ("", "a it's")),
        ("&lt;b&gt; &#65; &#xx", ("", "<b> A &#xx")),
    ],
)
def test_html_is_read_as_browsers_read_it(html: str, read: tuple[str, str]) -> None:
    assert from_html(html) == read


@pytest.mark.parametrize("name", ["a.txt", "a.html"])
def test_a_number_that_is_too_long_for_python_ends_no_index(tmp_path: Path, name: str) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / name).write_text(f"before &#{'1' * 5000}; behind")
    (documents / "b.txt").write_text("other")
    index = SearchIndex(tmp_path / "index")
    index.update(folder(documents), threading.Event())
    assert [len(index.search(word, 9).results) for word in ("before", "behind", "other")] == [1, 1, 1]
    index.close()


def test_a_heading_is_looked_for_where_a_text_begins() -> None:
    """One pattern keeps all other services waiting."""
    assert heading("x\n\n# Tea\n") == "Tea"
    assert heading("x\n" * PIECE_CHARS + "# Tea\n") == ""
