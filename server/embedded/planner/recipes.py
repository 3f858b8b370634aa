"""The recipe of each intent: the entities it takes, and the steps they become."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.embedded.intent.normalise import UNASKED
from server.embedded.intent.several import MAX_PARTS
from server.embedded.intent.sum_trees import MAX_DEPTH
from server.embedded.normal_forms import normal
from server.embedded.planner.sums import CHAINED, NUMBERS_OF, OPERATIONS
from server.embedded.spelling import folded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SEARCH_RESULTS = 5
NOTES = 5  # remembered items about something; nobody listens to more
RECALLED = 20  # remembered items in which an attribute is looked for that has more than one name
MAX_KEY_CHARS = 128
MAX_ENTITY_CHARS = 2_000
MAX_ARGUMENTS = 64
ABOUT_USER = "about-user"
_CLAUSE = re.compile(r"(?:i|i'm|i've|we|he|she|they|it|there|my \w+ (?:is|are)) \S+ \S", re.IGNORECASE)
_SUBJECT = re.compile(r"(?:i|we) (?=\S)", re.IGNORECASE)
_NAME_OF = re.compile(r"(?P<whose>.+)(?:'s name|s' names?)\Z")
NOTE = "note"

Entities = dict[str, Any]

# Without arguments, the output of these is only readable on a screen.
_SPEAKABLE_ARGUMENTS = {"df": ["-h", "."], "du": ["-s", "-h"], "free": ["-h"], "uptime": ["-p"], "uname": ["-sr"]}
# What a command with effects does, for the question whether it may run; the object is appended.
_IN_WORDS = {
    "mkdir": "Create the folder",
    "rmdir": "Remove the folder",
    "touch": "Create the file",
    "cp": "Copy",
    "mv": "Move",
    "ln": "Link",
}
MOVES = frozenset({"mv", "cp"})
NAMED = frozenset({"mkdir", "touch"})  # commands that need a name
ABOUT_SELF = frozenset({"me", "myself", "us"})


class WrongEntityError(ValueError):
    """The request is refused as INVALID_ARGUMENT with this message."""


@dataclass(frozen=True, slots=True)
class RecipeStep:
    """One step; ids are s1, s2 … in order."""

    executor: str
    action: str
    parameters: dict[str, Any]
    description: str
    depends_on: tuple[str, ...] = ()


def _no_steps(_entities: Entities) -> list[RecipeStep]:
    """No steps: the reply is enough."""
    return []


@dataclass(frozen=True, slots=True)
class Recipe:
    """An intent's goal, its steps, and the entities that it requires."""

    goal: str
    steps: Callable[[Entities], list[RecipeStep]] = _no_steps
    needs: tuple[str, ...] = ()
    unless: str = ""  # an entity that is enough by itself

    @property
    def takes_steps(self) -> bool:
        """False if the reply is enough."""
        return self.steps is not _no_steps


# --- entities ---


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongEntityError("has to be text")
    if len(value) > MAX_ENTITY_CHARS:
        raise WrongEntityError(f"has at most {MAX_ENTITY_CHARS} characters")
    return value.strip()


def _index(value: Any) -> int:
    """The index of a result; -1 is the last one."""
    if _number(value) != int(value) or not -1 <= value < MAX_ARGUMENTS:
        raise WrongEntityError(f"has to be a whole number from 0 to {MAX_ARGUMENTS - 1}, or -1 for the last")
    return int(value)


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongEntityError("has to be a number")
    return value


def _then(value: Any) -> list[Any]:
    """The rest of a sum, as operation and number in turn: `["plus", 4]`."""
    listed = isinstance(value, list) and len(value) <= MAX_ARGUMENTS and len(value) % 2 == 0
    if not listed or not all(isinstance(part, str) and part in CHAINED for part in value[::2]):
        raise WrongEntityError(f"has to be a list of operations and numbers in turn, at most {MAX_ARGUMENTS}")
    return [part if at % 2 == 0 else _number(part) for at, part in enumerate(value)]


def _tree(value: Any, depth: int = 0) -> Any:
    """A sum as a tree: a number, "pi", or a list of an operation and its trees."""
    if value == "pi":
        return value
    if not isinstance(value, list):
        return _number(value)
    if depth > MAX_DEPTH or not 2 <= len(value) <= MAX_ARGUMENTS:
        raise WrongEntityError(f"has lists of 2 to {MAX_ARGUMENTS} entries, at most {MAX_DEPTH} deep")
    if not isinstance(value[0], str) or value[0] not in OPERATIONS:
        raise WrongEntityError("has an unknown operation")
    if len(value) != 1 + NUMBERS_OF.get(value[0], len(value) - 1):
        raise WrongEntityError(f"has too few or too many numbers for {value[0]}")
    return [value[0], *(_tree(part, depth + 1) for part in value[1:])]


def _words(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_ARGUMENTS:
        raise WrongEntityError(f"has to be a list of at most {MAX_ARGUMENTS} texts")
    return [_text(item) for item in value]


def _requests(value: Any) -> list[str]:
    """No more than the recogniser finds in a sentence: each is recognised anew, and looked at in view of the conversation."""
    if not isinstance(value, list) or len(value) > MAX_PARTS:
        raise WrongEntityError(f"has to be a list of at most {MAX_PARTS} texts")
    return _words(value)


def _any(value: Any) -> Any:
    return _text(value) if isinstance(value, str) else value


_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        (
            "query",
            "url",
            "site",
            "attribute",
            "fact",
            "in_place_of",
            "topic",
            "command",
            "path",
            "label",
            "to",
            "place",
            "day",
            "when",
            "ask",
            "end",
            "measure",
            "part",
            "aspect",
            "cannot",
            "look_up",
            "unit",
            "into",
            "more_unit",
        ),
        _text,
    ),
    "operation": _text,
    "ordinal": _index,
    "first": _number,
    "second": _number,
    "amount": _number,
    "more": _number,
    "then": _then,
    "tree": _tree,
    "args": _words,
    "requests": _requests,
    "value": _any,  # any JSON, stored unchanged
}


def read_entities(given: Mapping[str, Any]) -> Entities:
    """The entities, checked if recipes use them; one that is None is missing. Raises WrongEntityError."""
    entities: Entities = {}
    for name, value in given.items():
        if value is None and name in _READ:
            continue
        try:
            entities[name] = _READ[name](value) if name in _READ else value
        except WrongEntityError as wrong:
            raise WrongEntityError(f"entities.{name[:64]} {wrong}") from None
    return entities


def missing(intent: str, entities: Entities) -> str:
    """The first required entity that is missing; empty if there is none."""
    recipe = RECIPES.get(intent)
    if recipe is not None and recipe.unless in entities:
        return ""
    if intent == "run_command" and (
        points(entities) or (entities.get("command") in NAMED and not entities.get("args"))
    ):
        return "args"
    return next((name for name in recipe.needs if entities.get(name) in ("", None)), "") if recipe else ""


def points(entities: Entities) -> bool:
    """True if a file is moved or copied to what only the conversation tells: "move a.txt into it"."""
    to = [str(arg).lower() for arg in entities.get("args") or [] if isinstance(arg, str)]
    return entities.get("command") in MOVES and bool(to) and to[-1] in {"it", "there", "that", "this"}


def key_of(attribute: str) -> str:
    """`favourite colour` → user.favorite-color: the same key for either spelling."""
    spelled = normal("NFC", folded(attribute))
    parts = "".join(sign if unicodedata.category(sign)[0] in "LNM" or sign == "_" else " " for sign in spelled)
    name = "-".join(parts.split()).strip("-_")
    if len(name) > MAX_KEY_CHARS:
        name = f"{name[:64]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return f"user.{name}"


# --- steps ---


def _remember(entities: Entities) -> list[RecipeStep]:
    attribute = entities["attribute"]
    given = {
        "key": key_of(attribute),
        "value": entities["value"],
        "tags": [ABOUT_USER],
        "metadata": {"attribute": attribute},
    }
    return [RecipeStep("memory", "store", given, f"Remember your {attribute}")]


def key_of_note(fact: str) -> str:
    """The same for the same words, so that a corrected note takes the place of the old one."""
    words = "".join(sign if sign.isalnum() else " " for sign in folded(fact)).split()
    return f"note.{hashlib.sha256(' '.join(words).encode()).hexdigest()[:24]}"


def _remember_fact(entities: Entities) -> list[RecipeStep]:
    if entities.get(UNASKED):
        return []
    fact = entities["fact"]
    given = {"key": key_of_note(entities.get("in_place_of") or fact), "value": fact, "tags": [NOTE]}
    return [RecipeStep("memory", "store", given, "Remember a note")]


def recalled(entities: Entities) -> list[str]:
    """The attributes that it may have been told by, best first: a wife may be told by "my wife is Ada" and by "my wife's name is Ada"."""
    attribute = str(entities["attribute"])
    if entities.get("aspect"):
        return [f"{attribute}'s {entities['aspect']}", attribute]
    if entities.get("part") == "who":
        return [attribute, f"{attribute}'s name"]
    named = _NAME_OF.match(attribute)
    return [attribute, named["whose"]] if named else [attribute]


def _recall(entities: Entities) -> list[RecipeStep]:
    attribute, ways = entities["attribute"], recalled(entities)
    if len(ways) == 1:
        return [RecipeStep("memory", "retrieve", {"key": key_of(attribute)}, f"Look up your {attribute}")]
    given = {"query": min(ways, key=len), "limit": RECALLED, "tags": [ABOUT_USER]}
    return [RecipeStep("memory", "search", given, f"Look up your {attribute}")]


def _recall_notes(entities: Entities) -> list[RecipeStep]:
    """Look up notes about a topic; without one, or about the user, the newest ones."""
    topic = entities.get("topic", "")
    if topic.lower() in ABOUT_SELF:
        return [RecipeStep("memory", "search", {"query": "", "limit": NOTES}, "Look up what I know")]
    return [RecipeStep("memory", "search", {"query": topic, "limit": NOTES}, "Look up what you told me")]


def _about(topic: str) -> str:
    """A topic, or the words of a note: ` about tea`, `: I like tea`."""
    return f": {topic}" if _CLAUSE.match(topic) else f" about {_SUBJECT.sub('', topic)}"


def _forget(entities: Entities) -> list[RecipeStep]:
    """Forget an attribute by its key, or a note by searching for it. No steps if it is unclear what is meant.

    What was just noted is forgotten by its key: a search may find another note.
    """
    attribute, topic = entities.get("attribute"), entities.get("topic")
    if attribute:
        return [RecipeStep("memory", "delete", {"key": key_of(attribute)}, f"Forget your {attribute}")]
    if not topic:
        return []
    action, looked_up, key = "search", {"query": topic, "limit": 1, "tags": [NOTE]}, "${s1.results.0.key}"
    if place := entities.get("in_place_of"):
        action, looked_up, key = "retrieve", {"key": key_of_note(place)}, "${s1.key}"
    return [
        RecipeStep("memory", action, looked_up, f"Look up what you told me about {topic}"),
        RecipeStep("memory", "delete", {"key": key}, f"Forget what you told me{_about(topic)}", ("s1",)),
    ]


def _search(entities: Entities) -> list[RecipeStep]:
    query = entities["query"]
    most = max(SEARCH_RESULTS, entities.get("ordinal", 0) + 1)
    return [RecipeStep("search", "search", {"query": query, "max_results": most}, f"Search for {query}")]


def _open_result(entities: Entities) -> list[RecipeStep]:
    """Search and open a result. The query was spoken or is from the conversation; without one, there is nothing to open."""
    if not entities.get("query"):
        return []
    url = f"${{s1.results.{entities.get('ordinal', 0)}.url}}"
    return [*_search(entities), RecipeStep("browser", "navigate", {"url": url}, "Open the result", ("s1",))]


def _navigate(entities: Entities) -> list[RecipeStep]:
    return [RecipeStep("browser", "navigate", {"url": entities["url"]}, "Open the page")]


def _screenshot(entities: Entities) -> list[RecipeStep]:
    if not entities.get("url"):
        return [_browser("screenshot", "Take a picture of the page")]
    return [*_navigate(entities), _browser("screenshot", "Take a picture of the page", depends_on=("s1",))]


def _browser(action: str, words: str, depends_on: tuple[str, ...] = (), **parameters: Any) -> RecipeStep:
    return RecipeStep("browser", action, parameters, words, depends_on)


def _scroll(entities: Entities) -> list[RecipeStep]:
    return [_browser("scroll", "Scroll the page", to=entities.get("to", "down"))]


def _list_files(entities: Entities) -> list[RecipeStep]:
    path = entities.get("path", "")
    return [RecipeStep("os", "ls", {"args": [path] if path else []}, "List files")]


def _run(entities: Entities) -> list[RecipeStep]:
    command = entities["command"]
    args = entities.get("args", _SPEAKABLE_ARGUMENTS.get(command, []))
    return [RecipeStep("os", command, {"args": list(args)}, _IN_WORDS.get(command, f"Run {command}"))]


def _read_file(entities: Entities) -> list[RecipeStep]:
    return [RecipeStep("os", "cat", {"args": [entities["path"]]}, f"Read {entities['path']}")]


RECIPES: dict[str, Recipe] = {
    "get_time": Recipe("Tell the time"),
    "get_date": Recipe("Tell the date"),
    "web_search": Recipe("Search the web", _search, ("query",)),
    "open_result": Recipe("Open a search result", _open_result),
    "open_page": Recipe("Open a page", _navigate, ("url",)),
    "read_page": Recipe("Read the page", lambda _e: [_browser("extract_text", "Read the page")]),
    "screenshot": Recipe("Take a screenshot", _screenshot),
    "click": Recipe("Click on the page", lambda e: [_browser("click", "Click", text=e["label"])], ("label",)),
    "scroll": Recipe("Scroll the page", _scroll),
    "page_links": Recipe("Tell the page's links", lambda _e: [_browser("links", "List the page's links")]),
    "go_back": Recipe("Go back", lambda _e: [_browser("back", "Go back")]),
    "list_files": Recipe("List files", _list_files),
    "read_file": Recipe("Read a file", _read_file, ("path",)),
    "run_command": Recipe("Run a command", _run, ("command",)),
    "remember": Recipe("Remember something about you", _remember, ("attribute", "value")),
    "remember_fact": Recipe("Remember a note", _remember_fact, ("fact",)),
    "recall": Recipe("Recall something about you", _recall, ("attribute",)),
    "recall_notes": Recipe("Recall what you told me", _recall_notes),
    "forget": Recipe("Forget something about you", _forget),
    "calculate": Recipe("Work out a sum", needs=("first", "second", "operation"), unless="tree"),
    "convert": Recipe("Convert units", needs=("amount", "unit", "into")),
    "undo": Recipe("Undo what was done"),
    "repeat": Recipe("Say it again"),
    "stop": Recipe("Stop"),
    "help": Recipe("Tell what can be asked"),
    "greeting": Recipe("Greet"),
    "thanks": Recipe("Answer thanks"),
    "goodbye": Recipe("Say goodbye"),
}
ANSWER = Recipe("Answer")
