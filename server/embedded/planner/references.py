"""What short words refer to after a sum, a listing or a search: `no, minus 2`, `how many is that`, `the biggest?`, `next result`. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from server.embedded.intent.beyond import COMPARING
from server.embedded.planner.sums import CHAINED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protos import planner_pb2
    from server.embedded.planner.acts import Act

LOOKED_BACK = 6  # turns, of which one may have listed what is asked about by its kind
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
# Before what is asked for in place of something, or beside it.
NO = r"(?:(?:no|nope|sorry|wait|oh|oops|actually|wrong)[,.]? )"
ALSO = r"(?:and |or |what about |how about |nope,? |no,? |sorry,? |wait,? )"
_CORRECTS = re.compile(rf"{NO}*i (?:meant|mean|said|wanted) (?P<meant>.+)|{NO}+(?P<instead>.+)", re.IGNORECASE)
_OPERATION = re.compile(r"(?:plus|minus|times|divided by|over|multiplied by|[-+*/×÷−])(?= |\d)", re.IGNORECASE)
_OTHER_SHARE = re.compile(rf"(?:{ALSO}|i (?:meant|mean) )*(?P<share>.+?) ?(?:%|percent|per cent)", re.IGNORECASE)
_PART = r"(?:(?:a )?half|(?:an? |one |two |three )?(?:third|quarter|fifth|tenth)s?)"
_PART_OF = re.compile(rf"\b{_PART} of (?P<whole>[\d.,]+)\W*\Z", re.IGNORECASE)
_OTHER_PART = re.compile(rf"(?:{ALSO}|i (?:meant|mean) )+(?P<part>{_PART})", re.IGNORECASE)
_COUNT = re.compile(
    r"(?:(?:and|so|ok|okay),? )?how many(?: (?P<kind>files?|folders?|entries|things|items|links|results|hits|pages))?"
    r"(?: (?:is|are|was|were) (?:that|there|they|these|those|it)| (?:of them|in all|in total|altogether)| (?:did|have) you (?:find|found)| (?:are|were) there| again)*",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"(?:There (?P<are>is|are)|I found) (?P<count>(?:\d[\d,]*|no|one) (?P<kind>[a-z]+))\b")
_NOTHING_FOUND = re.compile(r"I (?:searched for .+, and )?found nothing", re.DOTALL)
_ANSWERED = re.compile(rf"There (?:is|are) [\d,a-z]+ \w+\.\Z|I do not know how many\.|I am sorry, I cannot {COMPARING}")
_KINDS = {
    "file": "files",
    "folder": "files",
    "entrie": "files",
    "entry": "files",
    "thing": "files",
    "item": "files",
    "hit": "results",
    "page": "results",
}
_MOST = re.compile(
    r"(?:(?:and|or|so),? )?(?:what about |how about |(?:which|what)(?: one| file| folder| of (?:them|these|those))?(?: is|'s) |what's )?(?:the )?"
    r"(?:biggest|largest|smallest|newest|latest|most recent|oldest|longest|shortest)(?: one| file| folder| of (?:them|these|those))?",
    re.IGNORECASE,
)
_NEXT = re.compile(
    r"(?:(?:and|now|ok|okay),? )?(?:(?:open|show me|read|go to) )?(?:the )?next (?:one|result|hit)", re.IGNORECASE
)
_CLICKED = re.compile(
    rf"(?:click|press|tap)(?: on)? (?:the )?(?P<which>{'|'.join(_ORDINALS)}|last) (?:one|link)", re.IGNORECASE
)
_LINE = re.compile(
    r"(?:(?:and|so),? )?(?:(?:what(?: is|'s| was)|read(?: me)?|show me|tell me) )?the (?P<which>first|last) line(?: again)?",
    re.IGNORECASE,
)


def sum_instead(said: str, last: Act) -> str:
    """`no, minus 2` and `I meant minus two`, said of `5 plus 3`, as `5 minus 2`; `and 20 percent?` and `I meant a third` of another share."""
    sum_before = last.guess.entities
    if last.guess.intent != "calculate":
        return ""
    if (part := _OTHER_PART.fullmatch(said)) and (whole := _PART_OF.search(last.said)):
        return f"{part['part']} of {whole['whole']}"
    if not {"first", "second"} <= sum_before.keys():
        return ""
    if sum_before["operation"] == "percent of" and (share := _OTHER_SHARE.fullmatch(said)):
        return f"{share['share']} percent of {sum_before['second']}"
    parts = [sum_before["first"], sum_before["operation"], sum_before["second"], *sum_before.get("then", [])]
    corrected = _CORRECTS.fullmatch(said)
    instead = (corrected["meant"] or corrected["instead"]) if corrected else ""
    if not _OPERATION.match(instead) or not all(operation in CHAINED for operation in parts[1::2]):
        return ""
    return " ".join([*map(str, parts[:-2]), instead])


def counted_before(text: str, turns: Sequence[planner_pb2.Turn]) -> dict[str, Any]:
    """`how many is that` of what the last reply has listed, `how many links were there` of what one before has; empty for other words."""
    asked = _COUNT.fullmatch(_bare(text))
    if asked is None:
        return {}
    kind = _one_kind(asked["kind"] or "")
    replies = [turn.text for turn in turns[-LOOKED_BACK:] if turn.role == "assistant"]
    for reply in reversed(replies if kind else replies[-1:]):
        if kind in {"", "results"} and _NOTHING_FOUND.match(reply):
            return {"count": "no results", "are": "are"}
        found = _COUNTED.match(reply)
        if found is not None and kind in {"", _one_kind(found["kind"])}:
            return {
                "count": found["count"],
                "are": found["are"] or ("is" if found["count"].startswith("one ") else "are"),
            }
    return {}


def asks_for_count(text: str) -> bool:
    """True for `how many is that`, which is answered from what was listed and is no request of its own."""
    return _COUNT.fullmatch(_bare(text)) is not None


def _bare(text: str) -> str:
    return text.strip().rstrip(".?! ")


def _one_kind(noun: str) -> str:
    stem = noun.lower().removesuffix("s")
    return _KINDS.get(stem, f"{stem}s" if stem else "")


def compares(text: str) -> bool:
    """True for `and the biggest?`, which after a listing of files asks to compare them."""
    return _MOST.fullmatch(_bare(text)) is not None


def only_refers(text: str, reply: str) -> bool:
    """True for `how many is that` and `the biggest?` with the templates' answer to it: these are no requests of their own."""
    return (asks_for_count(text) or compares(text)) and _ANSWERED.match(reply) is not None


def one_of_listed(said: str, before: Sequence[Act]) -> str:
    """`next result`, `click on the first one` and `what was the last line` as whole requests; empty for other words."""
    last = before[-1]
    if _NEXT.fullmatch(said):
        opened = next((act for act in reversed(before) if act.guess.intent in {"open_result", "web_search"}), None)
        if opened is None:
            return ""
        at = int(opened.guess.entities.get("ordinal", 0)) + 1
        return f"open the {_ORDINALS[at]} result" if 0 < at < len(_ORDINALS) else ""
    clicked = _CLICKED.fullmatch(said)
    if clicked and last.name == "page_links":
        which = clicked["which"].lower()
        return next(iter(last.listed(-1 if which == "last" else _ORDINALS.index(which))), "")
    line = _LINE.fullmatch(said)
    return f"what is the {line['which'].lower()} line of {last.its}" if line and last.name == "read_file" else ""
