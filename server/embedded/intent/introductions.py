"""How people tell their name: `I'm Tom`, `Tom here`, `hi, this is Tom`. Not `I'm tired`, `I'm German`, `I'm in Berlin`. Pure.

A capital alone is no proof: a people, a faith and a party have one too, and so has each sentence's first word. Where only the case would tell,
a name has to be a common one.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import yaml

from server.embedded.intent.mending import vocabulary

NAMES_FILE = Path(__file__).with_name("given_names.yaml")

_GREETING = r"(?:[Hh](?:i|ello|ey)(?: there| Jarvis)?[,.!]? )"
_NAME = r"(?P<name>[A-Za-z][\w'-]*(?: [A-Z][\w'-]+)?)"
_ASIDE = r"(?:,? (?:by the way|btw|actually|nice to meet you|pleased to meet you))?[.!]*"
_I_AM = re.compile(
    rf"{_GREETING}?(?:(?:[Bb]y the way|[Ww]ell|[Ss]o|[Aa]ctually),? )?(?:[Ii]'m|[Ii] am|[Ii]m) {_NAME}{_ASIDE}"
)
_GREETED = re.compile(rf"{_GREETING}(?:[Tt]his is|[Ii]t's|[Ii]t is) {_NAME}{_ASIDE}")
_HERE = re.compile(rf"{_GREETING}?(?:(?:[Tt]his is|[Ii]t's|[Ii]t is) )?{_NAME} (?:here|speaking){_ASIDE}")
_ITS_ME = re.compile(rf"{_GREETING}?(?:[Ii]t's|[Ii]t is) me,? {_NAME}{_ASIDE}")
_THE_NAME = re.compile(rf"{_GREETING}?(?:[Tt]he )?[Nn]ame(?:'s| is) {_NAME}{_ASIDE}")
_FORMS = (_I_AM, _GREETED, _ITS_ME, _THE_NAME)
# What has a capital and is no name.
_OF_A_KIND = re.compile(
    r"(?:\w+(?:ing|ed|ful|less|able|ous|ese|ish|ean|ian|ican|iard|ist|aqi|eli|stani)|german|greek|dutch|french|thai|turk|swiss|czech|arab|dane|swede|pole|scot|welsh|afghan|african|roman|texan"
    r"|\w+(?:lander|liner|doner|yorker|dutchman|frenchman|englishman|irishman)|catholic|muslim|hindu|sikh|protestant|orthodox|mormon|democrat|conservative|liberal|labour"
    r"|green|aries|taurus|gemini|cancer|virgo|libra|scorpio|sagittarius|capricorn|aquarius|pisces"
    r"|jarvis|computer|siri|alexa|god|mum|mom|dad|mummy|mommy|daddy|grandma|grandpa|boss|sir|madam|nobody|somebody|everybody|anyone|everyone|someone|all|done|busy|late"
    r"|lost|alone|sad|fine|well|hot|cold|thirsty|home|free|bored|from|at|in|on|not|just|so|very|the|an?|my|your|looking|going|trying|new|old|young|single|married|ready"
    r"|available|curious|confused|serious|kidding|joking|wondering|thinking|afraid|allergic|pregnant|retired|online|offline|outside|inside|upstairs|downstairs|away|abroad)",
    re.IGNORECASE,
)


def name_told(text: str) -> str:
    """The name in words that tell it and nothing else; empty for any others."""
    if (here := _HERE.fullmatch(text)) and _is_common(here["name"]):
        return _spelt(here["name"])
    found = next((found for form in _FORMS if (found := form.fullmatch(text))), None)
    return _spelt(found["name"]) if found and (_is_common(found["name"]) or _is_name(found["name"])) else ""


@cache
def _common() -> frozenset[str]:
    """Given names, in lower case."""
    return frozenset(yaml.safe_load(NAMES_FILE.read_text(encoding="utf-8")))


def _is_common(name: str) -> bool:
    first, _, second = name.partition(" ")
    return first.lower() in _common() and (not second or not _OF_A_KIND.fullmatch(second))


def _is_name(name: str) -> bool:
    """True for what has a capital, and is neither a kind of people nor an everyday word."""
    return all(
        word[0].isupper()
        and not (word.isupper() and len(word) > 1)  # "OK", "IT"
        and not word.endswith("'s")
        and not _OF_A_KIND.fullmatch(word)
        and word.lower() not in vocabulary()
        for word in name.split()
    )


def _spelt(name: str) -> str:
    return name if name[0].isupper() else name.capitalize()
