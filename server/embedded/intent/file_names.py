"""Names of files and folders: what looks like one, as said or typed, and what is moved or copied where. Pure."""

from __future__ import annotations

import re

MAX_NEW_NAME_WORDS = 3  # of a name without an ending: "budget 2026"

_SIGNS = {"dot": ".", "slash": "/", "dash": "-", "hyphen": "-", "minus": "-", "underscore": "_", "colon": ":"}
# Spaces are taken from their first on, or not at all: thousands of them would else be tried from each on.
_SPOKEN_SIGN = re.compile(rf"(?:(?<!\s)\s++|(?<!\S))({'|'.join(_SIGNS)})(?!\S)\s*+", re.IGNORECASE)
# a name with one of these endings is a file name, even if it looks like an address
_FILE_ENDINGS = (
    "bak|bmp|c|cfg|conf|cpp|css|csv|doc|docx|env|flac|gif|gz|h|htm|html|ini|ipynb|jpeg|jpg|js|json|jsonl|lock|log|m4a|md|mp3"
    "|mp4|odt|ogg|pdf|png|ppt|pptx|py|rst|rtf|sh|sql|sqlite3|svg|tar|tex|toml|ts|tsv|txt|wav|webm|xls|xlsx|xml|yaml|yml|zip"
)
_FILE = re.compile(rf"[^/?#]*(?:/[^?#]*)?\.(?:{_FILE_ENDINGS})\Z", re.IGNORECASE)
HOST = re.compile(
    r"(?P<host>(?:[^\W_]|-)+(?:\.(?:[^\W_]|-)+)*\.(?:[^\W\d_]{2,24}|xn--[a-z0-9-]+|\d{1,3})|localhost)"
    r"(?P<rest>(?::\d{1,5})?(?:[/?#]\S*)?)\Z",
    re.IGNORECASE,
)
# What plain English moves, copies and renames, and where to: "copy that to memory", "move on to the next", "move lunch to Friday".
_NO_SOURCE = re.compile(
    r"(?:it|its|that|this|these|those|them|they|me|us|you|him|her|he|she|i|we|one|some|something|anything|everything|nothing|all|both|things?|stuff|everyone"
    r"|everybody|people|on|over|in|out|up|down|back|forwards?|backwards?|away|along|ahead|closer|nearer|further|around|across|aside|off|from|to|into|straight"
    r"|right|left|now|then|here|there|and|or|of|for|with|your|our|his|their|money|house|home|lunch|dinner|breakfast|appointment|meeting|call"
    r"|the|an|a(?= )|my(?= ))\b",
    re.IGNORECASE,
)
_NO_TARGET = re.compile(
    r"(?:that|this|these|those|them|me|us|you|him|her|us|something|anything|everything|nothing|here|the|an|a(?= )|my|your|our|his|their|left|right|top|bottom|end"
    r"|front|back|side|middle|cent(?:re|er)|next|last|first|clipboard|memory|mind|trash|bin|email|mail|text|hand|heart|sleep|now|later|then|today|tonight|tomorrow"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august|september|october|november|december|noon|midnight|savings"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,2}(?::\d\d)? ?(?:[ap]m)?\Z)\b",
    re.IGNORECASE,
)
_PLAIN_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?", re.ASCII)


class NoEntityError(Exception):
    """The words do not suit the slot, so the template does not fit."""


def written(words: str) -> str:
    """`docs slash a dot txt` → docs/a.txt."""
    return _SPOKEN_SIGN.sub(lambda found: _SIGNS[found[1].lower()], words.strip())


def is_file(name: str) -> bool:
    """True for file names, such as `notes.txt` and `my docs/plan.md`, but not `example.com/plan.md`."""
    first = name.split("/", 1)[0]
    return bool(_FILE.match(name)) and ("/" not in name or not HOST.match(first))


def moved(source: str, target: str, *, named: bool) -> list[str]:
    """What is moved or copied, and where to. `named`: the source was not called a file. Raises NoEntityError for what is none."""
    if named and not is_file(written(source)):
        raise NoEntityError  # `move on to the next`
    return [written(source), written(without_its_kind(target))]


def moved_plainly(source: str, target: str, *, renamed: bool) -> list[str]:
    """The same, of names without an ending. Raises NoEntityError for what is more likely plain English."""
    names = written(source), written(without_its_kind(target))
    into_folder = names[1] != written(target)
    if _NO_SOURCE.match(names[0]) or (not into_folder and _NO_TARGET.match(names[1])):
        raise NoEntityError
    most = MAX_NEW_NAME_WORDS if renamed else 1
    if any(not _PLAIN_NAME.fullmatch(word) for name in names for word in name.split()):
        raise NoEntityError
    if any(not 0 < len(name.split()) <= most for name in (names if not into_folder else names[:1])):
        raise NoEntityError
    return list(names)


def without_its_kind(folder: str) -> str:
    """`the archive folder` is archive."""
    return re.sub(r"(?<=\S) (?:folder|directory)\Z", "", re.sub(r"\Athe (?=.+ (?:folder|directory)\Z)", "", folder))
