"""Cleans entities: turns spoken addresses, paths and arguments into the form that executors take."""

from __future__ import annotations

import re
import shlex
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from server.embedded.intent import templates
from server.embedded.intent.file_names import (
    HOST,
    NoEntityError,
    is_file,
    moved,
    moved_plainly,
    without_its_kind,
    written,
)
from server.embedded.intent.words import without_final_period

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NAME_WORDS = 3  # in the name of a site: "new york times"

_KEPT_WHOLE = frozenset({"value", "fact", "arguments"})  # these may contain punctuation: passwords, names, text to echo
_SET_OFF_BY_QUOTES = frozenset({
    "label", "url", "site", "path", "named_file", "named_folder", "new_name", "new_file", "attribute", "place", "source", "named_source",
    "plain_source", "plain_target", "target", "searched", "named_searched", "line_file", "counted_file", "pattern_file", "measured", "measured_file",
})  # fmt: skip
_QUOTED = frozenset({'""', "''", "«»", "»«", '„"', "‚'", "‹›", "「」"})  # “” and ‘’ are straight by then
_FINAL_IN_QUOTES = ".,;:"  # American typesetters put these inside: click on "Next."
_QUESTION_MARKS = ".?,;:…"  # not "!": "search for Wham!"

_NAMED = r"(?:labelled|labeled|called|named|marked|titled|saying|reading|(?:that|which) (?:says|reads)|with the (?:text|label|name))"
# `the link called Home`, `the tab "Details"`: the label follows
_KIND_OF_LABEL = re.compile(
    rf"(?:button|link|tab|icon|menu(?: item| entry)?|item|option|checkbox|box|field)\s+(?:{_NAMED}\s+|(?=[\"']))",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"https?://\S+\Z", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?!\d)", re.IGNORECASE)
_GOES_ON = re.compile(r"\.\S*\s")  # `example.com and read it`; but `my site.com` is one name
_CALLED = re.compile(r"(?:the )?(?P<name>.+?) (?:home ?page|page|website|web site|site)\Z", re.IGNORECASE)
_NAME = re.compile(r"[a-z][a-z0-9 ]{2,}\Z")
_NO_NAME = re.compile(
    r"(?:the|a|an|my|your|his|her|our|their|this|that|it|me|him|them|up|to|in|on|page|file|window|something)\b"
)
_TOP_LEVEL = "com|org|net|edu|gov|io|dev|ai|app|co|uk|de|fr|eu|us|ca|au|nl|ch|at|it|es"
_DOMAIN_SAID = re.compile(rf"\b(?!(?:the|a|an|of|in|and)\b)([a-z0-9-]+) dot ({_TOP_LEVEL})\b", re.IGNORECASE)
_FLAG = re.compile(r"(?:(?<!\s)\s++|(?<!\S))(minus|dash|hyphen)\s++(?=\w)", re.IGNORECASE)
# To what is asked for
_POINTING = re.compile(
    r"(?:(?:for|about|up) )?(?:it|that|this|them|something|things|stuff|(?:in |on )?the (?:web|internet)|online)(?: for me)?",
    re.IGNORECASE,
)
_ABOUT_NOTHING = re.compile(
    r"(?:it|that|this|there|up|more|you|yours?|i|me|my|mine|he|she|they|we|going|wrong|happening)(?: .*)?\Z|(?:the|a|an)\Z",
    re.IGNORECASE,
)
_NO_FIRST_NAME = re.compile(
    r"(?:a|an|the|my|your|it|that|this|one|what|whatever|anything|at|by|in|on|for|from|to|up|out|over|with|after|before|until"
    r"|if|when|whenever|once|as|because|so|or|maybe|perhaps|now|soon|sooner|later|again|back|away|sometimes?|some time|any ?time"
    r"|some day|someday|today|tomorrow|tonight|next|every|never|always|instead|first|twice|please|immediately|asap|collect)(?![\w-])",
    re.IGNORECASE,
)
_FIGURE = re.compile(r"-?\d{1,12}(?:\.\d{1,6})?")

_TELLS_NOTHING = re.compile(
    r"(?:(?:of|about) )?(?:me|it|us|him|her|them|that|this|things|stuff|something)|when (?:we|you|i)\b.*", re.IGNORECASE
)

Cleaned = tuple[dict[str, Any], bool]
"""The entities, and whether they are a guess."""


def domain_words(text: str) -> str:
    """`python dot org` → python.org, if an address is meant; not in "the dot com bubble"."""
    return _DOMAIN_SAID.sub(r"\1.\2", text)


def url_of(words: str) -> str:
    """The URL of a spoken or typed address, or of a well-known site. Raises NoEntityError."""
    given = words.strip().strip("\"'<>").removesuffix(")") if "(" not in words else words.strip()
    if _SCHEME.match(given):
        return given
    if _ANY_SCHEME.match(given):
        raise NoEntityError
    name = _called(given)
    sites: dict[str, str] = templates.document()["sites"]
    if name.lower() in sites:
        return f"https://{sites[name.lower()]}"
    address = written(name)
    host = HOST.match(address.replace(" ", ""))
    if not host or is_file(name) or _GOES_ON.search(address):
        raise NoEntityError
    plain = _in_ascii(host["host"].lower())
    return f"{_scheme(plain)}://{plain}{host['rest']}"


def _called(words: str) -> str:
    """`the wikipedia home page` and `the new york times` without what is not their names."""
    called = _CALLED.match(words)
    name = called["name"] if called else words
    if name.lower().removeprefix("my ") in templates.document()["sites"]:
        return name[3:] if name.lower().startswith("my ") else name
    return name.removeprefix("the ").removeprefix("The ")


def _in_ascii(host: str) -> str:
    """The host name in ASCII: `münchen.de` is xn--mnchen-3ya.de. Raises NoEntityError for an invalid name."""
    try:
        if host.replace(".", "").isdigit():
            return str(ip_address(host))
        return host.encode("idna").decode()
    except ValueError:
        raise NoEntityError from None


def _scheme(host: str) -> str:
    """`http` for hosts without a certificate: this machine, and numeric addresses."""
    try:
        ip_address(host)
    except ValueError:
        return "http" if host == "localhost" else "https"
    return "http"


def arguments_of(words: str) -> list[str]:
    """Split the words like a shell; `minus l a` is the flag -l and an `a`."""
    text = _FLAG.sub(" -", words.strip()).strip()
    try:
        return shlex.split(text)
    except ValueError:  # an unclosed quotation mark ("don't"), or one opened by the command before it
        return text.removesuffix('"').split()


_OTHER_PLACE = re.compile(
    r"\A.+?,? (?:no|nope|not|sorry|rather|or rather|i mean|i meant),? (?:in )?(?=\w)", re.IGNORECASE
)
_PRECEDES_ADDRESS = re.compile(r"\A(?:of|at|for|called|named)\s+(?=\S)", re.IGNORECASE)
_PRECEDES_PATH = re.compile(r"\A(?:the )?(?:folder|directory) (?:named |called )?(?=\S)", re.IGNORECASE)
_PRECEDES_FILE = re.compile(
    r"\A(?:out (?:loud )?)?(?:to me )?(?:from )?(?:(?:(?:the|my) )?file (?:(?:named|called) )?)?(?=\S)", re.IGNORECASE
)


def _url(entities: dict[str, Any]) -> bool:
    entities["url"] = url_of(_PRECEDES_ADDRESS.sub("", entities["url"]))
    return False


def _site(entities: dict[str, Any]) -> bool:
    """A name whose address nobody knows. It may be a shop, a program or a place, so it is asked for. Raises NoEntityError."""
    name = entities["site"]
    if not _NAME.match(name.lower()) or _NO_NAME.match(name.lower()) or len(name.split()) > MAX_NAME_WORDS:
        raise NoEntityError
    entities["site"] = _called(name)
    return True


def _path(entities: dict[str, Any]) -> bool:
    named = _PRECEDES_PATH.sub("", str(entities["path"]))
    path = written(re.sub(r"\b(folder|directory)\Z", "", named))
    if path in {"", "here", "current", "the current", "this", "my"}:
        raise NoEntityError
    entities["path"] = path if "/" in path or "." in path else path.removeprefix("the ")
    return False


def _named_folder(entities: dict[str, Any]) -> bool:
    """A folder that was named without that word. Raises NoEntityError for a file."""
    entities["path"] = entities.pop("named_folder")
    if is_file(entities["path"]):
        raise NoEntityError
    return _path(entities)


def _named_file(entities: dict[str, Any]) -> bool:
    """A path that was named without the word "file", so it must look like one. Raises NoEntityError."""
    entities["path"] = _a_file(entities.pop("named_file"))
    return False


def _without_kind(label: str) -> str:
    found = _KIND_OF_LABEL.match(label)
    return label[found.end() :] if found else label


def _label(entities: dict[str, Any]) -> bool:
    bare = _without_kind(entities["label"])
    if bare != entities["label"]:
        entities["label"] = _as_meant("label", bare)
    return False


def _arguments(entities: dict[str, Any]) -> bool:
    entities["args"] = arguments_of(entities.pop("arguments"))
    return False


def _program(entities: dict[str, Any]) -> bool:
    """A command that is not in the language file. Safety decides whether it may run."""
    command, *args = arguments_of(entities.pop("program")) or [""]
    if not re.fullmatch(r"[a-z][\w-]{0,30}", command) or _NO_NAME.match(command):
        raise NoEntityError
    entities |= {"command": command} | ({"args": args} if args else {})
    return False


def _new_name(entities: dict[str, Any]) -> bool:
    """A single name, however many words it has."""
    entities["args"] = [written(entities.pop("new_name"))]
    return False


def _new_file(entities: dict[str, Any]) -> bool:
    """A name that was given without the word "called", so it must look like a file's. Raises NoEntityError."""
    name = written(entities.pop("new_file"))
    if not is_file(name):
        raise NoEntityError
    entities["args"] = [name]
    return False


def _source(entities: dict[str, Any]) -> bool:
    """What is moved or copied, and where to."""
    named = "named_source" in entities
    entities["args"] = moved(entities.pop("named_source" if named else "source"), entities.pop("target"), named=named)
    return False


def _plain_source(entities: dict[str, Any]) -> bool:
    """The same, of names without an ending."""
    renamed = entities.pop("renamed", "")
    entities["args"] = moved_plainly(entities.pop("plain_source"), entities.pop("plain_target"), renamed=bool(renamed))
    return False


def _a_file(words: str) -> str:
    """Raises NoEntityError for what does not look like the name of one."""
    name = written(_PRECEDES_FILE.sub("", words))
    if not is_file(name):
        raise NoEntityError
    return name


def _line_file(entities: dict[str, Any]) -> bool:
    """The first or last lines of a file."""
    entities["args"] = ["-n", str(entities.pop("line_count", 1)), _a_file(entities.pop("line_file"))]
    return False


def _counted_file(entities: dict[str, Any]) -> bool:
    entities["args"] = [entities.pop("counted"), _a_file(entities.pop("counted_file"))]
    return False


def _pattern_file(entities: dict[str, Any]) -> bool:
    name = _a_file(entities.pop("pattern_file"))
    words = _as_meant("label", entities.pop("pattern"))
    if words.startswith("-"):
        raise NoEntityError  # it would be a flag
    entities["args"] = ["-i", words, name]
    return False


def _place(entities: dict[str, Any]) -> bool:
    """The place that takes another's: `London, no Paris`. Raises NoEntityError for a day."""
    entities["place"] = _OTHER_PLACE.sub("", entities["place"])
    if entities["place"].lower() in {"today", "tomorrow", "yesterday", "tonight", "now", "then"}:
        raise NoEntityError
    return False


def _measured(entities: dict[str, Any]) -> bool:
    entities["args"] = ["-s", "-h", written(without_its_kind(entities.pop("measured")))]
    return False


def _measured_file(entities: dict[str, Any]) -> bool:
    entities["args"] = ["-s", "-h", _a_file(entities.pop("measured_file"))]
    return False


def _kind_of_file(entities: dict[str, Any]) -> bool:
    entities["args"] = [".", "-name", entities.pop("kind_of_file")]
    return False


def _searched(entities: dict[str, Any]) -> bool:
    """The name of a file to be found. Raises NoEntityError for what was not called a file, and does not look like one."""
    named = entities.pop("named_searched", "")
    if named and not is_file(written(named)):
        raise NoEntityError
    name = written(named or entities.pop("searched"))
    entities["args"] = [".", "-name", name] if is_file(name) else [".", "-iname", f"*{name}*"]
    return False


def _query(entities: dict[str, Any]) -> bool:
    entities["query"] = domain_words(entities["query"])
    return False


def _attribute(entities: dict[str, Any]) -> bool:
    """Refuse `my X` if nothing is left of the X, and `my report.pdf`, which is looked for."""
    if entities["attribute"].lower() in {"is", "are", "that", "what"} or is_file(entities["attribute"]):
        raise NoEntityError
    if entities.pop("called", "") and not entities["attribute"].lower().endswith(("name", "names")):
        entities["attribute"] += "' names" if entities["attribute"].endswith("s") else "'s name"
    return False


def _number(name: str) -> Callable[[dict[str, Any]], bool]:
    def clean_number(entities: dict[str, Any]) -> bool:
        digits = str(entities[name]).replace(",", "")
        if not _FIGURE.fullmatch(digits):
            raise NoEntityError
        entities[name] = int(number) if (number := float(digits)).is_integer() else number
        return False

    return clean_number


def _fact(entities: dict[str, Any]) -> bool:
    """Refuse `remember me`, `make a note of it` and `remember when we met`, which tell nothing."""
    if _TELLS_NOTHING.fullmatch(entities["fact"]):
        raise NoEntityError
    return False


def _value(entities: dict[str, Any]) -> bool:
    """Refuse `call me later` and `call me a taxi`, which name nobody, and what something is not."""
    if str(entities["value"]).startswith("not "):  # a title has a capital
        raise NoEntityError
    if entities.get("attribute") == "name" and _NO_FIRST_NAME.match(str(entities["value"])):
        raise NoEntityError
    return False


_CLEAN: dict[str, Callable[[dict[str, Any]], bool]] = {
    "url": _url,
    "site": _site,
    "path": _path,
    "named_file": _named_file,
    "named_folder": _named_folder,
    "label": _label,
    "arguments": _arguments,
    "program": _program,
    "new_name": _new_name,
    "new_file": _new_file,
    "source": _source,
    "named_source": _source,
    "plain_source": _plain_source,
    "line_file": _line_file,
    "counted_file": _counted_file,
    "pattern_file": _pattern_file,
    "place": _place,
    "measured": _measured,
    "measured_file": _measured_file,
    "kind_of_file": _kind_of_file,
    "searched": _searched,
    "named_searched": _searched,
    "query": _query,
    "attribute": _attribute,
    "value": _value,
    "fact": _fact,
    "first": _number("first"),
    "second": _number("second"),
}
_NO_WORDS = frozenset({"for", "that", "this", "about", "the", "my", "on", "please"})
_OPEN = ("query", "fact", "topic", "label")
_LABELS = {"label": frozenset({"about"})}  # which many links have


def _as_meant(name: str, value: str) -> str:
    """A slot's value without the sentence's final mark, and without quotes that only set off a label."""
    if name in _KEPT_WHOLE:
        return without_final_period(value)
    if name not in _SET_OFF_BY_QUOTES:
        return _without_marks(value, _QUESTION_MARKS)
    bare = _without_marks(value, _QUESTION_MARKS + "!")
    quoted = len(bare) > 1 and bare[0] + bare[-1] in _QUOTED
    return _without_marks(bare[1:-1], _FINAL_IN_QUOTES).strip() if quoted else bare


def _without_marks(text: str, marks: str) -> str:
    while text and text[-1] in marks and not text.endswith(".."):
        shorter = without_final_period(text) if text[-1] == "." else text[:-1]
        if shorter == text:
            break
        text = shorter
    return text


def clean(entities: dict[str, Any], *, guess: bool) -> Cleaned:
    """All entities in their final form. `guess`: the template fits almost anything. Raises NoEntityError."""
    cleaned = {
        name: _as_meant(name, value.strip()) if isinstance(value, str) else value for name, value in entities.items()
    }
    if any(value == "" for value in cleaned.values()):
        raise NoEntityError
    if _POINTING.fullmatch(str(cleaned.get("query", ""))):
        raise NoEntityError
    if guess and _ABOUT_NOTHING.match(str(cleaned.get("query", "something"))):
        raise NoEntityError
    if any(str(cleaned.get(name, "")).lower() in _NO_WORDS - _LABELS.get(name, frozenset()) for name in _OPEN):
        raise NoEntityError
    guessed = [_CLEAN[name](cleaned) for name in list(cleaned) if name in _CLEAN]
    return cleaned, any(guessed)
