"""From an intent and its steps' outcomes to the text of the reply, by server/embedded/planner/replies.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import yaml

from server.embedded.intent.beyond import INSTEAD
from server.embedded.intent.normalise import UNASKED
from server.embedded.planner.conversions import told_conversion
from server.embedded.planner.dates import spoken_clock, spoken_date, told_day, told_time
from server.embedded.planner.places import SEVERAL_ZONES, zone_of
from server.embedded.planner.recipes import RECIPES, key_of, missing, read_entities, recalled
from server.embedded.planner.results import READERS, Facts, are_of, dialog_of, entries, forgotten_note, found, title_of
from server.embedded.planner.spoken_values import as_told, counted, speakable, spoken_value
from server.embedded.planner.sums import told_sum

if TYPE_CHECKING:
    from datetime import datetime

REPLIES_FILE = Path(__file__).with_name("replies.yaml")
MAX_REASON_CHARS = 160
MAX_ENTITY_CHARS = 160  # repeated to the user
MAX_REPEATED_CHARS = 2_000

# An outcome has only text, no code. These are the ways in which services say that a key does not exist.
_NO_SUCH_KEY = re.compile(r"no such (key|thing|item)|not found|does not exist|unknown key", re.IGNORECASE)
_NO_SUCH_FILE = re.compile(r"no such file", re.IGNORECASE)
# As coreutils say it, for example that mkdir cannot create a directory ‘demo’.
_OF_A_PATH = re.compile(
    r"(?P<command>\w+): (?:[a-z ]+ ['‘])?(?P<path>[^'‘’:]+)['’]?(?: for reading)?: (?P<why>File exists|No such file or directory|Directory not empty)",
    re.IGNORECASE,
)
_WHY = {
    "file exists": "exists_already",
    "no such file or directory": "no_such_path",
    "directory not empty": "not_empty",
}
_UNANSWERED = re.compile(r"nobody answered|no answer", re.IGNORECASE)
# When nothing in the conversation says what is meant.
_UNCLEAR = {"open_result": "open_result_nothing", "forget": "forget_what"}
_DAYS = {"tomorrow": 1, "yesterday": -1}


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """One step's outcome. `status`: ok, failed, denied, declined, cancelled, timeout, skipped, or unknown if there is none."""

    status: str
    result: dict[str, Any]
    message: str = ""


class _Blank(dict[str, Any]):
    """Facts for a template; "that" stands for a missing one."""

    def __missing__(self, _key: str) -> str:
        return "that"


@cache
def templates() -> dict[str, str]:
    """All replies by their names, with {slots}."""
    loaded: dict[str, str] = yaml.safe_load(REPLIES_FILE.read_text(encoding="utf-8"))
    return loaded


def _other_date(facts: Facts, now: datetime) -> str:
    """The template for a day next to today, or for a part of the date; empty for today."""
    if facts.get("when"):
        return told_day(facts, now)
    if facts.get("place"):
        zone = zone_of(facts["place"])
        if zone in {"", SEVERAL_ZONES}:
            return "get_time_several" if zone else "get_time_nowhere"
        facts["date"] = spoken_date(now.astimezone(ZoneInfo(zone)).date(), now.date())
        return "get_date_place"
    asked = facts.get("day") or facts.get("part") or ""
    if asked in _DAYS:
        facts["date"] = spoken_date(now.date() + timedelta(days=_DAYS[asked]), now.date())
    return f"get_date_{asked}" if f"get_date_{asked}" in templates() else ""


def paths_of(entities: dict[str, Any]) -> list[str]:
    """The arguments of a command without its options."""
    args = entities.get("args")
    return [str(arg) for arg in args if not str(arg).startswith("-")] if isinstance(args, list) else []


def facts_of(entities: dict[str, Any]) -> Facts:
    """What a reply repeats of the request."""
    facts: Facts = {name: as_told(spoken_value(value), MAX_ENTITY_CHARS) for name, value in entities.items()}
    if "text" in entities:
        facts["text"] = as_told(spoken_value(entities["text"]), MAX_REPEATED_CHARS)
    if paths := paths_of(entities):
        facts |= {
            "paths": as_told(spoken_value(paths), MAX_ENTITY_CHARS),
            "path_count": len(paths),
            "source": as_told(paths[0], MAX_ENTITY_CHARS),
            "target": as_told(paths[-1], MAX_ENTITY_CHARS),
        }
    if isinstance(entities.get("attribute"), str):
        facts["are"] = are_of(entities["attribute"])
    return facts


def _facts(entities: dict[str, Any], now: datetime) -> Facts:
    return facts_of(entities) | {
        "time": spoken_clock(now),
        "date": spoken_date(now.date(), now.date()),
        "month": f"{now:%B}",
        "year": str(now.year),
        "week": str(now.isocalendar().week),
    }


def _reason(outcome: StepOutcome) -> str:
    stderr = outcome.result.get("stderr")
    told = outcome.message or (stderr if isinstance(stderr, str) else "")
    return speakable(told, MAX_REASON_CHARS).rstrip(".") or "something went wrong"


def _failure(intent: str, outcomes: list[StepOutcome], facts: Facts) -> str:
    """The template for the first step that failed, or for a command that has done nothing; empty if there is neither."""
    bad = next((outcome for outcome in outcomes if outcome.status != "ok"), None)
    facts["reason"] = _reason(bad or outcomes[-1])
    if intent == "run_command" and (of_a_path := _OF_A_PATH.fullmatch(facts["reason"])):  # or it has done nothing
        path = of_a_path["path"]
        why = _WHY[of_a_path["why"].lower()]
        within = why == "no_such_path" and of_a_path["command"] in {"mkdir", "touch"} and "/" in path
        facts["path"] = path.rpartition("/")[0] if within else path
        return why
    if bad is None:
        return ""
    if intent == "forget" and bad.status == "skipped" and outcomes[0].status == "ok":
        return "forget_note_nothing"
    if intent in {"recall", "forget"} and bad.status == "failed" and _NO_SUCH_KEY.search(bad.message):
        return "forget_note_nothing" if intent == "forget" and "attribute" not in facts else f"{intent}_nothing"
    if intent == "open_result" and outcomes[0].status == "ok":
        return _result_not_opened(bad, outcomes[0].result, facts)
    if intent in {"list_files", "read_file"} and facts.get("path") and _NO_SUCH_FILE.search(facts["reason"]):
        return "no_such_path"
    if bad.status == "unknown":
        return "unfinished"
    if bad.status == "declined" and _UNANSWERED.search(bad.message):
        return "declined_unanswered"
    return bad.status if bad.status in {"denied", "declined", "cancelled", "timeout", "skipped"} else "failed"


def _result_not_opened(bad: StepOutcome, searched: dict[str, Any], facts: Facts) -> str:
    """The search succeeded, but opening a result failed."""
    results = entries(searched, "results")
    if not results:
        return found(facts, searched)
    if bad.status == "skipped":
        facts["count"] = counted(len(results), "result")
        return "open_result_missing"
    wanted = facts.get("ordinal", "0")
    index = int(wanted) if wanted.lstrip("-").isdecimal() else 0
    facts["found"] = title_of(results[index if -len(results) <= index < len(results) else 0])
    named = f"open_result_{bad.status}"
    return named if named in templates() else "open_result_failed"


def _without_steps(intent: str, entities: dict[str, Any], facts: Facts, now: datetime) -> str:
    """The template of an intent without steps, or of one that lacks an entity."""
    lacking = missing(intent, entities)
    if lacking == "second" and entities.get("operation") == "percent of":
        return "ask_second_percent"
    if lacking == "url" and facts.get("site"):
        return "ask_url_site"
    if lacking == "args":
        return f"ask_args_{facts['command']}"
    if lacking:
        return f"ask_{lacking}"
    if intent == "yes" and entities.get("mood"):
        return "yes_fine"
    if intent == "explain" and entities.get("about"):
        known = f"why_{entities['about']}"
        return known if known in templates() else "why"
    if intent == "explain" and entities.get("said"):
        facts["said"] = as_told(spoken_value(entities["said"]), MAX_REPEATED_CHARS)
        return "explain_said"
    if intent == "count" and not facts.get("count"):
        return "count_unknown"
    if intent == "undo" and entities.get("asked"):
        return "undo_never"
    if intent == "remember_fact" and entities.get(UNASKED):
        return "remember_fact_unasked"
    if intent == "repeat":
        who = "_user" if entities.get("who") == "user" else ""
        return f"repeat{who}" if entities.get("text") else f"repeat{who}_nothing"
    if intent == "get_time" and facts.get("when"):
        return told_time(facts, now)
    if intent == "get_time" and facts.get("place"):
        zone = zone_of(facts["place"])
        if zone == SEVERAL_ZONES:
            return "get_time_several"
        facts["time"] = spoken_clock(now.astimezone(ZoneInfo(zone))) if zone else ""
        return "get_time_place" if zone else "get_time_nowhere"
    if intent in {"who_are_you", "thanks", "how_are_you"} and facts.get("part"):
        known = f"{intent}_{facts['part']}"
        return known if known in templates() else ""
    if intent == "get_date":
        return _other_date(facts, now)
    if intent == "calculate":
        return told_sum(facts, entities)
    if intent == "convert":
        return told_conversion(facts, entities)
    if intent == "unknown" and facts.get("cannot"):
        facts["instead"] = INSTEAD.get(str(entities["cannot"]), "")
        return "unknown_cannot_but" if facts["instead"] and not entities.get("again") else "unknown_cannot"
    if intent == "unknown" and facts.get("suggested"):
        return "unknown_suggested"
    if intent == "unknown" and facts.get("heard"):
        return "unknown_again" if entities.get("again") else "unknown_heard"
    if intent in _UNCLEAR:
        return _UNCLEAR[intent]
    return "unfinished" if intent in RECIPES and RECIPES[intent].takes_steps else ""


def _result(intent: str, entities: dict[str, Any], outcomes: list[StepOutcome], facts: Facts) -> dict[str, Any]:
    """The result that the reply tells. What is recalled may have been told by another name: "my wife is Ada"."""
    told = outcomes[-1].result
    if intent != "recall" or "results" not in told:
        return told
    items = {item.get("key"): item for item in entries(told, "results")}
    attribute = next((attribute for attribute in recalled(entities) if key_of(attribute) in items), "")
    if not attribute:
        return {}
    facts |= {"attribute": as_told(attribute, MAX_ENTITY_CHARS), "are": are_of(attribute)}
    return items[key_of(attribute)]


def reply(intent: str, entities: dict[str, Any], outcomes: list[StepOutcome], now: datetime) -> str:
    """The text of the reply. `outcomes`: one per step, in the plan's order. Raises WrongEntityError."""
    entities = read_entities(entities)
    facts = _facts(entities, now)
    if not outcomes:
        name = _without_steps(intent, entities, facts, now)
    else:
        name = _failure(intent, outcomes, facts)
        if not name and intent == "forget" and len(outcomes) > 1:
            name = forgotten_note(facts, outcomes[0].result)
        elif not name and intent in READERS:
            name = READERS[intent](facts, _result(intent, entities, outcomes, facts))
    known = name or (intent if intent in templates() else "done" if outcomes else "unknown")
    told = templates()[known].format_map(_Blank(facts))
    besides = _besides(outcomes)
    return " ".join([told if told.endswith((".", "?", "!")) else f"{told}.", *besides]) if besides else told


def _besides(outcomes: list[StepOutcome]) -> list[str]:
    """What is to be said behind it. The last words are ours: a page's question is none of the agent's, which a yes would answer."""
    dialogs = (dialog_of(outcome.result) for outcome in outcomes)
    said = [templates()[name].format(text=text) for name, text in dialogs if name]
    return [*([templates()["output_cut"]] if outcomes and _is_cut(outcomes[-1]) else []), *said]


def _is_cut(outcome: StepOutcome) -> bool:
    """True if a command has told more than is known of it: what is counted in it are not all."""
    return outcome.status == "ok" and outcome.result.get("truncated") is True and "stdout" in outcome.result
