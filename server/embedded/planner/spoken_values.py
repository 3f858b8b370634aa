"""Values, lists and long texts as somebody would say them: without signs, and short. What the user said keeps its signs."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

MAX_SPOKEN_CHARS = 240  # of a page or a command's output: some fifteen seconds
MAX_NAMES = 3  # file or link names read aloud; nobody remembers more
MAX_NAME_CHARS = 40
MAX_ITEMS = 8  # of a list in memory

_URL = re.compile(r"\b(https?://|www\.)(\S+)", re.IGNORECASE)
_MARKUP = re.compile(r"[*#|<>`=~^{}\[\]\\\"]+|(?<!\w)_+|_+(?!\w)|[-_]{2,}")
_UNDERSCORES_IN_NAME = re.compile(r"(?<=[^\W_])_+(?=\.\w)")  # `__init__.py` is "init.py"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # ECMA-48: colours, cursor
_SPACES = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"[.!?](?=\s)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s?([KMGTP])?i?B?\Z")
_UNITS = {"K": "kilobytes", "M": "megabytes", "G": "gigabytes", "T": "terabytes", "P": "petabytes"}


def speakable(text: str, most_chars: int = MAX_SPOKEN_CHARS) -> str:
    """Text without signs, and of addresses only their sites. A long text is cut at the end of a sentence or word."""
    with_sites = _URL.sub(_site_of, _CONTROL.sub(" ", text))
    clean = _UNDERSCORES_IN_NAME.sub("", with_sites)
    return as_told(_MARKUP.sub(" ", clean), most_chars)


def as_told(text: str, most_chars: int = MAX_SPOKEN_CHARS) -> str:
    """The user's own words with their signs and addresses, as a password needs them. A long text is cut alike."""
    clean = _SPACES.sub(" ", _CONTROL.sub(" ", text)).strip()
    if len(clean) <= most_chars:
        return clean
    ends = [found.end() for found in _SENTENCE_END.finditer(clean, 0, most_chars)]
    if ends and ends[-1] > most_chars // 2:
        return clean[: ends[-1]]
    cut = clean[:most_chars]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut[:MAX_NAME_CHARS]) + " and so on"


def _site_of(found: re.Match[str]) -> str:
    """The site, and the signs behind the address. A pattern for these would look through thousands of them from each on."""
    url, end = found[0], len(found[0])
    while not (url[end - 1].isalnum() or url[end - 1] in "_/"):
        end -= 1
    return spoken_url(url[:end]) + url[end:] if any(map(str.isalnum, found[2])) else url


def spoken_url(url: str) -> str:
    """Only the site of an address."""
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    except ValueError:
        host = ""
    return host.removeprefix("www.") or "the page"


def spoken_value(value: Any) -> str:
    """Any JSON value in words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "yes" if value else "no"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case int() | float():
            return str(value)
        case list():
            return listed([spoken_value(item) for item in value[:MAX_ITEMS]], len(value)) or "nothing"
        case dict():
            pairs = [f"{name} is {spoken_value(item)}" for name, item in list(value.items())[:MAX_ITEMS]]
            return listed(pairs, len(value)) or "nothing"
    return as_told(str(value)) or "nothing"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 result`, `2 results`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def listed(names: list[str], whole: int) -> str:
    """`a, b and c`, or `a, b, c and 9 more`, of `whole` names."""
    if whole > len(names):
        return f"{', '.join(names)} and {whole - len(names)} more"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1] if names else "") if part)


def spoken_names(names: list[str]) -> str:
    """The first few names."""
    return listed([speakable(name, MAX_NAME_CHARS) for name in names[:MAX_NAMES]], len(names))


def spoken_size(written: str) -> str:
    """`78G` as `78 gigabytes`; anything else unchanged."""
    found = _SIZE.match(written)
    if not found:
        return written
    return f"{found[1]} {_UNITS.get(found[2] or '', 'bytes')}"


def spoken_day(day: int) -> str:
    """The day as `1st`, `2nd` … `31st`."""
    suffix = "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"
