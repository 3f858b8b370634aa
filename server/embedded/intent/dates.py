"""Questions about other days and times than now: `what day is it in 3 days`, `how long until Friday`, `what time was it an hour ago`.

The entity `when` is one of: "+3 days", "-2 hours", "weekday 4" (0 is Monday; "weekday -4" for the last one, "this weekday 4" if it may be today), "12-25", "2030-01-31",
"day 15" (of this month or the next), "17:30". `ask` is "date", "time" or "until".
"""

from __future__ import annotations

import calendar
import re
from typing import TYPE_CHECKING, Any

from server.embedded.intent.sums import number_in

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CHARS = 100  # nobody asks longer
MAX_AMOUNT = 100_000  # further away, the calendar ends

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if number}
_MONTHS |= {name.lower(): number for number, name in enumerate(calendar.month_abbr) if number}
_WEEKDAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)}
_FEASTS = {
    "christmas eve": "12-24", "christmas": "12-25", "christmas day": "12-25", "boxing day": "12-26",
    "new year": "01-01", "new years": "01-01", "new year's": "01-01", "new year's day": "01-01", "new year's eve": "12-31",
    "new year is day": "01-01", "new year is eve": "12-31", "valentine is day": "02-14",  # "'s" was made whole
    "halloween": "10-31", "valentine's day": "02-14", "valentines day": "02-14",
}  # fmt: skip
_NEAR = {
    "the day after tomorrow": "+2 days",
    "the day before yesterday": "-2 days", "after tomorrow": "+2 days", "before yesterday": "-2 days", "next week": "+7 days", "next month": "+1 months", "next year": "+1 years",
    "last week": "-7 days", "last month": "-1 months", "last year": "-1 years",
}  # fmt: skip
_NEXT_TO_TODAY = frozenset({"today", "tomorrow", "yesterday"})
_CLOCK_TIMES = {"noon": "12:00", "midday": "12:00", "midnight": "00:00"}

_LONG, _SHORT = "day|week|month|year", "hour|minute|second"
_AFTER = r"(?:in|after) (?P<{0}>.+?) (?P<{0}_unit>{1})s?(?:'? time)?"
_FROM_NOW = r"(?P<{0}>.+?) (?P<{0}_unit>{1})s? (?:from now|from today|later|hence)"
_AGO = r"(?P<{0}>.+?) (?P<{0}_unit>{1})s? ago"
_OFFSET = {
    units: re.compile(
        f"{_AFTER.format('after', units)}|{_FROM_NOW.format('from_now', units)}|{_AGO.format('ago', units)}"
    )
    for units in (_LONG, _SHORT)
}
_HALF_MORE = re.compile(rf"({_LONG}|{_SHORT})s? and a half\b")  # `an hour and a half`
_PARTS = {
    "a": 1, "an": 1, "one": 1, "half a": 0.5, "half an": 0.5, "a half": 0.5, "a quarter of an": 0.25, "a quarter": 0.25,
    "three quarters of an": 0.75, "a couple of": 2, "a couple": 2,
}  # fmt: skip
_SMALLER = {"week": (7, "day"), "year": (12, "month"), "hour": (60, "minute"), "minute": (60, "second")}
_WEEKDAY = re.compile(
    rf"(?:on )?(?P<which>next|this|this coming|last|the next|the last)? ?(?P<day>{'|'.join(_WEEKDAYS)})"
)
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"(?:on )?(?:(?P<month>{_MONTH})\.? (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?"
    rf"|(?:the )?(?P<day2>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<month2>{_MONTH}))(?:,? (?P<year>\d{{4}}))?"
)
_DAY_OF_MONTH = re.compile(r"(?:on )?the (?P<day>[1-9]|[12]\d|3[01])(?:st|nd|rd|th)")
_ISO = re.compile(r"(?:on )?(?P<iso>\d{4}-\d\d-\d\d)")
_CLOCK = re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?(?: ?(?P<half>[ap])\.?m\.?)?(?: ?o'clock)?")

_IS = r"(?:is it|will it be|was it|is|was|will be|does|falls)"
_ASKS_DATE = re.compile(
    rf"(?:(?:what|which) (?:day|date|day of the week|weekday) {_IS}(?: on)?|(?:what|when) (?:is|was|will be)(?: the (?:date|day)(?: of| on)?)?"
    rf"|tell me (?:the )?(?:date|day)(?: of| on)?|what will (?:the )?(?:day|date) be) (?P<when>.+?)(?: (?:on|fall on|be))?"
)
_ASKS_YEAR = re.compile(rf"(?:what|which) (?:year|month) {_IS} (?P<when>.+)")
_ASKS_UNTIL = re.compile(
    r"how (?:long|much time|many days|many weeks|many hours|many minutes)(?: is it| is left| are left| are there| do (?:we|i) have)? (?:until|till|to|before) (?P<when>.+)"
)
_ASKS_TIME = re.compile(r"(?:what time (?:is it|will it be|was it|is)|what (?:will|was) the time(?: be)?) (?P<when>.+)")


def date_asked(text: str) -> tuple[str, dict[str, Any]] | None:
    """The intent, `get_date` or `get_time`, and its entities; None if no other day or time is asked for."""
    said = " ".join(text.lower().replace("?", " ").split()).rstrip(".! ")
    if len(said) > MAX_CHARS:
        return None
    if said.removeprefix("what is ") in _FEASTS:  # which day it is, or what is celebrated
        return None
    for pattern, read, intent, ask in _QUESTIONS:
        found = pattern.fullmatch(said)
        words = found["when"].removeprefix("it ") if found else ""
        if words in _NEXT_TO_TODAY and intent == "get_date" and ask == "date":
            return intent, {"day": words} if words != "today" else {}
        when = read(words)
        if when:
            return intent, {"when": when, "ask": ask}
    return None


def _day(words: str) -> str:
    """`when` for the words of a day; empty if they are none."""
    if day := _DAY_OF_MONTH.fullmatch(words):
        return f"day {day['day']}"
    named = _NEAR.get(words) or _FEASTS.get(words) or _FEASTS.get(words.removeprefix("the next ").removeprefix("next "))
    if not named and words.endswith(" this year"):
        return _day(words.removesuffix(" this year"))
    return named or _offset(words, _LONG) or _weekday(words) or _date(words)


def _time(words: str) -> str:
    return _offset(words, _SHORT)


def _clock(words: str) -> str:
    """`when` for a time of the day; without a.m. and p.m., from 1 to 12, it is whatever comes next."""
    bare = words.removeprefix("it is ")
    found = _CLOCK.fullmatch(bare)
    if found is None or not (found["half"] or found["minute"] or "o'clock" in bare):
        return _CLOCK_TIMES.get(bare, "")
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    if found["half"]:
        hour = hour % 12 + (12 if found["half"] == "p" else 0)
    return f"{hour:02d}:{minute:02d}" if hour < 24 and minute < 60 else ""


def _offset(words: str, units: str) -> str:
    found = _OFFSET[units].fullmatch(_HALF_MORE.sub(r"and a half \1", words))
    if found is None:
        return ""
    name = next(name for name in ("after", "from_now", "ago") if found[name])
    number, unit = _amount(found[name]), found[f"{name}_unit"]
    if number is None or not 0 <= number <= MAX_AMOUNT:
        return ""
    if unit in _SMALLER and (unit == "week" or number != int(number)):
        times, unit = _SMALLER[unit]
        number *= times
    if number != int(number):
        return ""
    return f"{'-' if name == 'ago' else '+'}{int(number)} {unit}s"


def _amount(words: str) -> float | None:
    """`3`, `an`, `half an`, `two and a half`, `a couple of`; None if it is no number."""
    bare = words.removesuffix(" and a half")
    amount = _PARTS[bare] if bare in _PARTS else number_in(bare)
    return amount if amount is None or bare == words else amount + 0.5


def _weekday(words: str) -> str:
    found = _WEEKDAY.fullmatch(words)
    if found is None:
        return ""
    which = found["which"] or ""
    return f"{'this ' if which == 'this' else ''}weekday {'-' if 'last' in which else ''}{_WEEKDAYS[found['day']]}"


def _date(words: str) -> str:
    iso = _ISO.fullmatch(words)
    if iso is not None:
        return iso["iso"]
    found = _DATE.fullmatch(words)
    if found is None:
        return ""
    month, day = _MONTHS[found["month"] or found["month2"]], int(found["day"] or found["day2"])
    if not 1 <= day <= calendar.monthrange(2000, month)[1]:  # a leap year
        return ""
    return f"{found['year'] + '-' if found['year'] else ''}{month:02d}-{day:02d}"


_QUESTIONS: tuple[tuple[re.Pattern[str], Callable[[str], str], str, str], ...] = (
    (_ASKS_TIME, _time, "get_time", "time"),
    (_ASKS_UNTIL, _clock, "get_time", "until"),
    (_ASKS_UNTIL, _day, "get_date", "until"),
    (_ASKS_YEAR, _day, "get_date", "date"),
    (_ASKS_DATE, _day, "get_date", "date"),
)
