"""Converts HTML and Markdown to the plain text that is searched and shown.

The text is strangers', and `re` keeps all other services of this process waiting while it looks. So no pattern reads a character more than
a few times: it is looked for only within its line or up to the sign that would begin it anew, and what does not end in HTML ends with the
document, as the HTML standard has it.
"""

from __future__ import annotations

import html
import re

PIECE_CHARS = 16_384  # of Markdown at a time: so long do the other services wait for one pattern

_BLOCKS = frozenset(
    {"p", "div", "li", "br", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "section", "article", "td"}
)
_SKIPPED = frozenset({"template", "noscript", "svg", "head"})
_ENDS = {  # of elements in which nothing else is markup
    name: re.compile(rf"</{name}(?=[\s/>])[^>]*+>?", re.IGNORECASE) for name in ("title", "script", "style")
}
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<end>/?)(?P<name>[a-zA-Z][^\s/>]*+)"
    r"(?:[^=>]++|=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z))?+)*+(?:>|\Z)"  # attributes, whose values may contain ">"
    r"|<[!?/][^>]*+(?:>|\Z)",
    re.DOTALL,
)

_BLANKS = r"[^\S\n]"  # within a line
_MARKDOWN = (
    (re.compile(rf"^{_BLANKS}*(?:```|~~~).*$", re.MULTILINE), ""),  # fences, but not the code between them
    (re.compile(r"!\[[^\[\]]*\]\([^()]*\)"), ""),  # images, mostly badges
    (re.compile(r"\[!?([^\[\]]*)\]\((?:[^()]|\([^()]*\))*+\)"), r"\1"),
    (re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]"), r"\1"),
    (re.compile(rf"^{_BLANKS}*\[[^\[\]\n]+\]:{_BLANKS}+\S.*$", re.MULTILINE), ""),
    (re.compile(rf"^{_BLANKS}*(?:#{{1,6}}|>|[-*+]|\d+\.)(?:{_BLANKS}+|$)", re.MULTILINE), ""),
    (re.compile(r"^[^\S\n]*[-=*_~^`#|:+][-=*_~^`#|:+ \t\r]{2,}$", re.MULTILINE), ""),  # rules, borders of tables
    (re.compile(r"(\*\*|__|`+|~~)"), ""),
    (re.compile(r"(?<!\w)\*(\S[^*\n]*)\*(?!\w)"), r"\1"),
    (re.compile(r"(?<![ \t])[ \t]*+\|[ \t]*"), " "),
    (re.compile(rf"^{_BLANKS}*\.\. .*$", re.MULTILINE), ""),  # reStructuredText directives
    (re.compile(r":[a-z:]+:(?=\S)"), ""),  # … and roles
    (re.compile(r"</?[A-Za-z][^<>]{0,500}>"), " "),  # HTML in Markdown; "a < b" stays
)
_PIECE = re.compile(rf".{{1,{PIECE_CHARS}}}(?:\n|\Z)|.{{{PIECE_CHARS}}}", re.DOTALL)
_HEADING = re.compile(rf"^#{_BLANKS}+(\S.*)$|^(.++)\n={{3,}}{_BLANKS}*$", re.MULTILINE)
_NO_CHARACTER = re.compile(r"&#[0-9]{100,};?")  # Python reads no number of some thousand digits


def from_markdown(text: str) -> str:
    """Plain text from Markdown; also works for plain text and reStructuredText."""
    return _unescaped("".join(_plain(piece[0]) for piece in _PIECE.finditer(text))).strip()


def _plain(text: str) -> str:
    for pattern, instead in _MARKDOWN:
        text = pattern.sub(instead, text)
    return text


def _unescaped(text: str) -> str:
    return html.unescape(_NO_CHARACTER.sub("\ufffd", text))


def heading(text: str) -> str:
    """The first heading of a Markdown or reStructuredText document; empty if there is none where it begins."""
    found = _HEADING.search(text[:PIECE_CHARS])
    return from_markdown(found[1] or found[2]) if found else ""


def from_html(text: str) -> tuple[str, str]:
    """Title and text of a page, even if it is malformed."""
    title, seen, at = "", [], 0
    skipped: list[str] = []  # open elements, each once: the first end tag of a name ends all that it began
    while markup := _MARKUP.search(text, at):
        if not skipped:
            seen.append(_unescaped(text[at : markup.start()]))
        at = markup.end()
        name = (markup["name"] or "").lower()
        if markup["end"]:
            del skipped[skipped.index(name) if name in skipped else len(skipped) :]
        elif name in _ENDS:
            end = _ENDS[name].search(text, at)
            if name == "title" and not title:
                title = _unescaped(text[at : end.start() if end else len(text)]).strip()
            at = end.end() if end else len(text)
        elif name in _SKIPPED and name not in skipped:
            skipped.append(name)
        elif name in _BLOCKS:
            seen.append("\n")
    if not skipped:
        seen.append(_unescaped(text[at:]))
    return title, "".join(seen).strip()
