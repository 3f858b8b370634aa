"""What people ask of a voice agent and this one cannot do, so that it says so instead of searching for the words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.embedded.intent.file_names import is_file, written
from server.embedded.intent.normalise import loosely, without_courtesy
from server.embedded.intent.sources import CALENDAR, LOOKED_UP, unsourced
from server.embedded.intent.words import keys_of, said_by, with_contractions_whole, without_hesitations, words_of

if TYPE_CHECKING:
    from re import Pattern

TIMERS = "set timers, alarms or reminders"
CURRENCIES = "convert currencies, because I do not know their rates"
DELETE = "delete files"
CALLS = "make calls or send messages"
MUSIC = "play music or videos"
DEVICES = "control lights or other devices"
JOKES = "tell jokes or stories, or sing"
TRANSLATION = "translate"
CHANCE = "toss coins or roll dice"
TABS = "reload pages, go forward, or open and close tabs"
TYPING = "type into pages"
WRITING = "write into files"
COMPARING = "compare files by size or age"
EVERYTHING = "forget everything at once"
BUYING = "order, buy or book things"
LISTS = "keep lists. Say, for example: remember to buy milk"
# What may help where something cannot be done, to be said after "But I can".
INSTEAD = {
    **dict.fromkeys(LOOKED_UP, "open a web page that you name"),
    **dict.fromkeys((TIMERS, CALENDAR), "keep notes for you"),
    CURRENCIES: "convert units of measurement",
    COMPARING: "tell how big a file is that you name",
    WRITING: "keep notes for you, or create an empty file",
}

_CLOCK = r"(?:timers?|alarms?|alarm clock|stop ?watch|reminders?|count ?down)"
_CURRENCY = (
    r"(?:(?:us )?dollars?|bucks?|euros?|pounds?(?: sterling)?|yen|yuan|rupees?|francs?|usd|eur|gbp|bitcoins?|[$€£])"
)
_THING = r"(?:lights?|lamps?|heating|heater|thermostat|tv|television|radio|fan|oven|air conditioning|volume|bluetooth|wi ?fi)"

_ASKED: tuple[tuple[Pattern[str], str], ...] = (
    (
        re.compile(
            rf"(?:set|start|create|make|add|put|give me|cancel|stop|delete) (?:(?!file|folder|director|note)\w+ ){{0,6}}{_CLOCK}\b"
        ),
        TIMERS,
    ),
    (re.compile(rf"(?:an? )?(?:[\w ]+ (?:second|minute|hour)s? )?{_CLOCK}(?: (?:for|at|in) .*)?\Z"), TIMERS),
    (re.compile(r"(?:remind|wake) (?:me|us) (?!what|who|where|when\b.* was|of )"), TIMERS),
    (re.compile(rf"(?:.* )?{_CURRENCY} (?:in|into|to) {_CURRENCY}\Z"), CURRENCIES),
    (re.compile(rf"how (?:many|much) {_CURRENCY} (?:are|is) .*\b{_CURRENCY}\Z"), CURRENCIES),
    (
        re.compile(
            r"(?:delete|remove|erase|trash|get rid of|throw away|wipe) (?:(?:all|the|my|this|that|these|those|of) )*(?:files?|folders?|director(?:y|ies))\b"
        ),
        DELETE,
    ),
    (re.compile(r"(?:delete|remove|erase|trash|get rid of|throw away|wipe) .* (?:file|folder|directory)\Z"), DELETE),
    (
        re.compile(r"(?:send|write(?! down\b)|compose) .*\b(?:messages?|e ?mails?|mails?|texts?|sms|whatsapps?)\b"),
        CALLS,
    ),
    (re.compile(r"(?:text|message|email|e mail|whatsapp) (?!me\b)\w+ (?:that|saying|to say|to tell|about) "), CALLS),
    (re.compile(r"(?:make|place) (?:an? )?(?:phone |video )?calls?\b"), CALLS),
    (
        re.compile(
            r"(?:call|phone|ring|dial|text|email) (?:my (?:\w+)|mum|mom|mother|dad|father|the (?:police|doctor|office|bank))\b"
        ),
        CALLS,
    ),
    (re.compile(r"play (?:me |us |some |the |a )*\w+"), MUSIC),
    (re.compile(rf"(?:turn|switch) (?:on|off|up|down) (?:.* )?{_THING}\b"), DEVICES),
    (re.compile(rf"(?:turn|switch|dim|set|put) (?:.* )?{_THING} (?:on|off|up|down|to)\b"), DEVICES),
    (re.compile(rf"dim (?:.* )?{_THING}\Z"), DEVICES),
    (
        re.compile(
            r"(?:tell|give|know) (?:me |us )?(?:an?(?:other)?|some|any|the|one)?\b.*\b(?:jokes?|story|stories|riddles?|poems?)(?: first| now)?\Z"
        ),
        JOKES,
    ),
    (re.compile(r"do you know (?:an?|any|some)\b.*\b(?:jokes?|story|stories|riddles?|poems?)\Z"), JOKES),
    (re.compile(r"sing\b|make me laugh\Z"), JOKES),
    (re.compile(r"translate\b|how (?:do|would) (?:you|i) say .* in [a-z]+\Z"), TRANSLATION),
    (
        re.compile(
            r"(?:flip|toss|throw) (?:a |the )?coins?\b|roll (?:a |the |some |two )?(?:dice|die)\b|(?:pick|choose) an? (?:random )?number\b"
        ),
        CHANCE,
    ),
    (
        re.compile(
            r"(?:reload|refresh)(?: (?:the|this) page| it)?\Z|go forward\Z|close (?:the |this )?(?:tab|browser|window|page)\Z"
        ),
        TABS,
    ),
    (re.compile(r"(?:open|new) (?:an? |the )?(?:new |another )?(?:tab|window)\Z"), TABS),
    (
        re.compile(
            r"(?:order|buy|book|reserve|get) (?:me|us) (?:an? |some |the |two )?(?:\w+ )?(?:pizza|food|taxi|cab|uber|flight|ticket|table|room|hotel|coffee)s?\b"
        ),
        BUYING,
    ),
    (re.compile(r"(?:order|buy|book|reserve) (?:(?:me|us) )?(?:an?|some|the|two|three|four) \w"), BUYING),
    (re.compile(r"type .+ (?:in|into) "), TYPING),
    (re.compile(r"(?:write|append|save|put|add) .+ (?:to|into|in) (?:the |my )?file\b"), WRITING),
    (
        re.compile(
            r"(?:forget|delete|wipe|erase|clear|remove) (?:everything|it all|all)(?: (?:about me|you (?:know|remember)(?: about me)?|of it))?\Z|(?:forget|delete) (?:all )?my notes\Z"
        ),
        EVERYTHING,
    ),
    (re.compile(r"(?:add|put) .+ (?:to|on) (?:my|the) (?:\w+ ){0,2}list\Z"), LISTS),
)
_WRITTEN = re.compile(r"(?:write|append|save|put|add) .+ (?:to|into|in) (?P<name>\S+)", re.IGNORECASE)
_DELETED = re.compile(r"(?:delete|remove|erase|trash|get rid of|throw away|wipe) (?:the )?(?P<name>.+)", re.IGNORECASE)


def beyond(text: str) -> str:
    """What is asked for and cannot be done, to be said after "I cannot"; empty for anything else."""
    words = with_contractions_whole(without_courtesy(without_hesitations(words_of(text))))
    for key in dict.fromkeys(keys_of(way).lower() for way in (words, with_contractions_whole(loosely(words)))):
        if found := unsourced(key):
            return found
        for pattern, cannot in _ASKED:
            if pattern.match(key):
                return cannot
    written_to = _WRITTEN.fullmatch(said_by(words).rstrip(".?!, "))
    if written_to and is_file(written(written_to["name"])):
        return WRITING
    deleted = _DELETED.fullmatch(said_by(words).rstrip(".?!, "))
    return DELETE if deleted and is_file(written(deleted["name"])) else ""


def looked_up(text: str, cannot: str) -> str:
    """The query for a web search, if one could tell it; empty for anything else."""
    return said_by(loosely(words_of(text))).rstrip(".?!, ") if cannot in LOOKED_UP else ""
