"""Questions about other days and times than now: `what day is it in 3 days`, `how long until Friday`, `what time was it an hour ago`.

The entity `when` is described in `moments`, and `end` is another one. `ask` is "date", "was" (the last such day), "time", "until", "since", "between" (`when` and
`end`), "age" (of who was born then), "leap" (whether that year is one) or "length" (the days of a month). `measure` is the unit that was asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from server.embedded.intent.figures import in_figures
from server.embedded.intent.moments import MONTHS, SHORT, WEEKDAYS, clock_named, day_named, feast_named, offset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_CHARS = 100  # nobody asks longer

_NEXT_TO_TODAY = frozenset({"today", "tomorrow", "yesterday"})
_MEASURE = r"(?P<measure>second|minute|hour|day|night|sleep|week|month|year)s?"
_HOW_LONG = rf"how (?:long|much (?:time|longer)|many (?:more )?{_MEASURE})"
_FILLER = r"(?: (?:more|away|off|left|remain|remaining|is|are|it|there|do|does|we|i|have|got|still|to go|will|be|now|from now))*"
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_WEEKDAY = "|".join(WEEKDAYS)

_IS = r"(?:is it|will it be|was it|would it be|is|was|were|will be|will|would|does|did|do|falls)"
_ASKS_DATE = re.compile(
    rf"(?:(?:on )?(?:what|which) (?:day|date|day of the week|day of the month|weekday) {_IS}(?: on)?"
    r"|(?:what|when) (?:is|was|will be)(?: the (?:date|day)(?: of| on)?)?"
    r"|tell me (?:the )?(?:date|day)(?: of| on)?|what will (?:the )?(?:day|date) be) (?P<when>.+?)"
    r"(?: (?:fall|land|be|celebrated))?(?: on)?(?P<year> (?:this|next|last) year| in [12]\d{3})?"
)
_DATE_LAST = re.compile(rf"(?P<when>.+?),? (?:(?:is|will be|was|would be) what|what) (?:day|date)(?: {_IS}(?: that)?)?")
_FALLS_ON = re.compile(
    r"(?:what|which) (?:day|day of the week|weekday) (?P<when>.+?) (?:falls|lands|is|was|will be)(?: on)?"
)
_ASKS_YEAR = re.compile(rf"(?:what|which) (?:year|month) {_IS} (?P<when>.+)")
_WHETHER = re.compile(
    rf"(?:is|was|will) (?P<when>.+?)(?: be)?(?: on)?(?: an?| the)? (?:weekends?|weekdays?|work ?days?|working days?|{_WEEKDAY})"
)
_ASKS_UNTIL = (
    re.compile(rf"(?:{_HOW_LONG}|how (?:far|soon|close)){_FILLER} (?:until|till|til|to|before) (?P<when>.+)"),
    re.compile(r"how (?:far|soon|close)(?: (?:away|off))? (?:is|are we from) (?P<when>.+?)(?: (?:away|off|from now))?"),
    re.compile(rf"{_HOW_LONG} (?:away|off) is (?P<when>.+)"),
    re.compile(r"(?:is it|are we) (?:long|far) (?:until|till|til|to|from|off) (?P<when>.+)"),
    re.compile(rf"(?:count )?(?:(?:the )?(?:time|count ?down|{_MEASURE})) (?:left )?(?:until|till|to) (?P<when>.+)"),
)
_ASKS_LEFT = re.compile(
    rf"(?:{_HOW_LONG}|how much){_FILLER}(?: (?:in|of))? (?P<when>(?:the|this) (?:year|month))(?: (?:is|are) left| left| remains?)?"
)
_LEFT = re.compile(r"\b(?:left|remain|remaining|remains)\b")
_ASKS_SINCE = (
    re.compile(rf"{_HOW_LONG}(?: (?:is|has|have|it|been|passed|gone|by|are|there))* since (?P<when>.+)"),
    re.compile(rf"{_HOW_LONG} ago (?:was|is) (?P<when>.+)"),
)
_ASKS_BETWEEN = re.compile(
    rf"{_HOW_LONG}(?: (?:is|are|there|it))* (?:between|from) (?P<when>.+?) (?:and|to|until|till) (?P<end>.+)"
)
_ASKS_TIME = (
    re.compile(
        r"(?:what time (?:is it|will it be|was it|would it be|is)|what (?:will|was|would) the time(?: be)?) (?P<when>.+)"
    ),
    re.compile(
        r"(?P<when>.+?),? (?:(?:is|will be|was|would be) what|what) time(?: (?:is|will|was|would) (?:it|that)(?: be)?)?"
    ),
)
_ASKS_LEAP = re.compile(
    r"(?:is|was|will) (?P<year>[12]\d{3}|this year|next year|last year|it)(?: be)? a leap ?year(?: (?P<when>this year))?"
)
_ASKS_LENGTH = re.compile(
    rf"how many days (?:(?:are|were|is)(?: there)? in|does|did|do|in|has) (?:the month of )?(?P<month>{_MONTH})(?: have)?(?:,?(?: in| of)? (?P<year>[12]\d{{3}}))?"
)
_ASKS_AGE = re.compile(
    r"(?:how old (?:is|would|will|am|are|was) (?:i|you|he|she|we|they|someone|somebody|a person|a man|a woman)(?: be)?(?: now| today)?"
    r"(?: if (?:i|you|he|she|we|they) (?:was|were|am|is|are|had been)| who (?:was|is|were))?) born (?:in|on) (?P<when>.+?)(?: be)?(?: now| today)?"
)
_YEAR = re.compile(r"[12]\d{3}")

Asked = tuple[str, dict[str, Any]]


def date_asked(text: str) -> Asked | None:
    """The intent, `get_date` or `get_time`, and its entities; None if no other day or time is asked for."""
    if len(text) > MAX_CHARS:
        return None
    said = in_figures(text.replace("?", " ")).rstrip(".!, ")
    if said.startswith("what is ") and feast_named(said.removeprefix("what is ")):
        return None  # what is celebrated
    return next((asked for read in _READERS for asked in read(said)), None)


def _measure(found: re.Match[str]) -> dict[str, str]:
    return {"measure": f"{found['measure']}s"} if found.groupdict().get("measure") else {}


def _times(said: str) -> Iterator[Asked]:
    for pattern in _ASKS_TIME:
        found = pattern.fullmatch(said)
        if found and (when := offset(found["when"].strip(","), SHORT)):
            yield "get_time", {"when": when, "ask": "time"}


def _untils(said: str) -> Iterator[Asked]:
    for pattern in _ASKS_UNTIL:
        found = pattern.fullmatch(said)
        if found and (when := clock_named(found["when"])):
            yield "get_time", {"when": when, "ask": "until", **_measure(found)}
        if found and (when := day_named(found["when"].removeprefix("it is "))):
            yield "get_date", {"when": when, "ask": "until", **_measure(found)}
    left = _ASKS_LEFT.fullmatch(said) if _LEFT.search(said) else None
    if left and (when := day_named(left["when"])):
        yield "get_date", {"when": when, "ask": "until", **_measure(left)}


def _spans(said: str) -> Iterator[Asked]:
    for pattern in _ASKS_SINCE:
        found = pattern.fullmatch(said)
        if found and (when := day_named(found["when"])):
            yield "get_date", {"when": when, "ask": "since", **_measure(found)}
    between = _ASKS_BETWEEN.fullmatch(said)
    if between and (when := day_named(between["when"])) and (end := day_named(between["end"])):
        yield "get_date", {"when": when, "end": end, "ask": "between", **_measure(between)}


def _calendar(said: str) -> Iterator[Asked]:
    """What a year or a month is like, and the age of who was born then."""
    if leap := _ASKS_LEAP.fullmatch(said):
        relative = {"next year": "+1 years", "last year": "-1 years"}.get(leap["year"], "+0 days")
        when = f"{leap['year']}-01-01" if _YEAR.fullmatch(leap["year"]) else relative
        yield "get_date", {"when": when, "ask": "leap"}
    if length := _ASKS_LENGTH.fullmatch(said):
        first = f"{MONTHS[length['month']]:02d}-01"
        yield "get_date", {"when": f"{length['year']}-{first}" if length["year"] else first, "ask": "length"}
    age = _ASKS_AGE.fullmatch(said)
    if age and (when := f"{age['when']}-12-31" if _YEAR.fullmatch(age["when"]) else day_named(age["when"])):
        yield "get_date", {"when": when, "ask": "age"} | ({"part": "year"} if _YEAR.fullmatch(age["when"]) else {})


def _dates(said: str) -> Iterator[Asked]:
    for pattern in (_ASKS_YEAR, _ASKS_DATE, _FALLS_ON, _DATE_LAST, _WHETHER):
        found = pattern.fullmatch(said)
        if found is None:
            continue
        words = found["when"].removeprefix("it ").strip(",") + (found.groupdict().get("year") or "")
        if words in _NEXT_TO_TODAY:
            if pattern is not _ASKS_YEAR:
                yield "get_date", {"day": words} if words != "today" else {}
        elif when := day_named(words):
            past = re.search(r"\b(?:was|were|did)\b", said)
            yield "get_date", {"when": when, "ask": "was" if past else "date"}


_READERS: tuple[Callable[[str], Iterator[Asked]], ...] = (_times, _untils, _spans, _calendar, _dates)
