"""The parts of a step's result that are worth saying: facts for the reply's template, and the variant that fits.

Results come from whatever service is configured, so nothing is assumed about their structure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from server.embedded.planner.recipes import ABOUT_SELF
from server.embedded.planner.spoken_values import (
    as_told,
    counted,
    speakable,
    spoken_names,
    spoken_size,
    spoken_url,
    spoken_value,
)
from server.embedded.search.provider import LOCAL
from server.embedded.telling import mentioned

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TITLE_CHARS = 80
_OWN = re.compile(r"\bmy\b", re.IGNORECASE)
MAX_NOTE_CHARS = 120
LONG_LINES = 3  # more lines of output are not read aloud
HTTP_ERROR = 400
# Of a query's words, so many have to be in the best of this machine's documents, and one in its title: such documents are few, and
# "nearest" may be far. A search of the web judges by itself.
FITTING = 0.5

Facts = dict[str, Any]
Result = dict[str, Any]


def _text_of(result: Result, name: str) -> str:
    value = result.get(name)
    return value if isinstance(value, str) else ""


def entries(result: Result, name: str) -> list[dict[str, Any]]:
    """The objects in a list; anything else is skipped."""
    value = result.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def title_of(result: Result) -> str:
    """A page's title, else its site."""
    return speakable(_text_of(result, "title"), MAX_TITLE_CHARS) or spoken_url(_text_of(result, "url"))


def found(facts: Facts, result: Result) -> str:
    """Facts of a search."""
    results = entries(result, "results")
    title = speakable(_text_of(results[0], "title"), MAX_TITLE_CHARS) if results else ""
    facts |= {"count": counted(len(results), "result"), "title": title.rstrip(".")}
    left_out = result.get("left_out")
    hint = ""
    if isinstance(left_out, int | float) and left_out >= 1:
        facts["left_out"], hint = counted(int(left_out), "document"), "_left_out"
    if not results:
        return f"web_search_nothing{hint}"
    if not title:
        return "web_search_untitled"
    query, snippet = str(facts.get("query", "")), _text_of(results[0], "snippet")
    share = mentioned(f"{title} {snippet}", query) if snippet else 1.0
    if share < 1.0:
        fits = (share >= FITTING and mentioned(title, query) > 0) or (share and result.get("provider") != LOCAL)
        return "web_search_nearest" if fits else f"web_search_unfitting{hint}"
    return "web_search_one" if len(results) == 1 else ""


def _page(facts: Facts, result: Result) -> str:
    status = result.get("status")
    facts["title"] = title_of(result)
    if isinstance(status, int | float) and status >= HTTP_ERROR:
        facts["status"] = str(int(status))
        return "open_page_error"
    return ""


def _read(intent: str, name: str) -> Callable[[Facts, Result], str]:
    def read(facts: Facts, result: Result) -> str:
        facts["text"] = speakable(_text_of(result, name))
        return "" if facts["text"] else f"{intent}_nothing"

    return read


def _links(facts: Facts, result: Result) -> str:
    names = [name for link in entries(result, "links") if (name := _text_of(link, "text").strip())]
    facts |= {"are": _are(names), "count": counted(len(names), "link"), "names": spoken_names(names)}
    return "" if names else "page_links_nothing"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _files(facts: Facts, result: Result) -> str:
    names = [line.strip() for line in _text_of(result, "stdout").splitlines() if line.strip()]
    count = counted(len(names), "entry", "entries")
    facts |= {"are": _are(names), "count": count, "names": spoken_names(names)}
    variant = "list_files_path" if facts.get("path") else "list_files"
    return variant if names else f"{variant}_nothing"


def _scroll(facts: Facts, _result: Result) -> str:
    facts.setdefault("to", "down")
    return "scroll_edge" if facts["to"] in {"top", "bottom"} else ""


def _recall(facts: Facts, result: Result) -> str:
    facts["value"] = as_told(spoken_value(result.get("value")))
    if "value" not in result:
        return "recall_nothing"
    return "recall_self" if facts.get("part") == "self" else ""


def _notes(facts: Facts, result: Result) -> str:
    said = []
    for hit in entries(result, "results"):
        metadata = hit.get("metadata")
        attribute = _text_of(metadata, "attribute") if isinstance(metadata, dict) else ""
        value = as_told(spoken_value(hit.get("value")), MAX_NOTE_CHARS).rstrip(".")
        said.append(f"Your {speakable(attribute)} {are_of(attribute)} {value}." if attribute else f"You said: {value}.")
    facts["notes"] = " ".join(said)
    topic = str(facts.get("topic", "that"))
    facts["topic"] = "you" if topic.lower() in ABOUT_SELF else _OWN.sub("your", topic)
    if said:
        return ""
    return "recall_notes_untold" if facts.get("part") == "act" else "recall_notes_nothing"  # "about live" is no English


def forgotten_note(facts: Facts, found_first: Result) -> str:
    """The note that was found, by a search or by its key, and then forgotten."""
    note = next(iter(entries(found_first, "results")), found_first)
    facts["note"] = as_told(spoken_value(note["value"]), MAX_NOTE_CHARS).rstrip(".") if "value" in note else "it"
    return "forget_note" if facts["note"] == note.get("value") and not note.get("expires_at") else "forget_note_part"


def _remembered(intent: str) -> Callable[[Facts, Result], str]:
    """Tell in full what was known before, or not at all: "undo that" takes it from the reply."""

    def read(facts: Facts, result: Result) -> str:
        if "known" not in result:
            return "remember_fact_among" if intent == "remember_fact" and facts.get("among") else ""
        if result["known"]:
            return f"{intent}_known"
        facts["before"] = before = result.get("replaced")
        told = isinstance(before, str) and as_told(before, MAX_NOTE_CHARS) == before
        return f"{intent}_instead" if told else f"{intent}_changed"

    return read


def are_of(attribute: str) -> str:
    """`glasses are`, `address is`: by the ending of the last word."""
    last = attribute.lower().split()[-1:] or [""]
    plural = last[0].endswith("s") and not last[0].endswith(("ss", "us", "is", "'s"))
    return "are" if plural and last[0] not in {"news", "boss", "always"} else "is"


def dialog_of(result: Result) -> tuple[str, str]:
    """What a page has asked or said in a dialog meanwhile, the last of it, and the template for that; empty if it has not.

    A question matters more: the browser answered no, so the page may not have done what it was clicked for.
    """
    for name, template in (("declined", "page_asked"), ("dialogs", "page_said")):
        texts = result.get(name)
        if isinstance(texts, list) and texts and isinstance(texts[-1], str):
            return template, speakable(texts[-1], MAX_NOTE_CHARS).rstrip(" .?!") or "something"
    return "", ""


# --- output of commands ---


def _disk(facts: Facts, lines: list[str]) -> str:
    """Facts of df -h: size and free space, from the second line."""
    row = lines[1].split() if len(lines) == 2 else []
    if len(row) < 6:
        return ""
    facts |= {"size": spoken_size(row[1]), "free": spoken_size(row[3])}
    return "run_df"


def _memory(facts: Facts, lines: list[str]) -> str:
    """Facts of free -h: total and available memory."""
    row = next((line.split() for line in lines if line.startswith("Mem:")), [])
    if len(row) < 7:
        return ""
    facts |= {"size": spoken_size(row[1]), "free": spoken_size(row[6])}
    return "run_free"


def _one_line(template: str, said: Callable[[str], str] = speakable) -> Callable[[Facts, list[str]], str]:
    def read(facts: Facts, lines: list[str]) -> str:
        facts["output"] = said(lines[0])
        return template if len(lines) == 1 and facts["output"] else ""

    return read


def _uptime(facts: Facts, lines: list[str]) -> str:
    """Facts of uptime -p: `up 3 hours, 25 minutes`."""
    return _one_line("run_uptime")(facts, lines) if lines[0].startswith("up ") else ""


def _processors(facts: Facts, lines: list[str]) -> str:
    if len(lines) != 1 or not lines[0].strip().isdecimal():
        return ""
    facts["count"] = counted(int(lines[0]), "processor")
    return "run_nproc"


def _counted_in(facts: Facts, lines: list[str]) -> str:
    """Facts of `wc -l notes.txt`."""
    number, _, name = lines[0].strip().partition(" ")
    noun = next((noun for flag, noun in _COUNTED.items() if flag in str(facts.get("args", ""))), "")
    if len(lines) != 1 or not noun or not number.isdecimal() or not name:
        return ""
    facts |= {"count": counted(int(number), noun), "target": name}
    return "run_wc"


def _size(facts: Facts, lines: list[str]) -> str:
    """Facts of `du -s -h photos`."""
    size, _, name = lines[0].partition("\t")
    if len(lines) != 1 or not name:
        return ""
    facts |= {"size": spoken_size(size), "target": name}
    return "run_du"


def _found_files(facts: Facts, lines: list[str]) -> str:
    names = [line.removeprefix("./") for line in lines]
    facts |= {"count": counted(len(names), "file"), "names": spoken_names(names)}
    return "run_find"


_COUNTED = {"-l": "line", "-w": "word", "-m": "character"}
_COMMANDS: dict[str, Callable[[Facts, list[str]], str]] = {
    "df": _disk,
    "free": _memory,
    "uptime": _uptime,
    "whoami": _one_line("run_whoami"),
    "pwd": _one_line("run_pwd"),
    "hostname": _one_line("run_hostname"),
    "nproc": _processors,
    "wc": _counted_in,
    "du": _size,
    "echo": _one_line("run_echo", as_told),
    "find": _found_files,
}


# What is said after a command that printed nothing.
_SILENT = {
    "mkdir": "run_mkdir",
    "touch": "run_touch",
    "rmdir": "run_rmdir",
    "mv": "run_mv",
    "cp": "run_cp",
    "find": "run_find_nothing",
    "grep": "run_grep_nothing",
}
_OF_MANY = frozenset({"mkdir", "touch", "rmdir"})
_PARENTS = re.compile(r"(?:\A|\s)-(?:p|-parents)\b")


def _silent(facts: Facts) -> str:
    """What was done, by the command. Of several folders, `mkdir -p` may have made only some, and does not say which."""
    command = str(facts.get("command"))
    if command not in _OF_MANY or facts.get("path_count", 1) == 1:
        return _SILENT.get(command, "run_command_silent")
    kept = command == "mkdir" and _PARENTS.search(str(facts.get("args", "")))
    return "run_mkdir_there" if kept else f"{_SILENT[command]}_several"


def _command(facts: Facts, result: Result) -> str:
    lines = [line for line in _text_of(result, "stdout").splitlines() if line.strip()]
    if not lines:
        return _silent(facts)
    special = _COMMANDS.get(str(facts.get("command")))
    variant = special(facts, lines) if special else ""
    if variant:
        return variant
    is_long = len(lines) > LONG_LINES
    facts |= {"count": counted(len(lines), "line"), "output": speakable(lines[0] if is_long else ", ".join(lines))}
    return "run_command_long" if is_long else ""


READERS: dict[str, Callable[[Facts, Result], str]] = {
    "web_search": found,
    "open_page": _page,
    "open_result": _page,
    "go_back": _page,
    "click": _page,
    "read_page": _read("read_page", "text"),
    "page_links": _links,
    "scroll": _scroll,
    "list_files": _files,
    "read_file": _read("read_file", "stdout"),
    "run_command": _command,
    "remember": _remembered("remember"),
    "remember_fact": _remembered("remember_fact"),
    "recall": _recall,
    "recall_notes": _notes,
}
"""Reads the last step's result, by intent; returns the name of a template other than the intent's own, if any."""
