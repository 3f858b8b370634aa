"""From an intent and the outcomes of its steps to the words to say, by language/replies.yaml."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

REPLIES_FILE = Path(__file__).parent / "language" / "replies.yaml"
MAX_NAMES = 3  # of files, read aloud: nobody remembers more
MAX_SPOKEN_CHARS = 240  # of a page or a command's output: some fifteen seconds

Outcome = tuple[str, dict[str, Any], str]  # status, result, message
Facts = dict[str, Any]

_MARKUP = re.compile(r"https?://\S+|[*_#|<>`=~^{}\[\]\\]+")
_SPACES = re.compile(r"\s+")
_ORDINALS = ("th", "st", "nd", "rd")


@cache
def _templates() -> dict[str, str]:
    loaded: dict[str, str] = yaml.safe_load(REPLIES_FILE.read_text(encoding="utf-8"))
    return loaded


def speakable(text: str, most_chars: int = MAX_SPOKEN_CHARS) -> str:
    """Without addresses and signs that nobody wants to hear, cut at a word."""
    clean = _SPACES.sub(" ", _MARKUP.sub(" ", text)).strip()
    return clean if len(clean) <= most_chars else clean[:most_chars].rsplit(" ", 1)[0] + " and so on"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _day(day: int) -> str:
    suffix = "th" if 10 <= day % 100 <= 20 or day % 10 > 3 else _ORDINALS[day % 10]
    return f"{day}{suffix}"


def _clock(now: datetime) -> str:
    return f"{now.hour % 12 or 12}:{now.minute:02d} {'AM' if now.hour < 12 else 'PM'}"


def _search(facts: Facts, result: dict[str, Any]) -> str:
    found = result.get("results", [])
    facts |= {"count": _count(len(found), "result"), "title": speakable(found[0]["title"], 80) if found else ""}
    return "web_search" if found else "web_search_nothing"


def _page(facts: Facts, result: dict[str, Any]) -> str:
    facts["title"] = speakable(str(result.get("title") or "the page"), 80)
    return ""


def _text(facts: Facts, result: dict[str, Any]) -> str:
    facts["text"] = speakable(str(result.get("text", ""))) or "nothing"
    return ""


def _files(facts: Facts, result: dict[str, Any]) -> str:
    names = str(result.get("stdout", "")).split()
    shown = ", ".join(speakable(name, 40) for name in names[:MAX_NAMES])
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    are = "is" if len(names) == 1 else "are"
    facts |= {"are": are, "count": _count(len(names), "entry").replace("entrys", "entries"), "names": shown + more}
    return "list_files" if names else "list_files_nothing"


def _command(facts: Facts, result: dict[str, Any]) -> str:
    facts["output"] = speakable(str(result.get("stdout", "")))
    return "run_command" if facts["output"] else "run_command_silent"


def _recall(facts: Facts, result: dict[str, Any]) -> str:
    facts["value"] = speakable(str(result.get("value", "")))
    return ""


# What each intent makes of its last step's result; the answer names a template other than the intent's own.
_READERS: dict[str, Callable[[Facts, dict[str, Any]], str]] = {
    "web_search": _search,
    "open_page": _page,
    "open_result": _page,
    "go_back": _page,
    "read_page": _text,
    "list_files": _files,
    "run_command": _command,
    "recall": _recall,
}


def _failure(intent: str, outcomes: list[Outcome], facts: Facts) -> str | None:
    """The template for the first step that did not end well."""
    bad = next((outcome for outcome in outcomes if outcome[0] != "ok"), None)
    if bad is None:
        return None
    status, result, message = bad
    if intent in {"recall", "forget"} and status == "failed" and "no such key" in message.lower():
        return "recall_nothing"
    reason = message or str(result.get("stderr", "")) or "something went wrong"
    facts["reason"] = speakable(reason, 160).rstrip(".")
    return status if status in _templates() else "failed"


def reply(intent: str, entities: dict[str, Any], outcomes: list[Outcome], now: datetime) -> str:
    """What to say. `outcomes` in the plan's order."""
    facts: Facts = {**entities, "time": _clock(now), "date": f"{now:%A}, {now:%B} {_day(now.day)}"}
    name = _failure(intent, outcomes, facts)
    if name is None and intent == "open_result" and not outcomes:
        name = "open_result_nothing"
    if name is None and outcomes and intent in _READERS:
        name = _READERS[intent](facts, outcomes[-1][1])
    template = _templates().get(name or intent, _templates()["unknown"])
    return template.format_map(_Blank(facts))


class _Blank(dict[str, Any]):
    """A fact that is not there leaves no trace of its name."""

    def __missing__(self, _key: str) -> str:
        return "that"
