"""Converts HTML and Markdown to the plain text that is searched and shown."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

_SKIPPED = frozenset({"script", "style", "template", "noscript", "svg", "head"})
_BLOCKS = frozenset(
    {"p", "div", "li", "br", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "section", "article", "td"}
)

_MARKDOWN = (
    (re.compile(r"^\s*(```|~~~).*$", re.MULTILINE), ""),  # fences, but not the code between them
    (re.compile(r"!\[[^\]]*\]\([^)]*\)"), ""),  # images, mostly badges
    (re.compile(r"\[!?([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\[([^\]]+)\]\[[^\]]*\]"), r"\1"),
    (re.compile(r"^\s*\[[^\]]+\]:\s+\S+.*$", re.MULTILINE), ""),
    (re.compile(r"^\s*(?:#{1,6}|>|[-*+]|\d+\.)\s+", re.MULTILINE), ""),
    (re.compile(r"^\s*[-=*_~^`#|:+ ]{3,}\s*$", re.MULTILINE), ""),  # rules, underlines, borders of tables
    (re.compile(r"(\*\*|__|`+|~~)"), ""),
    (re.compile(r"(?<!\w)\*(\S[^*\n]*)\*(?!\w)"), r"\1"),
    (re.compile(r"[ \t]*\|[ \t]*"), " "),
    (re.compile(r"^\s*\.\. .*$", re.MULTILINE), ""),  # reStructuredText directives
    (re.compile(r":[a-z:]+:(?=\S)"), ""),  # … and roles
    (re.compile(r"</?[A-Za-z][^<>]{0,500}>"), " "),  # HTML in Markdown; "a < b" stays
)
_HEADING = re.compile(r"^#\s+(.+)$|^(.+)\n[=]{3,}\s*$", re.MULTILINE)


def from_markdown(text: str) -> str:
    """Plain text from Markdown; also works for plain text and reStructuredText."""
    for pattern, instead in _MARKDOWN:
        text = pattern.sub(instead, text)
    return html.unescape(text).strip()


def heading(text: str) -> str:
    """The first heading of a Markdown or reStructuredText document; empty if it has none."""
    found = _HEADING.search(text)
    return from_markdown(found[1] or found[2]) if found else ""


class _Reader(HTMLParser):
    """Collects the text that a reader would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.texts: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _SKIPPED or tag == "title":
            self._open.append(tag)
        elif tag in _BLOCKS:
            self.texts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[self._open.index(tag) :]

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title += data
        elif not self._open:
            self.texts.append(data)


def from_html(text: str) -> tuple[str, str]:
    """Title and text of a page, even if it is malformed."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.title.strip(), "".join(reader.texts).strip()
