"""What the user asked for before, each request in full with its slots, and what became of it. Pure.

`undo that`, `open it`, `why?` and `and in Paris?` are about the last of these acts. What is known of an intent for that stands in the
tables here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from server.embedded.intent.file_names import is_file
from server.embedded.intent.recognition import IntentCandidate, recognise
from server.embedded.planner.replies import facts_of, paths_of, templates
from server.embedded.planner.results import are_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# By the act's name, its slots filled in: the request that undoes it.
_UNDONE = {
    "mkdir": "remove the empty folder {args[0]}",
    "rmdir": "create a folder called {args[0]}",
    "mv": "move the file {args[1]} to {args[0]}",
    "touch": "delete the file {args[0]}",
    "cp": "delete the file {args[1]}",
    "open_page": "go back",
    "open_result": "go back",
    "click": "go back",
    "scroll": "scroll {opposite}",
}
_OF_TWO_PATHS = frozenset({"mv", "cp"})
# What is said when it was done, by the act's name. What cannot be undone is here too: what was done before it is not the last.
_DONE = {
    "mkdir": ("run_mkdir", "run_mkdir_several", "run_mkdir_there"),
    "rmdir": ("run_rmdir", "run_rmdir_several"),
    "mv": ("run_mv",),
    "touch": ("run_touch", "run_touch_several"),
    "cp": ("run_cp",),
    "remember": ("remember", "remember_instead", "remember_changed"),
    "remember_fact": ("remember_fact", "remember_fact_among", "remember_fact_instead", "remember_fact_changed"),
    "open_page": ("open_page", "open_page_error"),
    "open_result": ("open_result", "open_page_error"),
    "click": ("click",),
    "scroll": ("scroll", "scroll_edge"),
    "forget": ("forget", "forget_note", "forget_note_part"),
    "go_back": ("go_back",),
}
# What is said when nothing was done for it.
_NOTHING = (
    "exists_already",
    "not_empty",
    "no_such_path",
    "declined",
    "declined_unanswered",
    "denied",
    "remember_known",
    "remember_fact_known",
    "forget_nothing",
    "forget_note_nothing",
)
# Only the reply says what memory had before. Beside requests of others, whose replies may hold the words of a page or a file, it is not known
# whose words these are.
_OF_MEMORY = frozenset({"remember", "remember_fact", "forget"})
_IN_OWN_WORDS = _OF_MEMORY | {"mkdir", "rmdir", "mv", "touch", "cp"}
_OPPOSITE = {"down": "up", "up": "down", "top": "bottom", "bottom": "top"}
# What "it" and "that" are, and what "there" and "then" are.
_ITS = {
    "mkdir": "the folder {args[0]}",
    "touch": "the file {args[0]}",
    "cp": "{kind} {args[1]}",
    "mv": "{kind} {args[1]}",
    "read_file": "the file {path}",
    "list_files": "the folder {path}",
    "open_page": "{url}",
    "web_search": "{query}",
    "remember": "my {attribute}",
    "recall": "my {attribute}",
    "get_date": "{day}",
}
_PLACES = {
    "get_time": "in {place}",
    "get_date": "in {place}",
    "list_files": "in the folder {path}",
    "mkdir": "in the folder {args[0]}",
    "mv": "in {kind} {args[1]}",
    "cp": "in {kind} {args[1]}",
}
OF_FILES = frozenset({"mkdir", "touch", "cp", "mv", "read_file", "list_files"})
_LISTING = re.compile(r"There (?:is|are) \d+ .+?: (?P<names>.+)\.\Z", re.DOTALL)
_MORE = re.compile(r" and \d+ more\Z")
# One of what was listed, by the act's name.
_LISTED = {"list_files": ("read the file {}", "open the folder {}"), "page_links": ("click on {}",)}
_USED = frozenset({"read_file", "list_files", "click"})
# What the agent remembers, as the user would tell it: "no, green" corrects that.
_TOLD = {
    "recall": (re.compile(r"Your (?P<what>.+)\.\Z"), "remember that my {}"),
    "recall_notes": (re.compile(r"You said: (?P<what>[^.]+)\.\Z"), "remember that {}"),
}
# Replies to what was not done, and what they say in between.
_NOT_DONE = (
    "unknown_cannot_but",
    "unknown_cannot",
    "denied",
    "declined",
    "declined_unanswered",
    "failed",
    "timeout",
    "cancelled",
    "skipped",
    "unfinished",
    "forget_nothing",
    "recall_nothing",
    "no_such_path",
    "exists_already",
    "not_empty",
)
_FIELD = re.compile(r"\\{(\w+)\\}")


@dataclass(frozen=True, slots=True)
class Act:
    """`said`: a request that stands by itself, one of so many `requests` in a sentence.

    `reply`: what the agent answered to the whole sentence, empty if nothing yet. `beside_others_words`: with words of a page, perhaps.
    `told_in_place`: it begins or ends with the answer to this first or last request, that it was done.
    """

    said: str
    guess: IntentCandidate
    reply: str = ""
    requests: int = 1
    beside_others_words: bool = False
    told_in_place: bool = False

    @property
    def name(self) -> str:
        """The intent, or the command that it runs."""
        intent = self.guess.intent
        return str(self.guess.entities.get("command", intent)) if intent == "run_command" else intent

    @property
    def done(self) -> bool:
        """True if it was answered, and neither refused nor failed."""
        return bool(self.reply) and not outcome_of(self.reply)[0] and not self.reply.endswith("?")

    @property
    def undone(self) -> str:
        """The request that undoes it; empty if none does. What was moved to a folder may be in it now, if there was one.

        Of several paths, a command may have made some, and does not say which; `touch -c` has made none.
        """
        if self.name in _OF_MEMORY:
            return self.given_back[0] if self.given_back else ""
        moved_into = self.name == "mv" and not all(map(is_file, paths_of(self.guess.entities)))
        made_none = self.name == "touch" and "-c" in self.guess.entities.get("args", [])
        done = self.done if self.requests == 1 else self.told_done and not self._may_have_failed
        return "" if moved_into or made_none or self._of_many or not done else self._filled(_UNDONE)

    @property
    def given_back(self) -> tuple[str, IntentCandidate] | None:
        """The request that gives back to memory what it had before, and what that means: the words that were there, as they were."""
        told, found = self._told_of_memory
        attribute, place = self.guess.entities.get("attribute"), {"in_place_of": self.place_of_note}
        match told:
            case "remember":
                return f"forget my {attribute}", IntentCandidate("forget", 1.0, {"attribute": attribute})
            case "remember_instead":
                was = {"attribute": attribute, "value": found["before"]}
                words = f"remember that my {attribute} {are_of(str(attribute))} {found['before']}"
                return words, IntentCandidate("remember", 1.0, was)
            case "remember_fact" | "remember_fact_among":
                fact = self.guess.entities["fact"]
                return f"forget about {fact}", IntentCandidate("forget", 1.0, {"topic": fact, **place})
            case "remember_fact_instead":
                words = f"remember that {found['before']}"
                return words, IntentCandidate("remember_fact", 1.0, {"fact": found["before"], **place})
            case "forget_note":
                return f"remember that {found['note']}", IntentCandidate("remember_fact", 1.0, {"fact": found["note"]})
        return None

    @property
    def place_of_note(self) -> str:
        """The words by which a note is kept: its own, or those of the first one that it corrects."""
        kept = self.guess.entities
        return str(kept.get("in_place_of") or kept.get("fact", ""))

    @property
    def may_change(self) -> bool:
        """True if it is a request to change something."""
        return self.name in _DONE

    @property
    def told_done(self) -> bool:
        """True if the reply says that this has been done, among what it says to the other requests of the sentence."""
        return self._is_told(_DONE.get(self.name, ()))

    @property
    def told_nothing(self) -> bool:
        """True if the reply says that nothing has been done. A command may have made some of several paths before it failed."""
        return self._is_told(_NOTHING) and not self._of_many

    @property
    def told(self) -> str:
        """The request, or if it asked for what is remembered, the one that tells it."""
        form, request = _TOLD.get(self.name, (None, ""))
        found = form.match(self.reply) if form is not None else None
        return request.format(found["what"]) if found else self.said

    @property
    def its(self) -> str:
        """What "it" is after the act."""
        return self._filled(_ITS)

    @property
    def place(self) -> str:
        """What "there" is after the act."""
        return self._filled(_PLACES)

    def listed(self, ordinal: int) -> tuple[str, ...]:
        """The requests for one of what was listed, as "open the second one" may mean it.

        A page names its links, and others name files: a name that is a request of its own, or several, stands for nothing.
        """
        found = _LISTING.match(self.reply)
        names = re.split(r", | and ", _MORE.sub("", found["names"])) if found else []
        if self.name not in _LISTED or not -len(names) <= ordinal < len(names):
            return ()
        requests = (form.format(names[ordinal]) for form in _LISTED[self.name])
        return tuple(request for request in requests if recognise(request)[0].intent in _USED)

    def placed(self, together: Sequence[Act]) -> Act:
        """The same among all requests of its sentence."""
        begin = r"\A" if self is together[0] else r"(?:\A|\s)"
        end = r"\Z" if self is together[-1] and self is not together[0] else r"(?:\s|\Z)"
        at_one_end = self is together[0] or self is together[-1]
        beside = any(act.name not in _IN_OWN_WORDS for act in together)
        in_place = at_one_end and self._is_told(_DONE.get(self.name, ()), begin, end)
        return replace(self, beside_others_words=beside, told_in_place=in_place)

    @property
    def _may_have_failed(self) -> bool:
        """True if something failed beside the words of a page or a file: these may say that it was done."""
        return self.beside_others_words and not self.told_in_place and self._is_told((*_NOTHING, *_NOT_DONE))

    @property
    def _of_many(self) -> bool:
        return len(paths_of(self.guess.entities)) > (2 if self.name in _OF_TWO_PATHS else 1)

    def _is_told(self, names: Iterable[str], begin: str = r"(?:\A|\s)", end: str = r"(?:\s|\Z)") -> bool:
        """True if one of these replies, about what this request names, is in the reply."""
        return any(re.search(begin + self._form(name, ".+?") + end, self.reply) for name in names)

    @property
    def _told_of_memory(self) -> tuple[str, dict[str, str]]:
        """The reply that says what became of it, and what it tells; empty if that is unclear, as the user may not have heard all of it.

        Among the replies to other requests, nothing is known to end where a sentence within it does.
        """
        unknown, around = (".+", "{}") if self.requests == 1 else (r"(?:(?![.?!]\s).)+", r"(?:.*\s)?{}(?:\s.*)?")
        names = () if self.name not in _OF_MEMORY or self.beside_others_words else _DONE[self.name]
        for name in names:
            if self.requests > 1 and name == "remember_fact":
                continue  # among several, the note is named
            if found := re.fullmatch(around.format(self._form(name, unknown)), self.reply):
                return name, found.groupdict()
        return "", {}

    def _form(self, name: str, unknown: str) -> str:
        """The pattern of a reply about what this request names. What it does not name is `unknown`."""
        facts = facts_of(self.guess.entities)
        facts.setdefault("path", facts.get("target", ""))

        def slot(found: re.Match[str]) -> str:
            return re.escape(str(facts[found[1]])) if facts.get(found[1]) else f"(?P<{found[1]}>{unknown})"

        return _FIELD.sub(slot, re.escape(templates()[name]))

    def _filled(self, forms: dict[str, str]) -> str:
        paths = paths_of(self.guess.entities)
        slots: dict[str, Any] = dict(self.guess.entities) | ({"args": paths} if paths else {})
        slots["opposite"] = _OPPOSITE.get(str(slots.get("to", "down")), "up")
        slots["kind"] = "the file" if is_file((paths or [""])[-1]) else "the folder"
        try:
            return forms.get(self.name, "").format_map(slots)
        except LookupError:
            return ""


def to_undo(before: Sequence[Act]) -> Act | None:
    """What "undo that" is about; None if nothing was done. Of several requests in a sentence, the last one that has done something."""
    together = before[-before[-1].requests :] if before else ()
    changing = [act for act in reversed(together) if act.may_change] or together[-1:]
    done = next((act for act in changing if act.told_done), None)
    about = done or next((act for act in changing if not act.told_nothing), None)
    return about.placed(together) if about is not None else None


@cache
def _outcomes() -> tuple[tuple[str, re.Pattern[str]], ...]:
    forms = ((name, re.escape(templates()[name])) for name in _NOT_DONE)
    return tuple((name, re.compile(_FIELD.sub(r"(?P<\1>.+)", form) + r"\Z", re.DOTALL)) for name, form in forms)


def outcome_of(reply: str) -> tuple[str, dict[str, str]]:
    """The name of a reply to what was not done, and what it says; empty for other replies."""
    for name, form in _outcomes():
        if found := form.match(reply.strip()):
            return name, found.groupdict()
    return "", {}
